"""Images keep what they were registered with."""

from datetime import datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidSnapshotInUse
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.responses.amis import AmisResponse
from moto.ssm import ssm_backends
from moto.ssm.models import SimpleSystemManagerBackend

from .patching import adds, replaces


def put_parameter(account: str, region: str, name: str, value: str) -> None:
    """Put an image's id into a parameter of Systems Manager, for `resolve:ssm:`."""
    ssm_backends[account][region].put_parameter(name, "", value, "String", "", None, True, [], "aws:ec2:image", None, None)


def set_launched(account: str, region: str, image: str, launched: str) -> None:
    """When an instance was last started from an image, by anybody: `YYYY-MM-DDTHH:MM:SS.000Z`. AWS tells it a day later."""
    ec2_backends[account][region].amis[image].last_launched_time = launched


def set_state(account: str, region: str, image: str, state: str) -> None:
    """Such as `disabled` or `failed`."""
    ec2_backends[account][region].amis[image].state = state


def end_cooldown(account: str, region: str, image: str) -> None:
    """As if 24 hours had passed since the protection of an image was taken away."""
    ec2_backends[account][region].amis[image].cools_down = False


def set_dates(account: str, region: str, image: str, created: str, deprecated: str | None) -> None:
    """When an image was made, and when it is deprecated: `YYYY-MM-DDTHH:MM:SS.000Z`."""
    found = ec2_backends[account][region].amis[image]
    found.creation_date = datetime.strptime(created, "%Y-%m-%dT%H:%M:%S.%fZ")
    found.deprecation_time = deprecated


def apply() -> None:
    protection()
    parameters()

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
        image.registered_mappings = [with_encryption(self.ec2_backend, mapping) for mapping in mappings]
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

    @replaces(AmisResponse, "copy_image")
    def copy_image(original: Any, self: Any) -> ActionResult:
        """A copy has the architecture, the support of the metadata service and the volumes of what it is a copy of, encrypted if
        that is asked for, and its tags with `CopyImageTags`, snapshots' too."""
        reply = original(self)
        image = self.ec2_backend.amis[reply.result["ImageId"]]
        backends = ec2_backends[self.current_account]
        source = backends[self._get_param("SourceRegion")].amis[self._get_param("SourceImageId")]
        for attribute in ("root_device_name", "root_device_type", "imds_support", "ena_support", "boot_mode"):
            setattr(image, attribute, getattr(source, attribute, None))
        is_encrypted = bool(self._get_bool_param("Encrypted", False))
        image.ebs_snapshot.encrypted = is_encrypted
        if self._get_bool_param("CopyImageTags", False):
            image.add_tags(tags_of(source))
            image.ebs_snapshot.add_tags(tags_of(source.ebs_snapshot))
        root = moto_mappings(image)[0]
        image.registered_mappings = [{**root, "Ebs": {**root["Ebs"], "Encrypted": is_encrypted}}]
        return reply

    @replaces(EBSBackend, "delete_snapshot")
    def delete_snapshot(original: Any, self: Any, snapshot_id: str) -> Any:
        """Refused while any image is made of it (`InvalidSnapshot.InUse`); moto knows only the one that it made it for."""
        for image in self.amis.values():
            mappings = getattr(image, "registered_mappings", None) or []
            if any(mapping.get("Ebs", {}).get("SnapshotId") == snapshot_id for mapping in mappings):
                raise InvalidSnapshotInUse(snapshot_id, image.id)
        return original(self, snapshot_id)


def tags_of(resource: Any) -> dict[str, str]:
    return dict(resource.ec2_backend.tags.get(resource.id, {}))


def with_encryption(backend: Any, mapping: dict[str, Any]) -> dict[str, Any]:
    """A volume that is made of a snapshot is encrypted as that is."""
    volume = mapping.get("Ebs", {})
    snapshot = backend.snapshots.get(volume.get("SnapshotId"))
    if snapshot is None:
        return mapping
    return {**mapping, "Ebs": {**volume, "Encrypted": bool(snapshot.encrypted)}}


def protection() -> None:
    """Protection from deregistration ("Protect an Amazon EC2 AMI from deregistration"), which moto lacks. After one with a
    cooldown is taken away, it holds for 24 more hours; here until the harness says that they are over."""

    @adds(AmisResponse, "enable_image_deregistration_protection")
    def enable(self: Any) -> ActionResult:
        with_cooldown = self._get_bool_param("WithCooldown", False)
        kind = "enabled-with-cooldown" if with_cooldown else "enabled-without-cooldown"
        existing_image(self).deregistration_protection = kind
        return ActionResult({"Return": "true"})

    @adds(AmisResponse, "disable_image_deregistration_protection")
    def disable(self: Any) -> ActionResult:
        image = existing_image(self)
        image.cools_down = getattr(image, "deregistration_protection", "") == "enabled-with-cooldown"
        image.deregistration_protection = "disabled"
        return ActionResult({"Return": "true"})

    @replaces(AmisResponse, "deregister_image")
    def deregister(original: Any, self: Any) -> ActionResult:
        """A protected image cannot be deregistered."""
        image = self.ec2_backend.amis.get(self._get_param("ImageId"))
        is_enabled = getattr(image, "deregistration_protection", "").startswith("enabled")
        if is_enabled or getattr(image, "cools_down", False):
            message = f"The image {image.id} cannot be deregistered: deregistration protection is in force."
            raise EC2ClientError("OperationNotPermitted", message)
        return original(self)


def existing_image(response: Any) -> Ami:
    return response.ec2_backend.describe_images(ami_ids=[response._get_param("ImageId")])[0]


def parameters() -> None:
    @replaces(SimpleSystemManagerBackend, "put_parameter")
    def put(original: Any, self: Any, name: str, description: str, value: str, *args: Any, **kwargs: Any) -> Any:
        """What is of the type `aws:ec2:image` must be an available image of the account and region. That is checked after the
        answer: the request succeeds, and the parameter stays as it was ("Native parameter support for Amazon Machine Image
        IDs")."""
        data_type = kwargs.get("data_type", args[5] if len(args) > 5 else None)
        image = ec2_backends[self.account_id][self.region_name].amis.get(value)
        if data_type != "aws:ec2:image" or (image is not None and image.state == "available"):
            return original(self, name, description, value, *args, **kwargs)
        earlier = self._parameters.get(name) or []
        return earlier[-1] if earlier else Dropped()


class Dropped:
    """The answer to a parameter that will never be."""

    version = 1
    tier = "Standard"
