"""One reading only (P8): what two readers of ZIP files read in two ways is refused, or read as 7zz reads it."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from stream_unzip import UnzipError, stream_unzip  # type: ignore[import-untyped]

from strongroom.errors import StrongroomError
from tests.proof import Tried
from tests.tamper import ambiguous
from tests.tamper.ambiguous import TYPES
from tests.tamper.oracle import Reading, ours, sevenzip
from tests.zipcraft import PASSWORD

MANY = "65,537"  # 7zz would make as many files
NOT_DISPUTED = {
    "B4 upper and lower case",  # but on Windows and macOS
    "C3 counts",  # none of these three goes by them
}


def others(archive: bytes) -> Iterator[dict[bytes, bytes]]:
    """What Python's zipfile, and stream-unzip, which goes through a file from its front, read of it."""
    foreign = zipfile.BadZipFile, ValueError, OSError, RuntimeError, zlib.error, EOFError
    with suppress(*foreign), zipfile.ZipFile(io.BytesIO(archive)) as other:
        yield {os.fsencode(item.filename): other.read(item) for item in other.infolist() if not item.is_dir()}
    with suppress(UnzipError, UnicodeDecodeError):
        found = ((name, b"".join(chunks)) for name, _, chunks in stream_unzip([archive]))
        yield {name: data for name, data in found if not name.endswith(b"/")}


def same(reading: Reading, theirs: Reading) -> bool:
    """Whether two readings are one.

    7zz makes folders that are only implied. On Linux it leaves a backslash of a DOS name in it, where on Windows, and
    here, it separates folders; names that nobody says the encoding of go onto the disk as they are, and are CP437 here.
    A link is made by 7zz, or a file with its target, and only reported here; the data is the same.
    """
    parts = [path.split(b"/") for path in (*reading.files, *reading.folders, *reading.links)]
    implied = {b"/".join(path[:depth]) for path in parts for depth in range(1, len(path))}
    slashed = {path.replace(b"\\", b"/"): data for path, data in (theirs.files | theirs.links).items()}
    data = dict(reading.files) | dict(reading.links)
    if data != slashed:
        data = {path.decode().encode("cp437", "replace"): value for path, value in data.items()}
    folders = {path.rstrip(b"\\").replace(b"\\", b"/") for path in theirs.folders}
    files_of_folders = {path.rstrip(b"/"): value for path, value in slashed.items() if value or path[-1:] != b"/"}
    return data == files_of_folders and folders <= reading.folders | implied


@pytest.mark.parametrize("kind", TYPES)
def test_one_reading(kind: str, tried: Tried, times: Callable[[int, int], int], tmp_path: Path) -> None:
    """Each of the 14 types, with entries that are not encrypted and with entries that are."""
    step = times(43, 1)
    found = [case for make in (ambiguous.plain, ambiguous.aes) for case in ambiguous.cases(make, kind, step)]
    archives = {f"{number:05}": case.archive for number, case in enumerate(found) if MANY not in case.label}
    theirs = sevenzip(tmp_path / "7zz", archives, "zip", PASSWORD)
    refused = disputed = 0
    for number, case in enumerate(found):
        reading = ours(case.archive, "zip", PASSWORD)
        if isinstance(reading, StrongroomError):
            refused += 1
        else:
            assert same(reading, theirs[f"{number:05}"]), (case.label, reading, theirs[f"{number:05}"])
        if MANY not in case.label:
            disputed += any(other != dict(theirs[f"{number:05}"].files) for other in others(case.archive))
    assert disputed or kind in NOT_DISPUTED, "or else the archives are not ambiguous"
    outcome = "refused" if refused == len(found) else "refused, or read as 7zz reads it"
    peers = {"zipfile or stream-unzip": f"read {disputed} of them otherwise than 7zz"} if disputed else {}
    tried("P8", f"ZIP of two readings: {kind}", outcome, count=len(found), peers=peers)
