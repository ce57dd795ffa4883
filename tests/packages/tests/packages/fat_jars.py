"""Puts the jars below a folder into a web application, and that into an enterprise application with an executable jar."""

import os
import sys
import zipfile

source, target = sys.argv[1:]
jars = sorted(
    os.path.join(folder, name)
    for folder, _, names in os.walk(source)
    for name in names
    if name.endswith(".jar") and not os.path.islink(os.path.join(folder, name))
)
war, boot = os.path.join(target, "app.war"), os.path.join(target, "boot-1.0.jar")
with zipfile.ZipFile(war, "w", zipfile.ZIP_DEFLATED) as archive:
    for jar in jars[::2]:
        archive.write(jar, "WEB-INF/lib/" + os.path.basename(jar))
with open(boot, "wb") as file:
    # As Spring Boot makes them: a script before the archive, and the libraries stored.
    file.write(b"#!/bin/sh\nexec java -jar \"$0\"\n")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for jar in jars[1::2]:
            archive.write(jar, "BOOT-INF/lib/" + os.path.basename(jar))
with zipfile.ZipFile(os.path.join(target, "all.ear"), "w", zipfile.ZIP_DEFLATED) as archive:
    archive.write(war, "app.war")
    archive.write(boot, "boot-1.0.jar", zipfile.ZIP_STORED)
