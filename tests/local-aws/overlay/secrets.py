"""Secrets that are scheduled for deletion take no changes and keep their names."""

from typing import Any

from moto.secretsmanager.exceptions import InvalidRequestException
from moto.secretsmanager.models import SecretsManagerBackend

from .patching import replaces

# What AWS refuses for a secret that is marked for deletion (each operation's `InvalidRequestException`).
REFUSED = (
    "delete_resource_policy",
    "get_resource_policy",
    "put_resource_policy",
    "put_secret_value",
    "tag_resource",
    "untag_resource",
    "update_secret",
)


def apply() -> None:
    for method in REFUSED:
        refuse(method)

    @replaces(SecretsManagerBackend, "create_secret")
    def create_secret(original: Any, self: Any, name: str, **arguments: Any) -> str:
        """A secret that is scheduled for deletion keeps its name. moto says that it exists."""
        secret = self.secrets.get(name)
        if secret is not None and secret.is_deleted():
            raise InvalidRequestException(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        return original(self, name=name, **arguments)


def refuse(method: str) -> None:
    @replaces(SecretsManagerBackend, method)
    def change(original: Any, self: Any, secret_id: str, *arguments: Any, **named: Any) -> Any:
        """Nothing can be done to a secret that is scheduled for deletion but look at it and restore it."""
        secret = self.secrets.get(secret_id)
        if secret is not None and secret.is_deleted():
            raise InvalidRequestException(
                "You can't perform this operation on the secret because it was marked for deletion."
            )
        return original(self, secret_id, *arguments, **named)
