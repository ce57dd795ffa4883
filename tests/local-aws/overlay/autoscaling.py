"""Auto Scaling groups: settings that moto drops, launches from the right template version, refusals, slow deletion."""

import json
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import (
    ASG_NAME_TAG,
    AutoScalingBackend,
    FakeAutoScalingGroup,
    InstanceState,
    LifecycleHook,
)
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError

from . import instance_refresh
from .patching import adds, replaces

# How many descriptions still find a group that is being deleted. On AWS it is minutes.
DESCRIBES_WHILE_DELETING = 2

# Parameters that moto ignores at creation or update: name, and the value that removes the setting.
KEPT_SETTINGS = {
    "CapacityRebalance": None,
    "DefaultCooldown": None,
    "DefaultInstanceWarmup": -1,
    "InstanceMaintenancePolicy": {"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1},
    "MaxInstanceLifetime": 0,
    "PlacementGroup": None,
    "TerminationPolicies": None,
}
ATTRIBUTES = {
    "CapacityRebalance": "capacity_rebalance",
    "DefaultCooldown": "default_cooldown",
    "DefaultInstanceWarmup": "default_instance_warmup",
    "InstanceMaintenancePolicy": "instance_maintenance_policy",
    "MaxInstanceLifetime": "max_instance_lifetime",
    "PlacementGroup": "placement_group",
    "TerminationPolicies": "termination_policies",
}


def apply() -> None:
    groups()
    launches()
    lifecycle_hooks()
    instance_refresh.apply()


def groups() -> None:
    @replaces(AutoScalingResponse, "create_auto_scaling_group")
    def create(original: Any, self: Any) -> ActionResult:
        """A name can be taken once (`AlreadyExists`); a bad template, subnet or profile is a `ValidationError`.

        MaxInstanceLifetime, DefaultInstanceWarmup, InstanceMaintenancePolicy and the first lifecycle hooks are kept.
        """
        name = self._get_param("AutoScalingGroupName")
        if name in self.autoscaling_backend.autoscaling_groups:
            raise AutoscalingClientError(
                "AlreadyExists",
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
            )
        check_settings(self)
        check_capacity(self._get_int_param("MinSize"), self._get_int_param("MaxSize"), self._get_int_param("DesiredCapacity"))
        reply = as_validation_error(lambda: original(self))
        group = self.autoscaling_backend.autoscaling_groups[name]
        keep_settings(self, group)
        for hook in self._get_param("LifecycleHookSpecificationList", []):
            put_hook(self.autoscaling_backend, name, hook)
        return reply

    @replaces(AutoScalingResponse, "update_auto_scaling_group")
    def update(original: Any, self: Any) -> ActionResult:
        """The same settings can be changed; a group that is being deleted cannot."""
        group = existing_group(self)
        check_settings(self)
        check_capacity(
            first(self._get_int_param("MinSize"), group.min_size),
            first(self._get_int_param("MaxSize"), group.max_size),
            self._get_int_param("DesiredCapacity"),
        )
        instance_refresh.check_update(group, self._get_param("LaunchTemplate"))
        reply = as_validation_error(lambda: original(self))
        keep_settings(self, group)
        return reply

    @replaces(AutoScalingResponse, "delete_auto_scaling_group")
    def delete(_original: Any, self: Any) -> ActionResult:
        """Refused while there are instances (`ResourceInUse`), unless forced. The group is found for a while longer, as
        `Delete in progress`; its instances are there until it goes, and hold on to their security groups."""
        group = existing_group(self)
        if group.instance_states and not self._get_bool_param("ForceDelete", False):
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
                "still in the group.",
            )
        group.status = "Delete in progress"
        group.describes_left = DESCRIBES_WHILE_DELETING
        return ActionResult(None)

    @replaces(AutoScalingBackend, "describe_auto_scaling_groups")
    def describe(original: Any, self: Any, names: list[str], filters: Any = None) -> list[FakeAutoScalingGroup]:
        """Each description finds a group that is being deleted a step further."""
        for group in list(self.autoscaling_groups.values()):
            if is_deleting(group) and (not names or group.name in names):
                if group.describes_left == 0:
                    original_delete(self, group.name)
                else:
                    group.describes_left -= 1
        return original(self, names, filters)

    original_delete = AutoScalingBackend.delete_auto_scaling_group


def launches() -> None:
    @replaces(FakeAutoScalingGroup, "replace_autoscaling_group_instances")
    def launch(_original: Any, self: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
        """Instances are spread over the group's subnets and launched from the group's version of the template.

        moto puts all into the first subnet and takes the template's default version.
        """
        for _ in range(count_needed):
            launch_one(self, propagated_tags)

    def launch_template(self: InstanceState) -> dict[str, Any] | None:
        """An instance tells the version that it was launched from."""
        group = self.auto_scaling_group
        if group is None or group.ec2_launch_template is None:
            return None
        template = group.ec2_launch_template
        version = getattr(self, "launched_from", template.default_version_number)
        return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": str(version)}

    InstanceState.launch_template = property(launch_template)

    @replaces(AutoScalingBackend, "notify_terminate_instances")
    def notify_terminate_instances(original: Any, self: Any, instance_ids: list[str]) -> None:
        """A group that is being deleted does not replace its instances."""
        deleting = {name: group for name, group in self.autoscaling_groups.items() if is_deleting(group)}
        for name, group in deleting.items():
            group.instance_states = [state for state in group.instance_states if state.instance.id not in instance_ids]
            del self.autoscaling_groups[name]
        original(self, instance_ids)
        self.autoscaling_groups.update(deleting)


def launch_one(group: FakeAutoScalingGroup, propagated_tags: dict[str, str]) -> InstanceState:
    """Launch an instance of the group, in the subnet (or zone) that has the fewest."""
    states = group.instance_states
    subnets = group.vpc_zone_identifier.split(",") if group.vpc_zone_identifier else []
    subnet = min(subnets, key=lambda it: sum(state.instance.subnet_id == it for state in states), default=None)
    zone = min(group.availability_zones, key=lambda it: sum(state.availability_zone == it for state in states))
    template = group.ec2_launch_template
    version = template.get_version(group.launch_template_version) if template else None
    tags = {**propagated_tags, **group.instance_tags, ASG_NAME_TAG: group.name}
    reservation = group.autoscaling_backend.ec2_backend.run_instances(
        group.image_id,
        1,
        group.user_data,
        group.security_groups,
        instance_type=group.instance_type,
        tags={"instance": tags},
        placement=None if subnet else zone,
        launch_config=group.launch_config,
        launch_template={"LaunchTemplateId": template.id, "Version": str(version.number)} if template else None,
        is_instance_type_default=False,
        associate_public_ip=group.launch_config.associate_public_ip_address if group.launch_config else None,
        subnet_id=subnet,
    )
    instance = reservation.instances[0]
    instance.autoscaling_group = group
    state = InstanceState(instance, protected_from_scale_in=group.new_instances_protected_from_scale_in)
    if version is not None:
        state.launched_from = version.number
    group.instance_states.append(state)
    return state


def lifecycle_hooks() -> None:
    @replaces(AutoScalingResponse, "put_lifecycle_hook")
    def put(_original: Any, self: Any) -> ActionResult:
        """A hook has a role and a notification target only if they were given; moto invents both."""
        name = existing_group(self).name
        put_hook(self.autoscaling_backend, name, {key: self._get_param(key) for key in HOOK_PARAMETERS})
        return ActionResult(None)

    for action in ("complete_lifecycle_action", "record_lifecycle_action_heartbeat"):

        @adds(AutoScalingResponse, action)
        def no_action(self: Any) -> ActionResult:
            """No instance of the local AWS ever waits at a hook, so there is never an action to complete."""
            existing_group(self)
            instance = self._get_param("InstanceId")
            raise ValidationError(f"No active Lifecycle Action found with instance ID {instance}")


HOOK_PARAMETERS = (
    "LifecycleHookName",
    "LifecycleTransition",
    "HeartbeatTimeout",
    "DefaultResult",
    "RoleARN",
    "NotificationTargetARN",
    "NotificationMetadata",
)


def put_hook(backend: AutoScalingBackend, group: str, given: dict[str, Any]) -> None:
    name = given["LifecycleHookName"]
    timeout = given.get("HeartbeatTimeout")
    backend.create_lifecycle_hook(
        name=name,
        as_name=group,
        transition=given.get("LifecycleTransition"),
        timeout=int(timeout) if timeout else None,
        result=given.get("DefaultResult"),
    )
    hooks: list[LifecycleHook] = backend.describe_lifecycle_hooks(as_name=group, lifecycle_hook_names=[name])
    for hook in hooks:
        hook.role_arn = given.get("RoleARN")
        hook.notification_target_arn = given.get("NotificationTargetARN")
        hook.notification_metadata = given.get("NotificationMetadata")
        # 48 hours, or 100 times the heartbeat, whichever is less.
        hook.global_timeout = min(172_800, 100 * hook.heartbeat_timeout)


def existing_group(response: Any) -> FakeAutoScalingGroup:
    name = response._get_param("AutoScalingGroupName")
    group = response.autoscaling_backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    if is_deleting(group):
        raise ValidationError(f"AutoScalingGroup '{name}' is pending delete")
    return group


def is_deleting(group: FakeAutoScalingGroup) -> bool:
    return getattr(group, "status", None) is not None


def check_settings(response: Any) -> None:
    """The bounds of the API reference: a lifetime is 0 or 86,400 to 31,536,000 seconds."""
    lifetime = response._get_int_param("MaxInstanceLifetime")
    if lifetime is not None and lifetime != 0 and not 86_400 <= lifetime <= 31_536_000:
        raise ValidationError(
            "Max Instance Lifetime must be set to a value between 86400 and 31536000 seconds, or 0 to remove it."
        )


def check_capacity(smallest: int | None, largest: int | None, desired: int | None) -> None:
    if smallest is not None and largest is not None and smallest > largest:
        raise ValidationError(f"Max bound, {largest}, must be greater than or equal to min bound, {smallest}")
    if desired is not None and smallest is not None and desired < smallest:
        raise ValidationError(f"Desired capacity:{desired} must be between the specified min size:{smallest} and max size:{largest}")
    if desired is not None and largest is not None and desired > largest:
        raise ValidationError(f"Desired capacity:{desired} must be between the specified min size:{smallest} and max size:{largest}")


def first(value: int | None, otherwise: int | None) -> int | None:
    return otherwise if value is None else value


def keep_settings(response: Any, group: FakeAutoScalingGroup) -> None:
    for parameter, removing in KEPT_SETTINGS.items():
        value = response._get_param(parameter)
        if value is not None and value != []:
            normal = json.loads(json.dumps(value, default=str))
            setattr(group, ATTRIBUTES[parameter], None if normal == removing else value)


def as_validation_error(call: Any) -> Any:
    """Auto Scaling reports what EC2 refuses as its own `ValidationError`."""
    try:
        return call()
    except EC2ClientError as error:
        about_template = "LaunchTemplate" in error.code or "AMI" in error.code or "iamInstanceProfile" in error.message
        prefix = "You must use a valid fully-formed launch template. " if about_template else ""
        raise ValidationError(f"{prefix}{error.message}") from error
    except AutoscalingClientError:
        raise
    except ServiceException as error:
        raise ValidationError(error.message) from error
