"""Instance refresh, which moto lacks: a refresh goes one step further each time it is described.

`Pending`, `InProgress` once for each instance that is replaced, `Baking` if a bake time was asked for, then `Successful`.
The harness can let it fail instead, of one group or of all: `RollbackInProgress` and `RollbackSuccessful` with automatic
rollback, `Failed` without. The group itself takes the desired configuration over when the refresh has succeeded. The order
of steps is AWS's, their timing is not.
"""

from typing import Any
from uuid import uuid4

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from .patching import adds

ACTIVE = ("Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress")


class Outcome:
    """How the refreshes that end from now on end."""

    all_fail = False
    # Why those of single groups fail, by the group's name.
    reasons: dict[str, str] = {}

    @classmethod
    def failure_of(cls, group: str) -> str | None:
        general = "One or more instances failed to become healthy." if cls.all_fail else None
        return cls.reasons.get(group, general)


def set_outcome(fails: bool) -> None:
    Outcome.all_fail = fails


def set_group_outcome(group: str, reason: str | None) -> None:
    """With a reason, the group's refreshes fail for it; without, they succeed again."""
    if reason is None:
        Outcome.reasons.pop(group, None)
    else:
        Outcome.reasons[group] = reason


class InstanceRefresh:
    def __init__(self, group: FakeAutoScalingGroup, preferences: dict[str, Any], desired: dict[str, Any] | None):
        self.instance_refresh_id = str(uuid4())
        self.auto_scaling_group_name = group.name
        self.status = "Pending"
        self.status_reason: str | None = None
        self.start_time = utcnow()
        self.end_time: Any = None
        self.percentage_complete = 0
        self.strategy = "Rolling"
        self.preferences = preferences
        self.desired_configuration = desired
        self.group = group
        self.before = self.launched_from = launched_by(group)
        if desired and (template := desired.get("LaunchTemplate")):
            group._set_launch_configuration("", template, None)
            self.launched_from = launched_by(group)
            launch_by(group, self.before)
        self.waiting = [state for state in group.instance_states if not self.matches(state)]
        self.total = len(self.waiting)

    @property
    def instances_to_update(self) -> int:
        return len(self.waiting)

    def matches(self, state: Any) -> bool:
        """With `SkipMatching`, instances that already run the wanted version stay."""
        template, version, _ = self.launched_from
        if not self.preferences.get("SkipMatching") or template is None:
            return False
        return getattr(state, "launched_from", None) == template.get_version(version).number

    def advance(self) -> None:
        if self.status == "Pending":
            self.status = "InProgress"
        elif self.status == "InProgress" and self.waiting:
            self.replace_one()
            self.percentage_complete = 100 * (self.total - len(self.waiting)) // self.total
        elif self.status == "InProgress" and (reason := Outcome.failure_of(self.group.name)):
            self.fail(reason)
        elif self.status == "InProgress" and self.preferences.get("BakeTime"):
            self.status = "Baking"
        elif self.status in ("InProgress", "Baking"):
            self.percentage_complete = 100
            launch_by(self.group, self.launched_from)
            self.end("Successful")
        elif self.status == "Cancelling":
            self.end("Cancelled")
        elif self.status == "RollbackInProgress" and self.waiting:
            self.replace_one()
        elif self.status == "RollbackInProgress":
            self.end("RollbackSuccessful")

    def replace_one(self) -> None:
        from .autoscaling import launch_one

        old = self.waiting.pop(0)
        configured = launched_by(self.group)
        launch_by(self.group, self.launched_from)
        launch_one(self.group, self.group.get_propagated_tags())
        launch_by(self.group, configured)
        if old in self.group.instance_states:
            self.group.instance_states.remove(old)
        self.group.autoscaling_backend.ec2_backend.terminate_instances([old.instance.id])

    def fail(self, reason: str) -> None:
        self.status_reason = reason
        if self.preferences.get("AutoRollback"):
            self.roll_back()
        else:
            self.end("Failed")

    def roll_back(self) -> None:
        self.launched_from = self.before
        self.waiting = list(self.group.instance_states)
        self.total = len(self.waiting)
        self.status = "RollbackInProgress"

    def end(self, status: str) -> None:
        self.status = status
        self.end_time = utcnow()


def launched_by(group: FakeAutoScalingGroup) -> tuple[Any, Any, Any]:
    return (group.ec2_launch_template, group.launch_template_version, group.provided_launch_template_version)


def launch_by(group: FakeAutoScalingGroup, template: tuple[Any, Any, Any]) -> None:
    group.ec2_launch_template, group.launch_template_version, group.provided_launch_template_version = template


def check_update(group: FakeAutoScalingGroup, template: Any) -> None:
    """What a refresh is about to change cannot be changed meanwhile."""
    refresh = active_refresh(group)
    if template and refresh and refresh.desired_configuration:
        raise ValidationError(
            "An active instance refresh with a desired configuration exists. All configuration options derived from the "
            "desired configuration are not available for update while the instance refresh is active."
        )


def apply() -> None:
    @adds(AutoScalingResponse, "start_instance_refresh")
    def start(self: Any) -> ActionResult:
        """One refresh at a time (`InstanceRefreshInProgress`). Automatic rollback needs a literal image and a numbered version,
        before and after."""
        from .autoscaling import as_validation_error, existing_group

        group = existing_group(self)
        if active_refresh(group):
            raise AutoscalingClientError(
                "InstanceRefreshInProgress",
                "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
            )
        preferences = dict(self._get_param("Preferences") or {})
        desired = self._get_param("DesiredConfiguration")
        if preferences.get("AutoRollback"):
            check_rollback(group, desired)
        refresh = as_validation_error(lambda: InstanceRefresh(group, preferences, desired))
        refreshes_of(group).insert(0, refresh)
        return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})

    @adds(AutoScalingResponse, "describe_instance_refreshes")
    def describe(self: Any) -> ActionResult:
        """The newest first."""
        from .autoscaling import existing_group

        group = existing_group(self)
        if refresh := active_refresh(group):
            refresh.advance()
        ids = self._get_param("InstanceRefreshIds", [])
        found = [refresh for refresh in refreshes_of(group) if not ids or refresh.instance_refresh_id in ids]
        return ActionResult({"InstanceRefreshes": found})

    @adds(AutoScalingResponse, "cancel_instance_refresh")
    def cancel(self: Any) -> ActionResult:
        refresh = needed_refresh(self)
        refresh.status = "Cancelling"
        return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})

    @adds(AutoScalingResponse, "rollback_instance_refresh")
    def rollback(self: Any) -> ActionResult:
        refresh = needed_refresh(self)
        if not refresh.desired_configuration:
            raise AutoscalingClientError(
                "IrreversibleInstanceRefresh", "The instance refresh has no desired configuration to roll back from."
            )
        refresh.roll_back()
        return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})


def refreshes_of(group: FakeAutoScalingGroup) -> list[InstanceRefresh]:
    if not hasattr(group, "instance_refreshes"):
        group.instance_refreshes = []
    return group.instance_refreshes


def active_refresh(group: FakeAutoScalingGroup) -> InstanceRefresh | None:
    return next((refresh for refresh in refreshes_of(group) if refresh.status in ACTIVE), None)


def needed_refresh(response: Any) -> InstanceRefresh:
    from .autoscaling import existing_group

    group = existing_group(response)
    refresh = active_refresh(group)
    if refresh is None:
        raise AutoscalingClientError(
            "ActiveInstanceRefreshNotFound",
            f"No in progress or pending Instance Refresh found for Auto Scaling group {group.name}",
        )
    return refresh


def check_rollback(group: FakeAutoScalingGroup, desired: dict[str, Any] | None) -> None:
    wanted = (desired or {}).get("LaunchTemplate")
    if not wanted:
        raise ValidationError("Auto rollback requires a desired configuration.")
    for version in (group.launch_template_version, wanted.get("Version")):
        if not str(version).isdigit():
            raise ValidationError("Auto rollback requires a launch template version that is a number, not $Latest or $Default.")
    template = group.autoscaling_backend.ec2_backend.get_launch_template(wanted["LaunchTemplateId"])
    if any(str(image).startswith("resolve:ssm:") for image in (group.image_id, template.get_version(wanted["Version"]).image_id)):
        raise ValidationError("Auto rollback is not supported with an AMI parameter (resolve:ssm).")
