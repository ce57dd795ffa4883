"""Tags in EC2: found by the id of what has them."""

from typing import Any

from moto.ec2.models.core import TaggedEC2Resource

from .patching import replaces


def apply() -> None:
    @replaces(TaggedEC2Resource, "get_tags")
    def get_tags(_original: Any, self: Any) -> list[dict[str, str]]:
        """The same answer at once. moto compares the id with all tags that there are or were, for each thing that it looks at."""
        tags = self.ec2_backend.tags.get(self.id, {})
        return [{"resource_id": self.id, "key": key, "value": value} for key, value in tags.items()]
