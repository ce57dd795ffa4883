"""Writes jars into a folder: of 10,000 jars side by side, of 10,000 in each other, and one with names that lead out of it."""

import io
import os
import sys
import zipfile

folder = sys.argv[1]
NUMBER = 10_000


def pom(name):
    path = f"META-INF/maven/org.example/{name}/pom.properties"
    return path, f"version=1.0\ngroupId=org.example\nartifactId={name}\n"


def jar(*entries):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data)
    return content.getvalue()


def write(name, content):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)


write("many.jar", jar(*((f"lib/{number}.jar", jar(pom(f"many-{number}"))) for number in range(NUMBER))))

deep = jar(pom("deepest"))
for _ in range(NUMBER - 1):
    deep = jar(("in.jar", deep))
write("deep.jar", jar(pom("deep"), ("in.jar", deep)))

beside = jar(pom("beside"))
write(
    "absolute.jar",
    jar(("/etc/passwd", "x"), ("/lib/out.jar", jar(pom("out"))), pom("absolute"), ("lib/beside.jar", beside)),
)
