"""Images keep what they were registered with."""

from datetime import datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.responses.amis import AmisResponse
from moto.ssm import ssm_backends

from .patching import replaces


def put_parameter(account: str, region: str, name: str, value: str) -> None:
    """Put an image's id into a parameter of Systems Manager, for `resolve:ssm:`."""
    ssm_backends[account][region].put_parameter(name, "", value, "String", "", None, True, [], "aws:ec2:image", None, None)


def set_dates(account: str, region: str, image: str, created: str, deprecated: str | None) -> None:
    """When an image was made, and when it is deprecated: `YYYY-MM-DDTHH:MM:SS.000Z`."""
    found = ec2_backends[account][region].amis[image]
    found.creation_date = datetime.strptime(created, "%Y-%m-%dT%H:%M:%S.%fZ")
    found.deprecation_time = deprecated


def apply() -> None:
    @replaces(AmisResponse, "register_image")
    def register_image(original: Any, self: Any) -> ActionResult:
        """Architecture, virtualization, root device, block devices and tags are kept; a name is used once."""
        name = self._get_param("Name")
        for image in self.ec2_backend.amis.values():
            if image.name == name and image.owner_id == self.current_account:
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")
        mappings = self._get_param("BlockDeviceMappings", [])
        for mapping in mappings:
            if snapshot := mapping.get("Ebs", {}).get("SnapshotId"):
                self.ec2_backend.get_snapshot(snapshot)
        reply = original(self)
        image = self.ec2_backend.amis[reply.result["ImageId"]]
        image.architecture = self._get_param("Architecture", "x86_64")
        image.virtualization_type = self._get_param("VirtualizationType", "hvm")
        image.root_device_name = self._get_param("RootDeviceName", image.root_device_name)
        image.root_device_type = "ebs"
        image.ena_support = self._get_param("EnaSupport")
        image.imds_support = self._get_param("ImdsSupport")
        image.boot_mode = self._get_param("BootMode", image.boot_mode)
        image.registered_mappings = mappings
        image.add_tags(self._parse_tag_specification().get("image", {}))
        return reply

    moto_mappings = Ami.block_device_mappings.fget

    def block_device_mappings(self: Ami) -> list[dict[str, Any]]:
        return getattr(self, "registered_mappings", None) or moto_mappings(self)

    Ami.block_device_mappings = property(block_device_mappings)

    @replaces(AmiBackend, "create_image")
    def create_image(
        original: Any, self: Any, instance_id: str, name: str, description: str, tag_specifications: list[dict[str, Any]]
    ) -> Ami:
        """The snapshots of a new image can be tagged in the same call."""
        of_snapshots = [it for it in tag_specifications if it["ResourceType"] == "snapshot"]
        others = [it for it in tag_specifications if it["ResourceType"] != "snapshot"]
        image = original(self, instance_id, name, description, tag_specifications=others)
        for specification in of_snapshots:
            image.ebs_snapshot.add_tags({tag["Key"]: tag["Value"] for tag in specification["Tags"]})
        return image
