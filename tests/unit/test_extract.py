from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

import strongroom
from strongroom import (
    EntryNotFoundError,
    OutputError,
    OutputExistsError,
    ReadRoom,
    StrongroomWarning,
    TamperedError,
    WrongKeyError,
)
from tests.helpers import listing, noise, nothing_left

FILES = {"a.txt": b"alpha", "folder/b.bin": noise(3_000_000), "folder/deep/er/c": b"", "z": b"last"}
WHEN = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def archive() -> io.BytesIO:
    """An archive with files, folders and a program."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password="pass") as room:
        for name, data in FILES.items():
            room.write(name, data, modified=WHEN)
        room.mkdir("empty", modified=WHEN)
        room.write("run.sh", b"#!", mode=0o755)
    return stream


@contextmanager
def opened(archive: io.BytesIO) -> Iterator[ReadRoom]:
    """Open an archive with its password."""
    with strongroom.open(archive, password="pass") as room:
        yield room


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that stands below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_extracts_all(tmp_path: Path, archive: io.BytesIO) -> None:
    """All files and folders come out, for their owner alone, with their times, whatever the umask."""
    before = os.umask(0)
    try:
        with nothing_left(), opened(archive) as room:
            room.extract(tmp_path / "out")
    finally:
        os.umask(before)
    found = tree(tmp_path / "out")
    assert {name: data for name, data in found.items() if data is not None} == {**FILES, "run.sh": b"#!"}
    assert {name for name, data in found.items() if data is None} == {
        "empty",
        "folder",
        "folder/deep",
        "folder/deep/er",
    }
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o700 if path.is_dir() or path.name == "run.sh" else 0o600), path
    assert (tmp_path / "out" / "folder" / "b.bin").stat().st_mtime == WHEN.timestamp()


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_extracts_some(tmp_path: Path, archive: io.BytesIO, kind: type) -> None:
    """Names choose; the folder is a path of any kind, and may be there."""
    with opened(archive) as room:
        room.extract(kind(tmp_path), ["folder/b.bin"])
    assert tree(tmp_path) == {"folder": None, "folder/b.bin": FILES["folder/b.bin"]}


def test_names_are_checked_first(tmp_path: Path, archive: io.BytesIO) -> None:
    """A name that is not there is an error before anything is made."""
    with nothing_left(tmp_path), opened(archive) as room, pytest.raises(EntryNotFoundError):
        room.extract(tmp_path / "out", ["a.txt", "missing"])


def test_existing_files_stay(tmp_path: Path, archive: io.BytesIO) -> None:
    """A file that is there is never replaced; what was made before it is removed again, and nothing else."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    (tmp_path / "z").write_bytes(b"mine")
    with nothing_left(), opened(archive) as room, pytest.raises(OutputExistsError):
        room.extract(tmp_path)
    assert tree(tmp_path) == {"folder": None, "folder/mine": b"", "z": b"mine"}


@pytest.mark.parametrize("target", ["outside", "missing"])
@pytest.mark.parametrize("name", ["folder", "folder/deep", "a.txt", "folder/b.bin"])
def test_links_are_not_followed(tmp_path: Path, archive: io.BytesIO, name: str, target: str) -> None:
    """A link below the folder, wherever it points, is an error, and nothing appears behind it."""
    (tmp_path / "outside").mkdir()
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).symlink_to(tmp_path / target)
    before = tree(out)
    with nothing_left(), opened(archive) as room, pytest.raises(OutputError):
        room.extract(out)
    assert tree(out) == before
    assert listing(tmp_path / "outside") == []
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("obstacle", ["folder", "a.txt"])
def test_obstacles(tmp_path: Path, archive: io.BytesIO, obstacle: str) -> None:
    """A file where a folder must be, and a folder where a file must be, are an OutputError."""
    if obstacle == "folder":
        (tmp_path / obstacle).touch()
    else:
        (tmp_path / obstacle).mkdir()
    with nothing_left(tmp_path), opened(archive) as room, pytest.raises(OutputError):
        room.extract(tmp_path)


def test_folder_that_cannot_be_made(tmp_path: Path, archive: io.BytesIO) -> None:
    """The folder's own parent must be there, and it must be no file."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "missing" / "out", tmp_path / "file", tmp_path / "file" / "out"):
        with nothing_left(tmp_path), opened(archive) as room, pytest.raises(OutputError):
            room.extract(folder)


def test_name_that_the_disk_cannot_hold(tmp_path: Path) -> None:
    """A name of 300 bytes is an OutputError, and what was made is removed again."""
    stream = io.BytesIO()
    strongroom.seal({"a/b": b"", "a/" + "x" * 300: b""}, stream, format="zip", password="pass")
    with nothing_left(tmp_path), opened(stream) as room, pytest.raises(OutputError):
        room.extract(tmp_path / "out")


@pytest.mark.parametrize("made", [True, False])
def test_full_disk(tmp_path: Path, archive: io.BytesIO, monkeypatch: pytest.MonkeyPatch, *, made: bool) -> None:
    """Where the disk is full, all that was made is removed, with the folder if that was made too."""
    if not made:
        (tmp_path / "out").mkdir()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with nothing_left(tmp_path), opened(archive) as room:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OutputError):
            room.extract(tmp_path / "out")
        monkeypatch.undo()
    if not made:
        assert listing(tmp_path / "out") == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_stopped_by_progress(tmp_path: Path, archive: io.BytesIO, error: type[BaseException]) -> None:
    """What a progress callback raises, or Ctrl-C, arrives as it is, and nothing is left."""

    def stop(done: int, total: int | None) -> None:
        if done > 1_000_000:
            raise error

    with nothing_left(tmp_path), strongroom.open(archive, password="pass", progress=stop) as room, pytest.raises(error):
        room.extract(tmp_path / "out")


def test_progress(tmp_path: Path, archive: io.BytesIO) -> None:
    """Progress counts up to the total of what is extracted."""
    told: list[tuple[int, int | None]] = []
    with strongroom.open(archive, password="pass", progress=lambda *values: told.append(values)) as room:
        room.extract(tmp_path / "out")
    total = sum(map(len, FILES.values())) + 2
    assert told[-1] == (2 * total, 2 * total)  # checked, then written
    assert told == sorted(told)


@pytest.mark.parametrize("names", [None, ["a.txt"]])
def test_everything_is_verified_first(tmp_path: Path, archive: io.BytesIO, names: list[str] | None) -> None:
    """A single flipped bit in the last entry stops extraction before the first file is made."""
    damaged = bytearray(archive.getvalue())
    directory = int.from_bytes(damaged[-6:-2], "little")
    damaged[directory - 1] ^= 1  # of the authentication code of what stands before the directory
    with nothing_left(tmp_path), opened(io.BytesIO(damaged)) as room, pytest.raises(TamperedError):
        room.extract(tmp_path / "out", names)


def test_without_the_password(tmp_path: Path, archive: io.BytesIO) -> None:
    """Without a password nothing is made."""
    with nothing_left(tmp_path), strongroom.open(archive) as room, pytest.raises(WrongKeyError):
        room.extract(tmp_path / "out")


def test_symlinks_are_left_out(tmp_path: Path) -> None:
    """An entry that is a symlink is not made, and a warning says so."""
    stream = io.BytesIO()
    strongroom.seal({"a": b"/etc/passwd", "b": b"file"}, stream, format="zip", password="pass")
    changed = bytearray(stream.getvalue())
    record = changed.find(b"PK\x01\x02")
    changed[record + 40 : record + 42] = (stat.S_IFLNK | 0o777).to_bytes(2, "little")
    with pytest.warns(StrongroomWarning):
        room = strongroom.open(io.BytesIO(changed), password="pass", manifest="ignore")
    with room:
        assert [entry.kind for entry in room] == ["symlink", "file"]
        with pytest.warns(StrongroomWarning) as caught:
            room.extract(tmp_path)
    assert [warning.filename for warning in caught] == [__file__]
    assert tree(tmp_path) == {"b": b"file"}


def test_a_name_outside_the_systems_encoding(tmp_path: Path) -> None:
    """A name that a file cannot have here is an error of ours, and what was extracted before it is removed."""
    strongroom.seal({"a": b"x", "é": b"y"}, tmp_path / "a.zip", password="pass")
    code = f"""
import strongroom
with strongroom.open({str(tmp_path / "a.zip")!r}, password="pass") as room:
    try:
        room.extract({str(tmp_path / "out")!r})
    except strongroom.OutputError:
        print("refused")
"""
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "refused\n"
    assert listing(tmp_path) == ["a.zip"]


@pytest.fixture(params=["unnamed", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """File systems with and without unnamed files."""
    if request.param == "named":
        monkeypatch.setattr("strongroom.extract.create_unnamed", lambda *_: None)
    return str(request.param)


def test_a_file_has_its_name_once_it_is_whole(
    tmp_path: Path, archive: io.BytesIO, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a kill leaves no part of one under its name, where the file system has unnamed files."""
    seen = []
    real = os.write

    def watching(descriptor: int, data: memoryview) -> int:
        seen.append((tmp_path / "out/folder/b.bin").exists())
        return real(descriptor, data)

    with opened(archive) as room, monkeypatch.context() as patched:
        patched.setattr(os, "write", watching)
        room.extract(tmp_path / "out", ["folder/b.bin"])
    assert set(seen) == {kind == "named"}
    assert tree(tmp_path / "out")["folder/b.bin"] == FILES["folder/b.bin"]


def test_a_file_that_appears_meanwhile_stays(
    tmp_path: Path, archive: io.BytesIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not replaced, and what was extracted is removed again."""
    real = os.write

    def meanwhile(descriptor: int, data: memoryview) -> int:
        (tmp_path / "out/folder/b.bin").write_bytes(b"mine")
        return real(descriptor, data)

    with nothing_left(), opened(archive) as room, monkeypatch.context() as patched:
        patched.setattr(os, "write", meanwhile)
        with pytest.raises(OutputExistsError):
            room.extract(tmp_path / "out", ["folder/b.bin"])
    assert tree(tmp_path / "out") == {"folder": None, "folder/b.bin": b"mine"}


def test_a_disk_that_takes_nothing(
    tmp_path: Path, archive: io.BytesIO, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that takes nothing, and says that it went well, is an OutputError, and no loop without end."""
    with nothing_left(tmp_path), opened(archive) as room, monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda *_: 0)
        with pytest.raises(OutputError):
            room.extract(tmp_path / "out")
