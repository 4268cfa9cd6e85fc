"""Today's tools on an archive that was tampered with: what each gives out, and whether it says what is wrong."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import libarchive  # type: ignore[import-untyped]
import py7zr
import pyzipper  # type: ignore[import-untyped]
from stream_unzip import UnzipError, stream_unzip  # type: ignore[import-untyped]

from tests.helpers import tool

PASSWORD: Final = "a made-up password"
_STEP: Final = 1000


class Gave(NamedTuple):
    """What a tool gave out of each entry, and whether it complained, be it at the end."""

    data: Mapping[str, bytes]
    complained: bool
    on_disk: bool = False

    def verdict(self, forged: Mapping[str, bytes]) -> str:
        """Say in words what the tool did with data that was never sealed, or that nobody has authenticated."""
        given = all(self.data.get(name, b"\0\0\0\0")[: max(len(data), 1)] == data for name, data in forged.items())
        if self.complained:
            return ("leaves it on the disk" if self.on_disk else "gives it out, then complains") if given else REFUSES
        return ACCEPTS if given else "gives out something else"


ACCEPTS: Final = "accepts it"
REFUSES: Final = "refuses it"
LEAVES: Final = "leaves it on the disk"
RELEASES: Final = "gives it out, then complains"


def by_pyzipper(archive: bytes, _: Path) -> Gave:
    """In pieces, as a program reads that has not the memory for a whole file."""
    found: dict[str, bytes] = {}
    try:
        with pyzipper.AESZipFile(io.BytesIO(archive)) as other:
            other.setpassword(PASSWORD.encode())
            for name in other.namelist():
                found[name] = b""
                with other.open(name) as file:
                    while data := file.read(_STEP):
                        found[name] += data
    except (zipfile.BadZipFile, pyzipper.BadZipFile):
        return Gave({name: data for name, data in found.items() if data}, complained=True)
    return Gave(found, complained=False)


def by_stream_unzip(archive: bytes, _: Path) -> Gave:
    """Its chunks as they come."""
    found: dict[str, bytes] = {}
    try:
        for name, _size, chunks in stream_unzip([archive], password=PASSWORD.encode()):
            for chunk in chunks:
                found[name.decode()] = found.get(name.decode(), b"") + chunk
            found.setdefault(name.decode(), b"")
    except UnzipError:
        return Gave(found, complained=True)
    return Gave(found, complained=False)


def by_libarchive_c(archive: bytes, _: Path) -> Gave:
    """Its blocks as they come."""
    found: dict[str, bytes] = {}
    with suppress(libarchive.ArchiveError), libarchive.memory_reader(archive, passphrase=PASSWORD) as other:
        for entry in other:
            found[entry.pathname] = b"".join(entry.get_blocks())
        return Gave(found, complained=False)
    return Gave(found, complained=True)


def by_7zz(archive: bytes, folder: Path) -> Gave:
    """Extracted."""
    return _extracted(archive, folder, tool("7zz"), "x", "-y", f"-p{PASSWORD}", "-oout", "archive")


def by_bsdtar(archive: bytes, folder: Path) -> Gave:
    """Extracted."""
    (folder / "out").mkdir()
    return _extracted(archive, folder, tool("bsdtar"), "-xf", "archive", "-C", "out", "--passphrase", PASSWORD)


def _extracted(archive: bytes, folder: Path, *command: str) -> Gave:
    (folder / "archive").write_bytes(archive)
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    return Gave({path.name: path.read_bytes() for path in files}, complained=done.returncode != 0, on_disk=True)


def by_py7zr(archive: bytes, _: Path) -> Gave:
    """Into memory, and tested as well."""
    factory = py7zr.io.BytesIOFactory(1 << 20)
    try:
        with py7zr.SevenZipFile(io.BytesIO(archive), password=PASSWORD) as other:
            bad = other.testzip()
        with py7zr.SevenZipFile(io.BytesIO(archive), password=PASSWORD) as other:
            other.extractall(factory=factory)
    except (py7zr.exceptions.ArchiveError, ValueError):
        return Gave({}, complained=True)
    return Gave({name: file.read() for name, file in factory.products.items()}, complained=bad is not None)


ZIP: Final[dict[str, Callable[[bytes, Path], Gave]]] = {
    "pyzipper": by_pyzipper,
    "stream-unzip": by_stream_unzip,
    "libarchive-c": by_libarchive_c,
    "7zz": by_7zz,
    "bsdtar": by_bsdtar,
}
SEVENZIP: Final[dict[str, Callable[[bytes, Path], Gave]]] = {"7zz": by_7zz, "py7zr": by_py7zr}


def verdicts(
    tools: Mapping[str, Callable[[bytes, Path], Gave]], archive: bytes, folder: Path, forged: Mapping[str, bytes]
) -> dict[str, str]:
    """What each tool does with an archive."""
    found: dict[str, str] = {}
    for name, read in tools.items():
        (folder / name).mkdir(parents=True)
        found[name] = read(archive, folder / name).verdict(forged)
    return found
