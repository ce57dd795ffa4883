"""Launch templates: tags, versions made from versions, deletion of versions, errors for unknown ids."""

import copy
import re
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidLaunchTemplateIdNotFound,
    InvalidLaunchTemplateVersionNotFound,
)
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateBackend, LaunchTemplateVersion
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import parse_user_data

from .instances import resolve
from .patching import adds, replaces


def apply() -> None:
    versions()
    templates()


def versions() -> None:
    @replaces(LaunchTemplate, "create_version")
    def create_version(_original: Any, self: Any, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
        """Versions are counted up; a deleted version's number is not used again."""
        self.versions_made = getattr(self, "versions_made", 0) + 1
        version = LaunchTemplateVersion(self, self.versions_made, data, description)
        self.versions.append(version)
        return version

    @replaces(LaunchTemplate, "get_version")
    def get_version(_original: Any, self: Any, num: Any) -> LaunchTemplateVersion:
        """By number, `$Latest` or `$Default`; moto takes the number for a position."""
        if str(num).lower() == "$latest":
            return self.versions[-1]
        wanted = self.default_version_number if str(num).lower() == "$default" else num
        for version in self.versions:
            if str(version.number) == str(wanted):
                return version
        raise InvalidLaunchTemplateVersionNotFound(template_id=self.id, version=num)

    @replaces(LaunchTemplate, "default_version")
    def default_version(_original: Any, self: Any) -> LaunchTemplateVersion:
        return self.get_version(self.default_version_number)

    @replaces(LaunchTemplates, "create_launch_template_version")
    def create_launch_template_version(_original: Any, self: Any) -> ActionResult:
        """With `SourceVersion` a new version starts from that one; what is given replaces it, parameter by parameter."""
        if (earlier := answers(self).get(self._get_param("ClientToken"))) is not None:
            return earlier
        template = named_template(self)
        data = dict(self._get_param("LaunchTemplateData", {}))
        if "UserData" in data:
            data["UserData"] = parse_user_data(data["UserData"])
        source = self._get_param("SourceVersion")
        if source is not None:
            data = {**copy.deepcopy(template.get_version(source).data), **data}
        self.error_on_dryrun()
        version = template.create_version(data, self._get_param("VersionDescription"))
        reply = ActionResult(
            {
                "LaunchTemplateVersion": {
                    "CreateTime": version.create_time,
                    "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
                    "DefaultVersion": template.is_default(version),
                    "LaunchTemplateData": version.data,
                    "LaunchTemplateId": template.id,
                    "LaunchTemplateName": template.name,
                    "VersionDescription": version.description,
                    "VersionNumber": version.number,
                }
            }
        )
        return remembered(self, reply)

    @replaces(LaunchTemplates, "describe_launch_template_versions")
    def describe_launch_template_versions(original: Any, self: Any) -> ActionResult:
        """With `ResolveAlias`, an image that a parameter of Systems Manager names is told by its id."""
        reply = original(self)
        if self._get_bool_param("ResolveAlias", False):
            for version in reply.result["LaunchTemplateVersions"]:
                data = version["LaunchTemplateData"]
                image = resolve(self.ec2_backend, data.get("ImageId", ""))
                version["LaunchTemplateData"] = {**data, "ImageId": image}
        return reply

    @adds(LaunchTemplates, "delete_launch_template_versions")
    def delete_launch_template_versions(self: Any) -> ActionResult:
        """Each version is deleted or not by itself. The default version cannot be deleted."""
        template = named_template(self)
        self.error_on_dryrun()
        deleted, kept = [], []
        for number in self._get_param("Versions", []):
            entry = {
                "LaunchTemplateId": template.id,
                "LaunchTemplateName": template.name,
                "VersionNumber": int(number),
            }
            version = next((version for version in template.versions if str(version.number) == str(number)), None)
            if version is None:
                error = {"Code": "launchTemplateVersionDoesNotExist", "Message": f"Version {number} does not exist."}
                kept.append({**entry, "ResponseError": error})
            elif template.is_default(version):
                error = {"Code": "unexpectedError", "Message": "The default version cannot be deleted."}
                kept.append({**entry, "ResponseError": error})
            else:
                template.versions.remove(version)
                deleted.append(entry)
        return ActionResult(
            {
                "SuccessfullyDeletedLaunchTemplateVersions": deleted,
                "UnsuccessfullyDeletedLaunchTemplateVersions": kept,
            }
        )


def templates() -> None:
    @replaces(LaunchTemplates, "create_launch_template")
    def create_launch_template(original: Any, self: Any) -> ActionResult:
        """A template's own tags are not part of what it launches. In moto they are, a difference for ever to Terraform."""
        if (earlier := answers(self).get(self._get_param("ClientToken"))) is not None:
            return earlier
        reply = original(self)
        template = self.ec2_backend.get_launch_template(reply.result["LaunchTemplate"]["LaunchTemplateId"])
        data = template.versions[0].data
        launched = [it for it in data.get("TagSpecifications", []) if it["ResourceType"] != "launch-template"]
        data["TagSpecifications"] = launched
        if not launched:
            del data["TagSpecifications"]
        return remembered(self, reply)

    @replaces(LaunchTemplateBackend, "describe_launch_templates")
    def describe_launch_templates(
        original: Any, self: Any, template_names: Any = None, template_ids: Any = None, filters: Any = None
    ) -> list[LaunchTemplate]:
        """An unknown id is an error; moto returns nothing."""
        for template_id in template_ids or []:
            check_id(self, template_id)
        return original(self, template_names=template_names, template_ids=template_ids, filters=filters)

    for action in ("delete_launch_template", "modify_launch_template"):

        @replaces(LaunchTemplates, action)
        def by_id(original: Any, self: Any) -> ActionResult:
            """An unknown id is `InvalidLaunchTemplateId.NotFound`; moto speaks of an unknown name."""
            if template_id := self._get_param("LaunchTemplateId"):
                check_id(self.ec2_backend, template_id)
            return original(self)


def answers(response: Any) -> dict[str, ActionResult]:
    """The answers to creations by client token: a request that is made again gets the same ("Ensuring idempotency")."""
    return vars(response.ec2_backend).setdefault("launch_template_answers", {})


def remembered(response: Any, reply: ActionResult) -> ActionResult:
    if token := response._get_param("ClientToken"):
        answers(response)[token] = reply
    return reply


def named_template(response: Any) -> LaunchTemplate:
    if template_id := response._get_param("LaunchTemplateId"):
        check_id(response.ec2_backend, template_id)
        return response.ec2_backend.get_launch_template(template_id)
    return response.ec2_backend.get_launch_template_by_name(response._get_param("LaunchTemplateName"))


def check_id(backend: Any, template_id: str) -> None:
    if not re.fullmatch(r"lt-[0-9a-f]{17}", template_id):
        raise EC2ClientError("InvalidLaunchTemplateId.Malformed", f"Invalid id: '{template_id}' (expecting 'lt-...')")
    if template_id not in backend.launch_templates:
        raise InvalidLaunchTemplateIdNotFound(template_id)
