"""What `shutil.make_archive` and `zipfile` are used for, in a line each, and encrypted.

`shutil.make_archive` itself can be taught a format; `zipfile`'s interface, and pyzipper's, is
`strongroom.compat.pyzipper`'s. `python -m examples.one_liners FOLDER`
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import strongroom
from strongroom import Secret
from strongroom.compat import pyzipper

FORMAT = "strongroom"


def main(source: Path, folder: Path, password: bytearray) -> list[str]:
    """Seal a folder in four ways, and give the names that each archive has."""
    strongroom.seal(source, folder / "folder.zip", password=password)  # a whole tree
    strongroom.seal({"a.txt": b"one", "b/c.txt": b"two"}, folder / "names.7z", password=password)  # a dict
    with make_archive_knows(password):
        shutil.make_archive(str(folder / "shutil"), FORMAT, source)
    with pyzipper.AESZipFile(folder / "zipfile.zip", "w", pyzipper.ZIP_DEFLATED) as archive:
        archive.setpassword(password)
        archive.writestr("a.txt", "one")

    names = []
    for path in ("folder.zip", "names.7z", "shutil.zip", "zipfile.zip"):
        with strongroom.unseal(folder / path, password=password) as ram:
            names.append(" ".join(ram.find("/")))
    return names


@contextmanager
def make_archive_knows(password: bytearray) -> Iterator[None]:
    """Teach `shutil.make_archive` our format in this block, since its table would keep the password for ever."""
    with Secret(password) as secret:

        def make(base_name: str, base_dir: str, **_: object) -> str:
            strongroom.seal(Path(base_dir), f"{base_name}.zip", password=secret, name=Path(base_dir).absolute().name)
            return f"{base_name}.zip"

        shutil.register_archive_format(FORMAT, make, description="ZIP, encrypted with AES-256")
        try:
            yield
        finally:
            shutil.unregister_archive_format(FORMAT)


if __name__ == "__main__":
    print(*main(Path(sys.argv[1]), Path(), bytearray(b"nine tame owls read maps")), sep="\n")
