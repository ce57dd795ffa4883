"""IAM: documents and references are checked, entities in use cannot be deleted; STS: only roles that exist."""

import json
import re
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import DeleteConflictException, IAMException, LimitExceededException, NotFoundException
from moto.iam.models import IAMBackend, iam_backends
from moto.iam.responses import IamResponse
from moto.sts.exceptions import STSClientError
from moto.sts.models import STSBackend

from .patching import adds, replaces

# Characters of all inline policies of a role, without white space (IAM quotas).
INLINE_POLICY_CHARACTERS = 10_240

# Characters of a managed policy, without white space, and how many of them a role may have (IAM quotas).
MANAGED_POLICY_CHARACTERS = 6_144
MANAGED_POLICIES_OF_ROLE = 10

# The role of each new account of an organization. Tests assume it to get into another account.
ORGANIZATION_ROLE = "OrganizationAccountAccessRole"


def apply() -> None:
    policies()
    roles()
    assume_role()


def policies() -> None:
    @replaces(IAMBackend, "delete_policy")
    def delete_policy(original: Any, self: Any, policy_arn: str) -> None:
        """Refused while the policy is attached or someone's boundary."""
        policy = self.get_policy(policy_arn)
        entities = [*self.get_roles(), *self.users.values(), *self.groups.values()]
        if any(policy.arn in entity.managed_policies for entity in entities):
            raise DeleteConflictException("Cannot delete a policy attached to entities.")
        if any(role.permissions_boundary_arn == policy.arn for role in self.get_roles()):
            raise DeleteConflictException("Cannot delete a policy used as a permissions boundary.")
        if len(policy.versions) > 1:
            raise DeleteConflictException("This policy has more than one version. Before you delete a policy, you must delete the policy's versions.")
        return original(self, policy_arn)

    @replaces(IAMBackend, "create_policy")
    def create_policy(
        original: Any, self: Any, description: str, path: str, policy_document: str, policy_name: str, tags: Any
    ) -> Any:
        """A managed policy has 6,144 characters."""
        check_managed(policy_document)
        return original(self, description, path, policy_document, policy_name, tags)

    @replaces(IAMBackend, "create_policy_version")
    def create_policy_version(original: Any, self: Any, policy_arn: str, policy_document: str, set_as_default: Any) -> Any:
        check_managed(policy_document)
        return original(self, policy_arn, policy_document, set_as_default)

    @replaces(IAMBackend, "attach_role_policy")
    def attach_role_policy(original: Any, self: Any, policy_arn: str, role_name: str) -> None:
        """A role has ten managed policies, before its account asks for more."""
        attached = self.get_role(role_name).managed_policies
        if policy_arn not in attached and len(attached) >= MANAGED_POLICIES_OF_ROLE:
            raise LimitExceededException(f"Cannot exceed quota for PoliciesPerRole: {MANAGED_POLICIES_OF_ROLE}")
        return original(self, policy_arn, role_name)

    @replaces(IAMBackend, "put_role_policy")
    def put_role_policy(original: Any, self: Any, role_name: str, policy_name: str, policy_json: str) -> None:
        """The inline policies of a role have 10,240 characters together."""
        others = [it for name, it in self.get_role(role_name).policies.items() if name != policy_name]
        if sum(len(re.sub(r"\s", "", it)) for it in [*others, policy_json]) > INLINE_POLICY_CHARACTERS:
            raise LimitExceededException(
                f"Maximum policy size of {INLINE_POLICY_CHARACTERS} bytes exceeded for role {role_name}"
            )
        return original(self, role_name, policy_name, policy_json)

    @adds(IamResponse, "list_instance_profile_tags")
    def list_instance_profile_tags(self: Any) -> ActionResult:
        profile = self.backend.get_instance_profile(self._get_param("InstanceProfileName"))
        return ActionResult({"Tags": profile.tags, "IsTruncated": False})


def check_managed(document: str) -> None:
    if len(re.sub(r"\s", "", document)) > MANAGED_POLICY_CHARACTERS:
        raise LimitExceededException(f"Cannot exceed quota for PolicySize: {MANAGED_POLICY_CHARACTERS}")


def roles() -> None:
    @replaces(IAMBackend, "create_role")
    def create_role(
        original: Any, self: Any, role_name: str, trust: str, path: str, boundary: str | None, *others: Any, **named: Any
    ) -> Any:
        """The trust policy is JSON, its principals exist, and so does the boundary."""
        check_trust(trust)
        check_boundary(self, boundary)
        return original(self, role_name, trust, path, boundary, *others, **named)

    @replaces(IAMBackend, "update_assume_role_policy")
    def update_assume_role_policy(original: Any, self: Any, role_name: str, policy_document: str) -> None:
        check_trust(policy_document)
        return original(self, role_name, policy_document)

    @replaces(IAMBackend, "put_role_permissions_boundary")
    def put_role_permissions_boundary(original: Any, self: Any, role_name: str, permissions_boundary: str) -> None:
        check_boundary(self, permissions_boundary)
        return original(self, role_name, permissions_boundary)

    @replaces(IAMBackend, "remove_role_from_instance_profile")
    def remove_role_from_instance_profile(original: Any, self: Any, profile_name: str, role_name: str) -> None:
        """Of a role that is not in the profile, IAM says that it cannot be found; moto fails."""
        if self.get_role(role_name) not in self.get_instance_profile(profile_name).roles:
            raise NotFoundException(f"Cannot remove role {role_name} from Instance Profile {profile_name}.")
        return original(self, profile_name, role_name)


def assume_role() -> None:
    @replaces(STSBackend, "assume_role")
    def assume(original: Any, self: Any, region_name: str, role_session_name: str, role_arn: str, **kwargs: Any) -> Any:
        """A role that does not exist cannot be assumed. Its trust policy is not evaluated."""
        if not role_exists(role_arn) and not role_arn.endswith(f":role/{ORGANIZATION_ROLE}"):
            raise STSClientError(
                "AccessDenied",
                f"User: arn:aws:iam::{self.account_id}:root is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
            )
        return original(self, region_name, role_session_name, role_arn, **kwargs)


def role_exists(arn: str) -> bool:
    found = re.fullmatch(r"arn:([a-z-]+):iam::(\d{12}):role/.+", arn)
    if not found:
        return False
    try:
        iam_backends[found[2]][found[1]].get_role_by_arn(arn)
    except NotFoundException:
        return False
    return True


def check_trust(document: str) -> None:
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError):
        raise IAMException("MalformedPolicyDocument", "This policy contains invalid Json") from None
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        named = principal.get("AWS", []) if isinstance(principal, dict) else []
        for arn in named if isinstance(named, list) else [named]:
            if re.fullmatch(r"arn:[a-z-]+:iam::\d{12}:role/.+", arn) and not role_exists(arn):
                raise IAMException("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{arn}"')


def check_boundary(backend: IAMBackend, arn: str | None) -> None:
    # AWS's own policies are not loaded, for the second that it takes.
    if arn and ":iam::aws:policy/" not in arn and arn not in backend.managed_policies:
        raise NotFoundException(f"Scope ARN: {arn} does not exist or is not attachable.")
