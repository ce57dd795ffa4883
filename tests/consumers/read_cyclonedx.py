"""Reads CycloneDX JSON with cyclonedx-python-lib, writes it again, and says what was lost."""

import json
import sys

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6


def components(found):
    for component in found:
        yield component
        yield from components(component.get("components", []))


def properties(thing):
    return sorted((entry["name"], entry.get("value")) for entry in thing.get("properties", []))


def facts(bom):
    """What a list says, without the order in which it is said."""
    found = {}
    for component in components([bom["metadata"]["component"], *bom["components"]]):
        evidence = component.get("evidence", {})
        identities = evidence.get("identity", [])
        found[component["bom-ref"]] = {
            "fields": {name: component.get(name) for name in ["type", "group", "name", "version", "description", "purl"]},
            "supplier": component.get("supplier"),
            "licenses": sorted(json.dumps(choice) for choice in component.get("licenses", [])),
            "inside": sorted(inner["bom-ref"] for inner in component.get("components", [])),
            "places": sorted((place["location"], place["additionalContext"]) for place in evidence.get("occurrences", [])),
            "identities": [
                (identity["field"], float(identity["confidence"]), sorted(
                    (method["technique"], float(method["confidence"]), method["value"]) for method in identity["methods"]
                ))
                for identity in identities
            ],
            "properties": properties(component),
        }
    # The library names those that need nothing, too.
    needs = {entry["ref"]: sorted(entry["dependsOn"]) for entry in bom["dependencies"] if entry.get("dependsOn")}
    return {
        "serial": bom["serialNumber"],
        "components": found,
        "needs": needs,
        "properties": properties(bom),
    }


def main(path):
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    # The library knows no compositions.
    del given["compositions"]
    read = Bom.from_json(given)
    # Raises for a reference to what is not there.
    read.validate()
    written = json.loads(JsonV1Dot6(read).output_as_string())
    before, after = facts(given), facts(written)
    for name, value in before.items():
        if value != after[name]:
            differences = [(key, value[key], after[name].get(key)) for key in value if value[key] != after[name].get(key)] \
                if isinstance(value, dict) else [(value, after[name])]
            sys.exit(f"{path}: {name} differ: {differences[:3]}")
    print(len(before["components"]), len(before["needs"]))


main(sys.argv[1])
