"""Instances take from a launch template what AWS takes; images are looked up before a launch."""

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend, Reservation
from moto.ec2.utils import convert_tag_spec
from moto.iam.models import iam_backends
from moto.ssm import ssm_backends

from .patching import replaces


def apply() -> None:
    @replaces(InstanceBackend, "run_instances")
    def run_instances(
        original: Any, self: Any, image_id: str, count: int, user_data: Any, security_group_names: Any, **kwargs: Any
    ) -> Reservation:
        """From the template: image, metadata options, instance profile, EBS optimisation, monitoring, the network interface's
        groups and public address, and the volumes' tags. What the call itself says comes first.

        `resolve:ssm:NAME` is looked up. An image or a profile that does not exist is refused.
        """
        template = kwargs.get("launch_template")
        data = self._get_template_from_args(template).data if template else {}
        image_id = resolve(self, image_id or data.get("ImageId") or "")
        image = next(iter(self.describe_images(ami_ids=[image_id])), None)
        if not kwargs.get("metadata_options"):
            kwargs["metadata_options"] = data.get("MetadataOptions") or {}
        if data.get("EbsOptimized") and not kwargs.get("ebs_optimized"):
            kwargs["ebs_optimized"] = True
        if (data.get("Monitoring") or {}).get("Enabled") and kwargs.get("monitoring_state") != "enabled":
            kwargs["monitoring_state"] = "enabled"
        primary = next(iter(data.get("NetworkInterfaces") or []), {})
        if primary.get("Groups") and not kwargs.get("security_group_ids"):
            kwargs["security_group_ids"] = list(primary["Groups"])
        if primary.get("AssociatePublicIpAddress") is not None and kwargs.get("associate_public_ip") is None:
            kwargs["associate_public_ip"] = primary["AssociatePublicIpAddress"]
        mappings = kwargs.get("block_device_mappings") or data.get("BlockDeviceMappings") or []
        kwargs["block_device_mappings"] = with_root(image, mappings)
        tags = dict(kwargs.get("tags") or {})
        volume_tags = convert_tag_spec(data.get("TagSpecifications", [])).get("volume", {})
        kwargs["tags"] = {**tags, "volume": {**volume_tags, **tags.get("volume", {})}}

        explicit = kwargs.get("iam_instance_profile_name") or kwargs.get("iam_instance_profile_arn")
        profile = None if explicit else data.get("IamInstanceProfile")
        if profile:
            check_profile(self, profile)
        reservation = original(self, image_id, count, user_data, security_group_names, **kwargs)
        for instance in reservation.instances:
            own_interfaces(instance, kwargs.get("nics"))
        for instance in reservation.instances if profile else []:
            self.associate_iam_instance_profile(
                instance_id=instance.id,
                iam_instance_profile_name=profile.get("Name"),
                iam_instance_profile_arn=profile.get("Arn"),
            )
        return reservation


def with_root(image: Any, mappings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """There is always a root volume, under the image's name for it, and it goes with the instance unless told otherwise.

    moto makes one of its own, under another name, beside those that the template asks for.
    """
    root_name = image.root_device_name if image else "/dev/sda1"
    given = next((it for it in mappings if it.get("DeviceName") == root_name), {})
    defaults = {"VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True}
    root = {"DeviceName": root_name, "Ebs": {**defaults, **given.get("Ebs", {})}}
    return [root, *(it for it in mappings if it.get("DeviceName") != root_name)]


def own_interfaces(instance: Any, asked_for: Any) -> None:
    """An interface that a launch makes has the instance's groups and goes with the instance."""
    for interface in instance.nics.values() if not asked_for else []:
        interface.delete_on_termination = True
        if instance.security_groups:
            interface._group_set = list(instance.security_groups)


def resolve(backend: Any, image_id: str) -> str:
    """The image that a parameter of Systems Manager names."""
    if not image_id.startswith("resolve:ssm:"):
        return image_id
    name = image_id.removeprefix("resolve:ssm:")
    parameter = ssm_backends[backend.account_id][backend.region_name].get_parameter(name)
    if parameter is None:
        raise EC2ClientError("InvalidParameterValue", f"The parameter '{name}' of the image id does not exist")
    return parameter.value


def check_profile(backend: Any, profile: dict[str, str]) -> None:
    profiles = iam_backends[backend.account_id][backend.partition].get_instance_profiles()
    if not any(it.name == profile.get("Name") or it.arn == profile.get("Arn") for it in profiles):
        key, value = ("name", profile["Name"]) if "Name" in profile else ("arn", profile.get("Arn"))
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ({value}) for parameter iamInstanceProfile.{key} is invalid. Invalid IAM Instance Profile {key}",
        )
