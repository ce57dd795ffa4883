"""Every pom.properties below a folder, in archives and in archives in them, by Python's own reader of zip archives.

A line each: the file, the archive in it, the path of the pom.properties in that, name, version; separated by tabs.
"""

import io
import os
import sys
import zipfile

SUFFIXES = (".jar", ".war", ".ear")


def look(path, archive, within):
    for info in archive.infolist():
        place = "!/".join(filter(None, (within, info.filename)))
        if info.filename.endswith("/pom.properties"):
            lines = archive.read(info).decode().splitlines()
            fields = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
            name = fields["groupId"] + ":" + fields["artifactId"]
            print(path, within, place, name, fields["version"], sep="\t")
        elif info.filename.lower().endswith(SUFFIXES) and info.file_size:
            with zipfile.ZipFile(io.BytesIO(archive.read(info))) as nested:
                look(path, nested, place)


root = sys.argv[1]
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        if name.lower().endswith(SUFFIXES) and not os.path.islink(path):
            with zipfile.ZipFile(path) as archive:
                look("/" + os.path.relpath(path, root), archive, "")
