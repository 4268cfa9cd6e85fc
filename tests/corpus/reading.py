"""What the corpus tests of all formats share: how a file is opened, read whole, and extracted."""

from __future__ import annotations

import os
import resource
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import strongroom
from strongroom.errors import StrongroomError, StrongroomWarning, UnsupportedError
from strongroom.limits import MIB, Limits
from tests.corpus.manifest import Row, digest

SMALL = Limits(total_size=64 * MIB)


@dataclass
class Found:
    """What an archive gave: data by entry, and errors."""

    data: list[bytes] = field(default_factory=list)
    errors: list[StrongroomError] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """The corpus's digest of the data."""
        return digest(self.data)


@contextmanager
def bounded() -> Iterator[None]:
    """No file takes more than 5 seconds of CPU, or 384 MiB of memory beyond what the process has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 384 * MIB, before[1]))
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < 5
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def open_row(row: Row, password: str | None, *, lenient: bool = True) -> strongroom.ReadRoom:
    """Open a file of the corpus, by default with all that is refused unless asked for."""
    return strongroom.open(
        row.path,
        password=password,
        format=row.format,
        legacy=lenient,
        allow_plaintext=lenient,
        threads=1,
        limits=SMALL,
    )


def read_all(row: Row, password: str | None) -> Found:
    """Read every entry; `verify` must come to the same end."""
    found = Found()
    try:
        with open_row(row, password) as room:
            for entry in room:
                try:
                    data = room.read(entry.name)
                except StrongroomError as error:
                    found.errors.append(error)
                    assert handed_out(room, entry.name) == b""
                else:
                    assert len(data) == entry.size
                    if entry.kind == "file":
                        found.data.append(data)
            assert room.verify().ok is not bool(found.errors)
    except StrongroomError as error:
        found.errors.append(error)
    return found


def handed_out(room: strongroom.ReadRoom, name: str) -> bytes:
    """What `chunks` gives of an entry before the error that `read` gave."""
    pieces: list[bytes] = []
    with pytest.raises(StrongroomError):
        pieces.extend(map(bytes, room.chunks(name)))
    return b"".join(pieces)


def assert_as_expected(row: Row, found: Found) -> None:
    """Sound archives give exactly their data; all others a `StrongroomError`, and no wrong data beside it."""
    if row.kind == "open":
        assert not found.errors
        assert found.sha256 == row.data_sha256
    elif row.kind == "unsupported" and not row.data_sha256:
        assert found.errors
        assert all(isinstance(error, UnsupportedError) for error in found.errors)
    elif row.kind in ("open-or-unsupported", "unsupported"):
        assert all(isinstance(error, UnsupportedError) for error in found.errors)
        assert found.errors or found.sha256 == row.data_sha256
    elif row.kind == "refuse":
        assert found.errors
    elif not found.errors and row.data_sha256:  # strict and traversal
        assert found.sha256 == row.data_sha256


def assert_extraction_stays_inside(row: Row, tmp_path: Path, names: Iterable[str]) -> None:
    """Nothing is made outside of the folder, no link inside of it; what is not whole leaves nothing at all.

    `names` are the archive's, as a careless tool would join them to the folder.
    """
    inner = tmp_path / "in" / "ner"
    inner.mkdir(parents=True)
    folder = inner / "folder"
    joined = (os.path.normpath(folder / name.replace("\\", "/").replace("\0", "")) for name in names)
    outside = {Path(path): Path(path).exists() for path in joined if not f"{path}/".startswith(f"{folder}/")}
    try:
        with open_row(row, row.password) as room:
            links = sum(entry.kind == "symlink" for entry in room)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always", StrongroomWarning)
                room.extract(folder)
    except StrongroomError:
        assert not folder.exists()
    else:
        assert len(warned) == links
        made = [path for path in folder.rglob("*") if not path.is_dir()]
        assert all(path.is_file() and not path.is_symlink() for path in made)
        if row.data_sha256:
            assert digest(path.read_bytes() for path in made) == row.data_sha256
    assert [path.name for path in inner.iterdir()] in ([], ["folder"])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert {path: path.exists() for path in outside} == outside


def assert_refused(row: Row, password: str | None) -> None:
    """An encrypted entry is never read without its password, nor with another one."""
    refused = 0
    try:
        with open_row(row, password) as room:
            for entry in room:
                if entry.encrypted:
                    with pytest.raises(StrongroomError):
                        room.read(entry.name)
                    refused += 1
    except StrongroomError:
        refused += 1
    assert refused
