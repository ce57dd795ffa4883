"""Reads and validates SPDX JSON with spdx-tools, and prints how much it understood."""

import json
import sys

from spdx_tools.spdx.model.relationship import RelationshipType
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def main(path):
    document = parse_file(path)
    messages = validate_full_spdx_document(document)
    if messages:
        sys.exit("\n".join(f"{message.context.spdx_id}: {message.validation_message}" for message in messages))
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    urls = sorted(ref.locator for package in document.packages for ref in package.external_references)
    expected = sorted(ref["referenceLocator"] for package in given["packages"] for ref in package.get("externalRefs", []))
    if urls != expected or len(document.packages) != len(given["packages"]):
        sys.exit(f"{path}: packages were lost")
    if len(document.relationships) != len(given["relationships"]):
        sys.exit(f"{path}: relationships were lost")
    kinds = [relationship.relationship_type for relationship in document.relationships]
    print(len(document.packages), kinds.count(RelationshipType.CONTAINS), kinds.count(RelationshipType.DEPENDS_ON))


main(sys.argv[1])
