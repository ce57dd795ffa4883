"""Security groups cannot be deleted under what uses them, and belong to a VPC that exists."""

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError, InvalidVPCIdError
from moto.ec2.responses.security_groups import SecurityGroups

from .patching import replaces


def apply() -> None:
    @replaces(SecurityGroups, "create_security_group")
    def create_security_group(original: Any, self: Any) -> ActionResult:
        """An unknown VPC is refused; moto makes a group in it."""
        vpc_id = self._get_param("VpcId")
        if vpc_id and vpc_id not in self.ec2_backend.vpcs:
            raise InvalidVPCIdError(vpc_id)
        return original(self)

    @replaces(SecurityGroups, "delete_security_group")
    def delete_security_group(original: Any, self: Any) -> ActionResult:
        """Refused for a VPC's default group, and while an instance, a network interface or another group's rule uses it."""
        group_id = self._get_param("GroupId")
        group = self.ec2_backend.get_security_group_from_id(group_id) if group_id else None
        if group is not None:
            if group.name == "default":
                raise EC2ClientError(
                    "CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
                )
            if in_use(self.ec2_backend, group):
                raise DependencyViolationError(f"resource {group.id} has a dependent object")
        return original(self)


def in_use(backend: Any, group: Any) -> bool:
    instances = [instance for instance in backend.all_instances() if instance.state != "terminated"]
    if any(group.id in {it.id for it in instance.security_groups} for instance in instances):
        return True
    if any(group.id in {getattr(it, "id", it) for it in eni.group_set} for eni in backend.enis.values()):
        return True
    others = [it for groups in backend.groups.values() for it in groups.values() if it.id != group.id]
    return any(
        source.get("GroupId") == group.id
        for other in others
        for rule in [*other.ingress_rules, *other.egress_rules]
        for source in ([rule.source_group] if rule.source_group else [])
    )
