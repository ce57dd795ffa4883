"""Descriptions of EC2 come in pages where the caller asks for it; snapshots are described by owner."""

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.responses.launch_templates import LaunchTemplates

from .patching import replaces

# What moto answers in one piece (or cuts off at 15 without a token): class, method, list in the reply, list of ids.
PAGED = (
    (AmisResponse, "describe_images", "Images", "ImageIds"),
    (ElasticBlockStore, "describe_snapshots", "Snapshots", "SnapshotIds"),
    (ElasticBlockStore, "describe_volumes", "Volumes", "VolumeIds"),
    (LaunchTemplates, "describe_launch_template_versions", "LaunchTemplateVersions", None),
    (LaunchTemplates, "describe_launch_templates", "LaunchTemplates", None),
)

EVERYTHING = 1_000_000


def apply() -> None:
    for responses, method, results, ids in PAGED:
        page(responses, method, results, ids)


def page(responses: type, method: str, results: str, ids: str | None) -> None:
    @replaces(responses, method)
    def describe(original: Any, self: Any) -> ActionResult:
        """`MaxResults` results at a time, the rest by `NextToken`. Not together with ids."""
        size = self._get_int_param("MaxResults")
        token = self._get_param("NextToken")
        if size is not None and ids and self._get_param(ids):
            raise EC2ClientError(
                "InvalidParameterCombination", f"The parameter {ids} cannot be used with the parameter MaxResults"
            )
        self.params["MaxResults"] = EVERYTHING
        reply = original(self)
        found = list(reply.result[results])
        if results == "Snapshots":
            found = owned(self, found)
        start = position(token, found)
        end = len(found) if size is None else start + size
        return ActionResult(
            {**reply.result, results: found[start:end], "NextToken": str(end) if end < len(found) else None}
        )


def position(token: str | None, found: list[Any]) -> int:
    if token is None:
        return 0
    if not token.isdigit() or int(token) > len(found):
        raise EC2ClientError("InvalidNextToken", f"The token '{token}' is invalid")
    return int(token)


def owned(response: Any, snapshots: list[Any]) -> list[Any]:
    """Of these owners. moto returns everyone's."""
    owners = response._get_param("OwnerIds", [])
    accounts = {response.current_account if owner == "self" else owner for owner in owners}
    return [snapshot for snapshot in snapshots if not accounts or snapshot.owner_id in accounts]
