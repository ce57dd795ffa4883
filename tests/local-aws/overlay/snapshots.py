"""EBS snapshots: they take time, can fail, and know the key that encrypts them."""

from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot

from .patching import replaces


class Outcome:
    """How the snapshots that are made from now on will go: so many descriptions as `pending`, then `status`."""

    pending_describes = 0
    status = "completed"


def set_outcome(pending_describes: int, status: str) -> None:
    Outcome.pending_describes = pending_describes
    Outcome.status = status


def look_up(account: str, region: str, snapshot: str) -> dict[str, Any] | None:
    """The snapshot as EBS direct must know it. Looking does not make a pending snapshot any older."""
    found = ec2_backends[account][region].snapshots.get(snapshot)
    if found is None:
        return None
    return {"status": found.status, "volume_size": int(found.volume_size), "volume_id": found.volume_id}


def apply() -> None:
    @replaces(EBSBackend, "create_snapshot")
    def create_snapshot(original: Any, self: Any, *args: Any, **kwargs: Any) -> Snapshot:
        """A new snapshot is `pending`; one of an encrypted volume names the volume's key.

        The snapshot behind a registered image (`from_ami`) is complete: AWS does not register an image before.
        """
        snapshot = original(self, *args, **kwargs)
        snapshot.kms_key_id = snapshot.volume.kms_key_id
        if snapshot.from_ami is None:
            snapshot.status = "pending"
            snapshot.pending_describes = Outcome.pending_describes
            snapshot.final_status = Outcome.status
        return snapshot

    @replaces(EBSBackend, "copy_snapshot")
    def copy_snapshot(original: Any, self: Any, *args: Any, **kwargs: Any) -> Snapshot:
        """A copy takes time as well."""
        snapshot = original(self, *args, **kwargs)
        snapshot.status = "pending"
        snapshot.pending_describes = Outcome.pending_describes
        snapshot.final_status = Outcome.status
        return snapshot

    @replaces(EBSBackend, "describe_snapshots")
    def describe_snapshots(
        original: Any, self: Any, snapshot_ids: list[str] | None = None, filters: Any = None
    ) -> list[Snapshot]:
        """Each description finds a pending snapshot a step further, until it is `completed` or `error`."""
        for snapshot in self.snapshots.values():
            asked_for = not snapshot_ids or snapshot.id in snapshot_ids
            if asked_for and snapshot.status == "pending":
                if snapshot.pending_describes == 0:
                    snapshot.status = snapshot.final_status
                else:
                    snapshot.pending_describes -= 1
        return original(self, snapshot_ids=snapshot_ids, filters=filters)

    def progress(self: Snapshot) -> str:
        """`0%` until it is complete; moto says `100%` always."""
        return "100%" if self.status == "completed" else "0%"

    Snapshot.progress = property(progress)
