from __future__ import annotations

import gc
import io
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

import strongroom
from strongroom import FormatError, LimitError, Limits, StrongroomWarning, TruncatedError
from strongroom.source import Cursor, FileSource, Source, local_tree, open_source, read, truncated
from tests.helpers import noise, nothing_left

DATA = noise(3_000_000)


class Unseekable(io.BytesIO):
    """A stream that behaves as a pipe does, short reads included."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise io.UnsupportedOperation

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 65_536) if size and size > 0 else size)


class ShortReads(io.BytesIO):
    """A stream that can seek, and gives less than it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 1000) if size and size > 0 else size)


def through_a_pipe(folder: Path) -> BinaryIO:
    """Give the data through a pipe."""
    ours, theirs = os.pipe()

    def feed() -> None:
        with open(theirs, "wb") as pipe:  # noqa: PTH123
            pipe.write(DATA)

    threading.Thread(target=feed).start()
    return open(ours, "rb", buffering=0)  # noqa: PTH123


def through_a_fifo(folder: Path) -> Path:
    """Give the data through a named pipe."""
    os.mkfifo(folder / "fifo")
    threading.Thread(target=(folder / "fifo").write_bytes, args=[DATA]).start()
    return folder / "fifo"


def in_a_file(folder: Path) -> Path:
    """Give the data in a file."""
    (folder / "file").write_bytes(DATA)
    return folder / "file"


def as_text(folder: Path) -> str:
    """Name the file as text."""
    return str(in_a_file(folder))


def as_open_file(folder: Path) -> BinaryIO:
    """Open the file."""
    return in_a_file(folder).open("rb")


def in_volumes(folder: Path) -> Path:
    """Give the data in volumes, one of them empty, as 7-Zip's -v does."""
    for number, start in enumerate((0, 10, 1_000_000, 1_000_000), 1):
        end = (10, 1_000_000, 1_000_000, len(DATA))[number - 1]
        (folder / f"file.7z.{number:03}").write_bytes(DATA[start:end])
    return folder / "file.7z.001"


PLACES: list[Callable[[Path], str | Path | BinaryIO]] = [
    in_a_file,
    as_text,
    as_open_file,
    in_volumes,
    through_a_pipe,
    through_a_fifo,
    lambda _: io.BytesIO(DATA),
    lambda _: ShortReads(DATA),
    lambda _: Unseekable(DATA),
]


@pytest.mark.parametrize("place", PLACES)
def test_reads_anywhere(tmp_path: Path, place: Callable[[Path], str | Path | BinaryIO]) -> None:
    """Any range of a file, a stream or a pipe can be read, in any order, and past the end is a TruncatedError."""
    stream = place(tmp_path)
    source = open_source(stream, Limits())
    assert source.size == len(DATA)
    for offset, length in [(0, 10), (len(DATA) - 10, 10), (5, 0), (1_000_000, 2_000_000), (0, len(DATA)), (77, 1)]:
        assert read(source, offset, length) == DATA[offset : offset + length]
    for offset, length in [(len(DATA), 1), (len(DATA) - 5, 6), (len(DATA) + 100, 1), (0, len(DATA) + 1)]:
        with pytest.raises(TruncatedError):
            read(source, offset, length)
    source.close()
    source.close()
    if not isinstance(stream, (str, Path)):
        assert not stream.closed  # it is the caller's
        stream.close()


@pytest.mark.parametrize("place", [in_a_file, in_volumes, lambda _: io.BytesIO(DATA)])
def test_reads_side_by_side(tmp_path: Path, place: Callable[[Path], Path | BinaryIO]) -> None:
    """Several threads may read at once."""
    source = open_source(place(tmp_path), Limits())
    wrong: list[int] = []

    def check(start: int) -> None:
        places = range(start, len(DATA) - 5000, 50_000)
        wrong.extend(place for place in places if read(source, place, 5000) != DATA[place : place + 5000])

    threads = [threading.Thread(target=check, args=[start]) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.close()
    assert not wrong


def test_a_pipe_is_bounded() -> None:
    """A pipe that gives more than the limit is a LimitError before it is taken into memory."""
    assert open_source(Unseekable(DATA), Limits(memory_size=len(DATA))).size == len(DATA)
    with pytest.raises(LimitError):
        open_source(Unseekable(DATA), Limits(memory_size=len(DATA) - 1))
    with pytest.raises(OSError):
        open_source("/dev/zero", Limits())  # has no end


def test_replaced_since_it_was_listed(tmp_path: Path) -> None:
    """A link that took a listed file's place is not followed."""
    (tmp_path / "a").write_bytes(b"listed")
    (tmp_path / "other").write_bytes(b"other")
    (listed,) = local_tree(tmp_path / "a")
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        listed.open()


@pytest.mark.parametrize("path", ["missing", "", "folder", "file/below"])
def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """What is not there or is a folder is an OSError that names the path, and no descriptor stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with nothing_left(), pytest.raises(OSError) as caught:
        open_source(path, Limits())
    assert caught.value.filename == path


@pytest.mark.parametrize("what", [5, None, b"file", io.StringIO("text")])
def test_what_is_no_source(what: object) -> None:
    """Numbers, bytes and text streams are a TypeError."""
    with pytest.raises(TypeError):
        open_source(what, Limits())  # type: ignore[arg-type]


def test_volumes(tmp_path: Path) -> None:
    """Volumes count up to the first that is missing, which is named; what is no file is refused, and nothing leaks."""
    first = in_volumes(tmp_path)
    (tmp_path / "file.7z.003").unlink()
    source = open_source(first, Limits())
    assert source.size == 1_000_000
    assert "file.7z.003" in str(truncated(source, len(DATA)))
    source.close()
    os.mkfifo(tmp_path / "file.7z.003")
    with nothing_left(), pytest.raises(OSError) as caught:
        open_source(first, Limits())
    assert caught.value.filename == str(tmp_path / "file.7z.003")
    single = open_source(in_a_file(tmp_path), Limits())
    assert str(truncated(single, len(DATA) + 7)).startswith("the archive ends 7 bytes early")
    single.close()


def test_closed_file(tmp_path: Path) -> None:
    """A file that was closed is a ValueError, not another file that has its number by now."""
    source = open_source(in_a_file(tmp_path), Limits())
    source.close()
    with pytest.raises(ValueError):
        read(source, 0, 1)


def test_forgotten_file(tmp_path: Path) -> None:
    """A source that nobody closes gives its descriptor back when it is collected."""
    path = in_a_file(tmp_path)
    with nothing_left():
        source: Source | None = open_source(path, Limits())
        assert source
        source = None
        gc.collect()


def test_refused_descriptor_stays_the_callers() -> None:
    """Where a descriptor cannot seek, it is not taken over."""
    ours, theirs = os.pipe()
    with pytest.raises(OSError):
        FileSource(ours, "a.zip")
    gc.collect()
    os.close(ours)
    os.close(theirs)


def test_file_that_becomes_shorter(tmp_path: Path) -> None:
    """A file that is cut off while it is read is a TruncatedError."""
    path = in_a_file(tmp_path)
    source = open_source(path, Limits())
    os.truncate(path, 100)
    with pytest.raises(TruncatedError):
        read(source, 0, len(DATA))
    source.close()


# Files and folders of the local disk


def test_local_tree(tmp_path: Path) -> None:
    """A folder is given with all that is in it, in the order of names, with times and the executable bit."""
    root = tmp_path / "root"
    (root / "b" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.sh").write_bytes(b"run")
    (root / "a.sh").chmod(0o755)
    (root / "b" / "deep" / "x").write_bytes(b"data")
    (root / "b" / "deep" / "x").chmod(0o644)
    os.utime(root / "a.sh", (1, 1_700_000_000.75))
    found = list(local_tree(root))
    names = ["root", "root/a.sh", "root/b", "root/b/deep", "root/b/deep/x", "root/empty"]
    assert [item.name for item in found] == names
    assert [item.folder for item in found] == [True, False, True, True, False, True]
    assert [item.size for item in found] == [0, 3, 0, 0, 4, 0]
    assert (found[1].mode, found[4].mode, found[2].mode) == (0o700, 0o600, 0o700)
    assert found[1].modified == datetime.fromtimestamp(1_700_000_000, UTC)
    with found[1].open() as file:
        assert file.read() == b"run"


def test_local_tree_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may be given; else it is that of the file, also for a path that has none in it."""
    (tmp_path / "file").touch()
    assert [item.name for item in local_tree(tmp_path / "file", "other/name")] == ["other/name"]
    monkeypatch.chdir(tmp_path)
    assert [item.name for item in local_tree(".")] == [tmp_path.name, f"{tmp_path.name}/file"]
    assert [item.name for item in local_tree(Path("file"))] == ["file"]


def test_local_tree_leaves_links_out(tmp_path: Path) -> None:
    """Links and special files inside a folder are left out with a warning each; the path itself may be a link."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("/etc/passwd")
    (root / "folder").symlink_to(tmp_path)
    (root / ".strongroom-0123456789abcdef.partial").write_bytes(b"what a kill left of an archive")
    os.mkfifo(root / "fifo")
    (tmp_path / "linked").symlink_to(root)
    with pytest.warns(StrongroomWarning) as caught:
        assert [item.name for item in local_tree(tmp_path / "linked")] == ["linked"]
    assert len(caught) == 3


def test_local_tree_of_nothing(tmp_path: Path) -> None:
    """A path that is not there is an OSError."""
    with pytest.raises(FileNotFoundError):
        list(local_tree(tmp_path / "missing"))


# Records


def test_cursor() -> None:
    """A cursor takes bytes in order, knows where they stand in the archive, and says where they end too early."""
    cursor = Cursor(b"abcdef", origin=100)
    assert (cursor.take(2, "one"), cursor.offset, cursor.left) == (b"ab", 102, 4)
    assert cursor.take(0, "none") == b""
    with pytest.raises(FormatError) as caught:
        cursor.take(5, "two")
    assert caught.value.offset == 102
    assert cursor.take(4, "rest") == b"cdef"


def test_a_room_is_no_source(tmp_path: Path) -> None:
    """It has a method of the same name as what we read from, and is refused like anything else."""
    strongroom.seal({"a": b""}, tmp_path / "a.zip", password="pass")
    with strongroom.open(tmp_path / "a.zip", password="pass") as room, pytest.raises(TypeError):
        strongroom.open(room, password="pass")  # type: ignore[arg-type]
