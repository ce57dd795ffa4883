"""Unpacks the *.deps.json of wheels into a folder, and prints the packages that they list.

A line each: the file, name, version; separated by tabs. A package without files for the runtime target is left out where
the file is that of an application; that no file of its name is beside it is checked.
"""

import json
import os
import sys
import zipfile

folder, wheels = sys.argv[1], sys.argv[2:]
for path in wheels:
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        for name in sorted(name for name in names if name.endswith(".deps.json")):
            wheel.extract(name, folder)
            deps = json.loads(wheel.read(name).decode("utf-8-sig"))
            target = deps["targets"][deps["runtimeTarget"]["name"]]
            kinds = {library["type"] for library in deps["libraries"].values()}
            for key, library in deps["libraries"].items():
                package, version = key.split("/")
                assets = [target[key].get(kind) for kind in ("runtime", "runtimeTargets", "native", "resources")]
                if library["type"] == "package" and "project" in kinds and not any(assets):
                    beside = f"{os.path.dirname(name)}/{package}.dll"
                    assert beside not in names, beside
                    continue
                print("/" + name, package, version, sep="\t")
