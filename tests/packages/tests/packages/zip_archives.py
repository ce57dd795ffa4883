"""Writes archives of all kinds that Python can, and prints what it reads back.

A line each: the archive, the name in hexadecimal, the mode, whether it is a directory, the content in hexadecimal.
"""

import io
import os
import random
import sys
import zipfile


class Unseekable(io.RawIOBase):
    """What makes Python write sizes behind the content."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, content):
        return self.file.write(content)


target, seed = sys.argv[1], int(sys.argv[2])
for number in range(60):
    chance = random.Random(seed * 1000 + number)
    path = os.path.join(target, f"{number}.zip")
    with open(path, "wb") as file:
        file.write(bytes(chance.randbytes(chance.choice([0, 0, 100, 70000]))))
        out = Unseekable(file) if chance.random() < 0.3 else file
        with zipfile.ZipFile(out, "w") as archive:
            names = set()
            for _ in range(chance.choice([0, 1, 5, 50])):
                parts = ["".join(chance.choices("abcé漢 ._-", k=chance.randint(1, 9))) for _ in range(chance.randint(1, 4))]
                name = "/".join(part for part in parts if part not in (".", ".."))
                if not name or name in names:
                    continue
                names.add(name)
                info = zipfile.ZipInfo(name + chance.choice(["", "", "", "/"]))
                info.create_system = chance.choice([0, 3])
                info.external_attr = chance.choice([0, 0o100644, 0o120777, 0o100755]) << 16
                info.compress_type = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
                info.comment = b"c" * chance.choice([0, 10])
                content = b"" if info.is_dir() else chance.choice([b"", b"x" * 100000, chance.randbytes(3000)])
                if out is file and not info.is_dir() and chance.random() < 0.2:
                    with archive.open(info, "w", force_zip64=True) as entry:
                        entry.write(content)
                else:
                    archive.writestr(info, content)
            archive.comment = b"comment" * chance.choice([0, 1, 1000])
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16 if info.create_system == 3 else 0
            name = info.orig_filename.encode("utf-8").hex()
            print(number, name, mode, int(info.is_dir()), archive.read(info).hex(), sep="\t")
