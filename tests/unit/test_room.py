from __future__ import annotations

import gc
import io
import os
import random
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pytest

import strongroom
from strongroom import (
    Entry,
    EntryNotFoundError,
    FormatError,
    LimitError,
    Limits,
    OutputError,
    OutputExistsError,
    ReadRoom,
    Report,
    Room,
    Secret,
    SecureMemoryError,
    StrongroomError,
    StrongroomWarning,
    TamperedError,
    WriteRoom,
    WrongKeyError,
)
from strongroom.flow import CHUNK
from strongroom.limits import MIB
from tests.helpers import listing, noise, nothing_left, text
from tests.traits import TRAITS, ZIP, Trait

PASSWORD = "pass"
_HERE: dict[str, Trait] = {"trait": ZIP}


@pytest.fixture(autouse=True, params=TRAITS, ids=str)
def trait(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Trait:
    """Each test runs on every format, in which the helpers below seal."""
    monkeypatch.setitem(_HERE, "trait", request.param)
    return _HERE["trait"]


def here() -> str:
    """The name of the format that is tested."""
    return _HERE["trait"].name


with_manifest = pytest.mark.parametrize("trait", [trait for trait in TRAITS if trait.manifest], ids=str, indirect=True)
only_zip = pytest.mark.parametrize("trait", [ZIP], ids=str, indirect=True)  # for what another format does not have


def called(stem: str) -> str:
    """The name of a file of the format that is tested."""
    return stem + _HERE["trait"].suffix


def create(path: Any = None, **options: Any) -> WriteRoom:  # noqa: ANN401 - wrong types are tried too
    """Begin an archive in memory or at a path."""
    stream = io.BytesIO() if path is None else path
    if not isinstance(stream, (str, Path)):
        options.setdefault("format", here())
    return strongroom.create(stream, password=PASSWORD, **options)


def sealed(data: dict[str, Any], **options: Any) -> io.BytesIO:  # noqa: ANN401 - wrong types are tried too
    """Seal into memory."""
    stream = io.BytesIO()
    strongroom.seal(data, stream, format=here(), password=PASSWORD, **options)
    return stream


def opened(archive: Any, **options: Any) -> ReadRoom:  # noqa: ANN401 - wrong types are tried too
    """Open with the password. That there is a ZIP in an age file only a path says, or the format."""
    if not isinstance(archive, (str, Path)) and here() == "zip.age":
        options.setdefault("format", here())
    return strongroom.open(archive, password=PASSWORD, **options)


def locked(archive: Any, **options: Any) -> ReadRoom:  # noqa: ANN401 - the same
    """Open without a password, or with another one."""
    return strongroom.open(archive, format=here(), **options)


# Sealing


@pytest.mark.parametrize("kind", [str, Path])
def test_four_lines(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    """What goes in comes out, by bytes, by file and by stream."""
    path = kind(tmp_path / called("case-42"))
    with nothing_left(), strongroom.create(path, password=PASSWORD) as room:
        room.write("secret_data.txt", b"xyz" * 10)
        room.write("file", io.BytesIO(b"from a file"))
        room.write("pieces", (bytes([number]) for number in range(5)))
        with room.open("patients.csv", "w") as file:
            file.write("id,name\n1,Zoë\n")
        with room.open("picture", "wb") as picture:
            picture.write(noise(3_000_000))
    with nothing_left(), strongroom.open(path, password=PASSWORD) as read:
        assert read.read("secret_data.txt") == b"xyz" * 10
        assert read.read("file") == b"from a file"
        assert read.read("pieces") == bytes(range(5))
        assert read.read("patients.csv") == "id,name\n1,Zoë\n".encode()
        assert read.read("picture") == noise(3_000_000)
        assert read.verify().ok


def test_password_types() -> None:
    """A password is text, bytes or a Secret, and the same in every form; the caller's Secret stays open."""
    with Secret("pass") as secret:
        for password in ("pass", b"pass", bytearray(b"pass"), memoryview(b"pass"), secret):
            stream = io.BytesIO()
            strongroom.seal({"a": b"1"}, stream, format=here(), password=password)
            with opened(stream) as room:
                assert room.read("a") == b"1"
        assert secret == b"pass"


def test_one_entry_at_a_time() -> None:
    """A second entry while one is open is a ValueError, and the first one goes on."""
    stream = io.BytesIO()
    with create(stream) as room:
        with room.open("a", "wb") as file:
            for begin in (lambda: room.open("b", "wb"), lambda: room.write("b", b""), lambda: room.mkdir("b")):
                with pytest.raises(ValueError):
                    begin()
            file.write(b"one")
        room.write("b", b"two")
    with opened(stream) as read:
        assert [entry.name for entry in read] == ["a", "b"]
        assert read.read("a") == b"one"


@pytest.mark.parametrize("mode", ["a", "x", "w+", "r+", "rw", "", "bw", "U", "wbt"])
def test_modes_that_are_none(mode: str) -> None:
    """A mode that builtin `open` has for other things is a ValueError."""
    with create() as room, pytest.raises(ValueError):
        room.open("a", mode)  # type: ignore[call-overload]
    with opened(sealed({"a": b""})) as read, pytest.raises(ValueError):
        read.open("a", mode)  # type: ignore[call-overload]


def test_modes_of_the_other_kind() -> None:
    """A Room that is written is not read, and the other way round."""
    with create() as room:
        for mode in ("r", "rb", "rt"):
            with pytest.raises(ValueError):
                room.open("a", mode)  # type: ignore[call-overload,unused-ignore]
    with opened(sealed({"a": b""})) as read:
        for mode in ("w", "wb", "wt"):
            with pytest.raises(ValueError):
                read.open("a", mode)  # type: ignore[call-overload]


def test_default_mode_is_builtin_opens() -> None:
    """Without a mode an entry is opened for reading text."""
    with opened(sealed({"a": "Zoë".encode()})) as read, read.open("a") as file:
        assert file.read() == "Zoë"


@pytest.mark.parametrize(
    "name",
    [
        "", "/a", "a/", "a//b", "./a", "a/.", "..", "../a", "a/../b", "C:a", "C:/a", "a\\b", "a\0b", "\ud800", "//a",
        " ..", "a/.. /b", ". .",
        "x" * 4097, "ä" * 2049,
    ],
)  # fmt: skip
def test_names_that_are_refused(name: str) -> None:
    """Names that could not be extracted safely are a ValueError, and the archive goes on without."""
    stream = io.BytesIO()
    with create(stream) as room:
        with pytest.raises(ValueError):
            room.write(name, b"data")
        with pytest.raises(ValueError):
            room.open(name, "w")
        room.write("good", b"data")
    with opened(stream) as read:
        assert [entry.name for entry in read] == ["good"]


@pytest.mark.parametrize(
    "name", ["a", "ä/ö", "a b/ c", "...", "-rf", "12:30", "日本/語", "🔑", "con", "\u202e", "x" * 4096]
)
def test_names_that_are_taken(name: str) -> None:
    """All other names come back as they went in."""
    with opened(sealed({name: b"data"})) as read:
        assert [entry.name for entry in read] == [name]
        assert name in read
        assert read.read(name) == b"data"


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("\u00e9", "e\u0301"), ("a/b", "a/b/c/d")]
)
def test_names_that_collide(first: str, second: str) -> None:
    """No name twice, also not in another normalisation, and no file where a folder is."""
    with create() as room:
        room.write(first, b"")
        with pytest.raises(ValueError):
            room.write(second, b"")


def test_folders(trait: Trait) -> None:
    """Folders may be added before or after what is in them, and are entries without data."""
    stream = io.BytesIO()
    with create(stream) as room:
        room.mkdir("before")
        room.write("before/a", b"")
        room.write("after/a", b"")
        room.mkdir("after")
        with pytest.raises(ValueError):
            room.mkdir("after")
    with opened(stream) as read:
        assert [(entry.name, entry.kind) for entry in read] == [
            ("before", "directory"), ("before/a", "file"), ("after/a", "file"), ("after", "directory"),
        ]  # fmt: skip
        assert read.entries[0].encrypted is trait.hidden
        assert read.read("before") == b""
        assert read.verify().ok


def test_data_that_is_refused() -> None:
    """Text is a TypeError before the entry begins, so that the archive goes on."""
    stream = io.BytesIO()
    with create(stream) as room:
        for data in ("text", io.StringIO("text"), 5, None):
            with pytest.raises(TypeError):
                room.write("a", data)  # type: ignore[arg-type]
        room.write("a", b"bytes")
    with opened(stream) as read:
        assert read.read("a") == b"bytes"


def test_text_into_a_binary_file() -> None:
    """Text written to a binary entry is a TypeError, as with builtin `open`."""
    with pytest.raises(TypeError), create() as room, room.open("a", "wb") as file:
        file.write("text")  # type: ignore[arg-type]


def test_times(trait: Trait) -> None:
    """A time is aware, comes back in UTC as exactly as the format has it, and is the current one if none is given."""
    stream = io.BytesIO()
    now = datetime.now(UTC)
    cases = {
        "east": datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=9))),
        "odd": datetime(2024, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC),
        "old": datetime(1950, 1, 1, tzinfo=UTC),
        "early": datetime(1970, 1, 1, tzinfo=UTC),
    }
    with create(stream) as room:
        for name, moment in cases.items():
            room.write(name, b"", modified=moment)
        with room.open("pushed", "wb", modified=cases["east"]):
            pass
        room.write("now", b"")
        with pytest.raises(ValueError):
            room.write("naive", b"", modified=datetime(2024, 1, 1))  # noqa: DTZ001
        assert room.entries[0].modified == cases["east"]
    with opened(stream) as read:
        found = {entry.name: entry.modified for entry in read}
    assert all(moment.tzinfo is UTC for moment in found.values())
    assert found["east"] == found["pushed"] == cases["east"]
    assert timedelta(0) <= cases["odd"] - found["odd"] < trait.precision
    assert found["old"] == cases["old"]
    assert found["early"] == cases["early"]
    assert abs(found["now"] - now) < timedelta(seconds=60)


def test_entries(trait: Trait) -> None:
    """A Room lists what is complete, with all that the archive tells, and a reader sees the same."""
    stream = io.BytesIO()
    with create(stream, compression="store") as room:
        assert isinstance(room, Room)
        assert room.entries == ()
        room.write("a", b"12345", mode=0o640)
        with room.open("b", "wb") as file:
            assert "b" not in room
            file.write(noise(CHUNK + 1))
        assert "b" in room
        assert [entry.name for entry in room] == ["a", "b"]
        written = room.entries
    with opened(stream) as read:
        assert isinstance(read, Room)
        assert [entry._replace(modified=None) if hasattr(entry, "_replace") else entry for entry in read] == list(
            written
        )
        assert len(read) == 2
        assert tuple(read) == read.entries
        first = read.entries[0]
    assert isinstance(first, Entry)
    assert (first.name, first.kind, first.size, first.packed_size) == ("a", "file", 5, trait.packed_five)
    assert (first.mode, first.method, first.encryption, first.encrypted) == (0o100640, "store", trait.encryption, True)
    with pytest.raises(AttributeError):
        first.name = "b"  # type: ignore[misc]


def test_only_names_are_contained() -> None:
    """`in` asks for names; other objects are never in a Room."""
    with opened(sealed({"a": b""})) as read:
        assert "a" in read
        assert "b" not in read
        assert b"a" not in read
        assert 5 not in read


@pytest.mark.parametrize(
    ("trait", "compression"),
    [(trait, method) for trait in TRAITS for method in (None, *trait.methods)],
    indirect=["trait"],
    ids=str,
)
def test_compression(trait: Trait, compression: str | None) -> None:
    """Every method is used where it helps, and noise is stored, where it is not solid; the default is the first."""
    with opened(sealed({"text": text(10_000), "noise": noise(10_000)}, compression=compression)) as read:
        method = compression or trait.methods[0]
        assert [entry.method for entry in read] == [method, method if trait.solid else "store"]
        assert read.verify().ok


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "rar"}, {"compression": "deflate64"}, {"level": 99}, {"level": "5"}, {"format": "rar"},
        {"threads": 0}, {"threads": -1}, {"recipients": ["age1..."]}, {"compression": "store", "level": 5},
    ],
)  # fmt: skip
def test_options_that_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    """An option that does not fit is a ValueError before a file is made."""
    with nothing_left(tmp_path), pytest.raises(ValueError):
        strongroom.create(tmp_path / called("a"), password=PASSWORD, **options)


def test_without_a_password(tmp_path: Path) -> None:
    """A ZIP without a password is a ValueError; nothing is ever written unencrypted."""
    with nothing_left(tmp_path), pytest.raises(ValueError):
        strongroom.create(tmp_path / called("a"))
    with pytest.raises(TypeError):
        strongroom.create(tmp_path / called("a"), password=5)  # type: ignore[arg-type]


def test_format_by_suffix(tmp_path: Path) -> None:
    """The suffix names the format, in any case; without one the format must be named."""
    for name in ("a.zip", "A.ZIP", "a.b.Zip"):
        strongroom.seal({"a": b""}, tmp_path / name, password=PASSWORD)
    for name in ("a", "zip", "a.zip.x", "a.rar"):
        with pytest.raises(ValueError):
            strongroom.create(tmp_path / name, password=PASSWORD)
    strongroom.seal({"a": b""}, tmp_path / "other", password=PASSWORD, format=here())
    with pytest.raises(ValueError):
        strongroom.create(io.BytesIO(), password=PASSWORD)


def test_open_goes_by_content(tmp_path: Path) -> None:
    """Reading looks at the content, whatever the suffix."""
    name = "a.7z" if here() != "zip.age" else "a.7z.zip.age"
    (tmp_path / name).write_bytes(sealed({"a": b"1"}).getvalue())
    with opened(tmp_path / name) as read:
        assert read.read("a") == b"1"


# Whole or not at all


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_exception_in_an_entry_poisons(tmp_path: Path, mode: Literal["w", "wb"]) -> None:
    """Where an exception left an entry's block, `close` raises OutputError, though the exception was swallowed."""
    with nothing_left(tmp_path):
        with pytest.raises(OutputError), create(tmp_path / called("a")) as room:  # noqa: PT012 - leaving the block is what is tested
            room.write("a", b"1")
            with pytest.raises(ZeroDivisionError), room.open("b", mode) as file:  # noqa: PT012 - leaving the block is what is tested
                file.write("2" if mode == "w" else b"2")  # type: ignore[arg-type]
                raise ZeroDivisionError
            with pytest.raises(OutputError):
                room.write("c", b"3")
        with pytest.raises(ValueError):
            room.write("d", b"4")


def test_exception_in_the_block_discards(tmp_path: Path) -> None:
    """An exception in the Room's own block arrives as it is, and the old file is untouched."""
    (tmp_path / called("a")).write_bytes(b"old")
    with nothing_left(tmp_path):
        room = create(tmp_path / called("a"), overwrite=True)
        with pytest.raises(ZeroDivisionError), room:  # noqa: PT012 - leaving the block is what is tested
            room.write("a", noise(5_000_000))
            raise ZeroDivisionError
    assert (tmp_path / called("a")).read_bytes() == b"old"


def test_exception_of_a_source_poisons(tmp_path: Path) -> None:
    """So with an exception of data that was being written."""

    def failing() -> Iterator[bytes]:
        yield b"1"
        raise ZeroDivisionError

    with nothing_left(tmp_path), pytest.raises(OutputError), create(tmp_path / called("a")) as room:  # noqa: PT012 - leaving the block is what is tested
        with pytest.raises(ZeroDivisionError):
            room.write("a", failing())
        room.close()


def test_close_is_enough(tmp_path: Path) -> None:
    """Without a block, `close` makes the archive appear; a second one does nothing."""
    room = create(tmp_path / called("a"))
    room.write("a", b"1")
    assert listing(tmp_path) == []
    room.close()
    room.close()
    with opened(tmp_path / called("a")) as read:
        assert read.read("a") == b"1"
    for use in (lambda: room.write("b", b""), lambda: room.mkdir("b"), lambda: room.open("b", "wb")):
        with pytest.raises(ValueError):
            use()


def test_a_room_that_is_forgotten(tmp_path: Path) -> None:
    """Without `with` or `close` nothing is written, and whoever forgot it is told, unless an error told them."""
    path = tmp_path / "a.zip"
    room = create(path)
    room.write("x", b"1")
    with pytest.warns(StrongroomWarning, match="not closed"):
        del room
    assert listing(tmp_path) == []
    room = create(path)
    with pytest.raises(TypeError), room.open("x", "wb") as file:
        file.write("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del room, file
        gc.collect()


@pytest.mark.parametrize("name", [5, Path("x"), b"x", None])
def test_names_are_text(tmp_path: Path, name: Any) -> None:  # noqa: ANN401 - wrong types are tried too
    """A name of another type is a `TypeError` that says so, and the archive goes on."""
    path = tmp_path / "a.zip"
    with create(path) as room:
        with pytest.raises(TypeError, match="entry name"):
            room.write(name, b"")
        room.write("x", b"1")
    with strongroom.open(path, password=PASSWORD) as room:
        with pytest.raises(TypeError, match="entry"):
            room.read(name)
        with pytest.raises(TypeError, match=r"entry\.name"):
            room.read(room.entries[0])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("password", [5, ["x"], Path("x")])
def test_passwords_of_another_type(password: Any) -> None:  # noqa: ANN401 - wrong types are tried too
    """They are a `TypeError` that says what a password is, and shows nothing of this one."""
    with pytest.raises(TypeError, match="password") as caught:
        strongroom.create(io.BytesIO(), format="zip", password=password)
    assert repr(password) not in str(caught.value)


def test_closed_entry() -> None:
    """An entry that was closed takes no more, and closing it again does nothing."""
    with create() as room:
        file = room.open("a", "wb")
        assert file.write(b"12") == 2
        assert file.tell() == 2
        assert file.writable()
        assert not file.readable()
        assert not file.seekable()
        file.close()
        file.close()
        with pytest.raises(ValueError):
            file.write(b"3")


def test_existing_file(tmp_path: Path) -> None:
    """An existing file needs `overwrite`."""
    (tmp_path / called("a")).write_bytes(b"old")
    with pytest.raises(OutputExistsError):
        create(tmp_path / called("a"))
    strongroom.seal({"a": b"1"}, tmp_path / called("a"), password=PASSWORD, overwrite=True)
    with opened(tmp_path / called("a")) as read:
        assert read.read("a") == b"1"


def test_verify_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify=True` notices a disk that gives back something else, and then nothing appears."""
    with create(tmp_path / called("good"), verify=True) as room:
        room.write("a", noise(100))
        room.write("large", noise(17 << 20))
        room.mkdir("folder")
    real = os.pwrite

    def bad_disk(descriptor: int, data: memoryview, offset: int) -> int:
        changed = bytearray(data)
        changed[60] ^= 1
        return real(descriptor, changed, offset)

    monkeypatch.setattr(os, "pwrite", bad_disk)
    with nothing_left(tmp_path), pytest.raises(TamperedError), create(tmp_path / called("bad"), verify=True) as room:
        room.write("a", noise(100))
    with create(tmp_path / called("unnoticed")) as room:
        room.write("a", noise(100))
    with pytest.raises(ValueError):
        create(verify=True)


# Progress


def test_progress_while_sealing() -> None:
    """Progress is told in the caller's thread, counts up, and never beyond a total that is told."""
    told: list[tuple[int, int | None]] = []
    threads = set()

    def progress(done: int, total: int | None) -> None:
        told.append((done, total))
        threads.add(threading.current_thread())

    with create(progress=progress) as room:
        room.write("known", noise(2 * CHUNK + 1))
        room.write("also known", b"12345")
        room.write("unknown", iter([b"678"]))
        with room.open("pushed", "wb") as file:
            file.write(b"9")
    assert threads == {threading.current_thread()}
    whole = 2 * CHUNK + 1
    assert [done for done, _ in told] == [CHUNK, 2 * CHUNK, whole, whole + 5, whole + 8, whole + 9]
    assert [total for _, total in told] == [whole, whole, whole, whole + 5, None, None]


def test_progress_of_seal(tmp_path: Path) -> None:
    """`seal` knows the total where all sizes are known."""
    told: list[tuple[int, int | None]] = []
    sealed({"a": bytes(10), "b": bytes(CHUNK)}, progress=lambda *values: told.append(values))
    assert told == [(10, CHUNK + 10), (CHUNK + 10, CHUNK + 10)]
    told = []
    sealed({"a": iter([b"123"]), "b": bytes(10)}, progress=lambda *values: told.append(values))
    assert told == [(3, None), (13, 13)]
    (tmp_path / "file").write_bytes(bytes(100))
    (tmp_path / "other").write_bytes(bytes(23))
    told = []
    strongroom.seal(
        tmp_path, io.BytesIO(), format=here(), password=PASSWORD, progress=lambda *values: told.append(values)
    )
    assert told == [(100, 123), (123, 123)]


def test_progress_of_verify() -> None:
    """`verify` tells up to the whole size."""
    told: list[tuple[int, int | None]] = []
    data = {"a": bytes(10), "b": noise(3 * CHUNK), "c": b""}
    with opened(sealed(data), progress=lambda *values: told.append(values)) as read:
        read.verify()
    assert told == sorted(told)
    assert told[-1] == (3 * CHUNK + 10, 3 * CHUNK + 10)


# seal


def test_seal_a_mapping_or_one_object(tmp_path: Path) -> None:
    """A mapping has its names; one object needs one; a path is a file or a tree."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"data")
    for source, name, expected in [
        ({"a": b"1", "b/c": io.BytesIO(b"2")}, None, ["a", "b/c"]),
        (b"1", "one", ["one"]),
        (io.BytesIO(b"1"), "one", ["one"]),
        ([b"1", b"2"], "one", ["one"]),
        (tmp_path / "folder", None, ["folder", "folder/file"]),
        (tmp_path / "folder", "named", ["named", "named/file"]),
        (tmp_path / "folder" / "file", None, ["file"]),
        ({}, None, []),
    ]:
        stream = io.BytesIO()
        strongroom.seal(source, stream, name=name, format=here(), password=PASSWORD)  # type: ignore[call-overload]
        with opened(stream) as read:
            assert [entry.name for entry in read] == expected
            assert read.verify().ok


@pytest.mark.parametrize(("source", "name"), [("text", "a"), ("text", None), (b"1", None), ({"a": b""}, "a")])
def test_seal_refuses(tmp_path: Path, source: Any, name: str | None) -> None:  # noqa: ANN401 - wrong types are tried too
    """Text, data without a name and a mapping with one are the caller's mistake, before a file is made."""
    with nothing_left(tmp_path), pytest.raises((TypeError, ValueError)):
        strongroom.seal(source, tmp_path / called("a"), name=name, password=PASSWORD)


def test_seal_into_the_folder_that_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive does not swallow itself, also where it has a hidden name meanwhile."""
    (tmp_path / "file").write_bytes(b"data")
    real = os.open

    def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "no unnamed files")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.warns(StrongroomWarning):
        strongroom.seal(tmp_path, tmp_path / called("a"), name="x", password=PASSWORD)
    with opened(tmp_path / called("a")) as read:
        assert [entry.name for entry in read] == ["x", "x/file"]


# Streams


@only_zip
def test_into_a_pipe_and_out_of_one() -> None:
    """An archive goes through a pipe, written with data descriptors, and is read from one."""
    ours, theirs = os.pipe()
    data = {"small": b"123", "large": noise(3 * CHUNK + 5), "text": text(2 * CHUNK)}

    def write() -> None:
        with open(theirs, "wb", buffering=0) as pipe:  # noqa: PTH123
            strongroom.seal(data, pipe, format=here(), password=PASSWORD)

    writer = threading.Thread(target=write)
    writer.start()
    with open(ours, "rb", buffering=0) as pipe, opened(pipe) as read:  # noqa: PTH123
        assert {name: read.read(name) for name in data} == data
        assert read.verify().ok
    writer.join()


@with_manifest
def test_into_the_middle_of_a_stream() -> None:
    """An archive may follow other bytes, for which nobody vouches; the stream stays open to its owner."""
    stream = io.BytesIO()
    stream.write(b"#!/bin/sh\n")
    strongroom.seal({"a": noise(CHUNK + 1)}, stream, format=here(), password=PASSWORD)
    assert not stream.closed
    with pytest.raises(TamperedError):
        opened(stream)
    with pytest.warns(StrongroomWarning), opened(stream, manifest="ignore") as read:
        assert read.read("a") == noise(CHUNK + 1)
    assert not stream.closed


@pytest.mark.parametrize("stream", [io.StringIO(), b"a.zip", 5])
def test_what_is_no_place(stream: Any) -> None:  # noqa: ANN401 - wrong types are tried too
    """Text streams, bytes and numbers are a TypeError, for writing and for reading."""
    with pytest.raises(TypeError):
        create(stream)
    with pytest.raises(TypeError):
        opened(stream)


# Reading


@with_manifest
def test_manifest_policies() -> None:
    """Archives of ours have one, and it takes a password to check it."""
    archive = sealed({"a": b"1"})
    for policy in ("auto", "required", "ignore"):
        with opened(archive, manifest=policy) as read:
            assert read.verify().manifest == "verified"
    with pytest.raises(WrongKeyError), strongroom.open(archive) as read:
        read.verify()
    with pytest.raises(ValueError, match="password"):
        strongroom.open(archive, manifest="required")
    with pytest.raises(ValueError, match="auto"):
        opened(archive, manifest="yes")


@with_manifest
def test_verifying_demands_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read again from the disk must have one."""
    monkeypatch.setattr("strongroom.room.make_sealer", lambda *_: None)
    with pytest.raises(TamperedError), create(tmp_path / called("a"), verify=True) as room:
        room.write("a", b"1")
    assert listing(tmp_path) == []


@only_zip
def test_manifest_without_a_password() -> None:
    """Folders can be verified without one, and then the report says what was not checked."""
    stream = io.BytesIO()
    with create(stream, format=here()) as room:
        room.mkdir("folder")
    with strongroom.open(stream) as read:
        assert (read.verify().ok, read.verify().manifest) == (True, "unchecked")
    with opened(stream) as read:
        assert read.verify().manifest == "verified"
    with pytest.raises(WrongKeyError):
        strongroom.open(stream, password="another")


def test_rounds_are_bounded(trait: Trait) -> None:
    """A manifest, or a passphrase, that asks for more work than allowed is refused before any."""
    with pytest.raises(LimitError):
        opened(sealed({"a": b"1"}), limits=Limits(**{trait.bound: trait.rounds - 1}))
    assert opened(sealed({"a": b"1"}), limits=Limits(**{trait.bound: trait.rounds})).read("a") == b"1"


def test_missing_names() -> None:
    """A name that is not there is an EntryNotFoundError, which is also a KeyError, with a readable text."""
    with opened(sealed({"a": b""})) as read:
        for use in (read.read, read.open, read.chunks, lambda name: read.read_into(name, bytearray())):
            with pytest.raises(EntryNotFoundError) as caught:
                use("missing")
            assert isinstance(caught.value, KeyError)
            assert str(caught.value) == "no entry 'missing'"


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK + 7])
@pytest.mark.parametrize("compression", ["store", "deflate"])
def test_read_into(size: int, compression: str) -> None:
    """Data goes to the front of a buffer that is large enough, and the rest of it stays."""
    data = text(size)
    with opened(sealed({"a": data}, compression=compression)) as read:
        exact, larger = bytearray(size), bytearray(b"x" * (size + 10))
        assert read.read_into("a", exact) == size
        assert exact == data
        assert read.read_into("a", larger) == size
        assert larger == data + b"x" * 10
        if size:
            small = bytearray(b"x" * (size - 1))
            with pytest.raises(ValueError):
                read.read_into("a", small)
            assert small == b"x" * (size - 1)
            with pytest.raises(TypeError):
                read.read_into("a", bytes(size))
            with pytest.raises(TypeError):
                read.read_into("a", memoryview(bytearray(2 * size + 2))[::2])
            with strongroom.SecretBuffer(size) as secret:
                assert read.read_into("a", secret) == size
                assert secret == data
        with pytest.raises(TypeError):
            read.read_into("a", "text")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [100, 3 * CHUNK, 17 << 20])
@pytest.mark.parametrize("compression", ["store", "deflate"])
def test_read_into_leaves_nothing_of_what_is_forged(size: int, compression: str) -> None:
    """Where the data was changed, the buffer holds none of it."""
    archive = bytearray(sealed({"a": noise(size)}, compression=compression).getvalue())
    archive[len(archive) // 2 if here() == "zip.age" else size] ^= 1
    buffer = bytearray(size)
    with pytest.raises(TamperedError), opened(io.BytesIO(archive)) as read:
        read.read_into("a", buffer)
    assert buffer == bytes(size)


SHAPES = {"store": 3 * CHUNK + 77, "deflate": 3 * CHUNK + 77, "bzip2": 2 * CHUNK, "store, large": 18 * CHUNK + 5}


@pytest.mark.parametrize("shape", SHAPES)
def test_seeks(shape: str) -> None:
    """After any seek a file gives what the plain data has there."""
    size = SHAPES[shape]
    data = text(size) if "store" not in shape else noise(size)
    rng = random.Random(shape)
    with opened(sealed({"a": data}, compression=shape.split(",", maxsplit=1)[0])) as read, read.open("a", "rb") as file:
        plain = io.BytesIO(data)
        assert file.seekable()
        assert file.readable()
        assert not file.writable()
        for _ in range(40):
            kind = rng.randrange(7)
            if kind < 3:
                offset = rng.choice([0, 1, CHUNK - 1, CHUNK, 2 * CHUNK, size - 1, size, size + 5, rng.randrange(size)])
                assert file.seek(offset) == plain.seek(offset)
            elif kind == 3:
                offset = -rng.randrange(min(size, 100_000))
                assert file.seek(offset, os.SEEK_END) == plain.seek(offset, os.SEEK_END)
            elif kind == 4:
                offset = rng.randrange(100)
                assert file.seek(offset, os.SEEK_CUR) == plain.seek(offset, os.SEEK_CUR)
            length = rng.choice([0, 1, 100, CHUNK, CHUNK + 1, rng.randrange(3 * CHUNK)])
            if kind == 5:
                mine, theirs = bytearray(length), bytearray(length)
                assert file.readinto(mine) == plain.readinto(theirs)
                assert mine == theirs
            elif kind == 6:
                part = file.read1(length)
                assert part == plain.read(len(part))
                assert bool(part) or not length or plain.tell() >= size
            else:
                assert file.read(length) == plain.read(length)
            assert file.tell() == plain.tell()
            assert data[file.tell() :].startswith(file.peek()[:100])
        file.seek(5)
        plain.seek(5)
        assert file.read() == plain.read()
        assert file.read() == file.read(5) == file.read1() == file.peek() == b""


def test_seeks_that_are_refused() -> None:
    """A place before the start, and an unknown whence, are a ValueError, and leave the position as it was."""
    with opened(sealed({"a": b"12345"})) as read, read.open("a", "rb") as file:
        file.seek(2)
        for arguments in [(-1,), (-3, os.SEEK_CUR), (-6, os.SEEK_END), (0, 7)]:
            with pytest.raises(ValueError):
                file.seek(*arguments)
        assert file.read() == b"345"


def test_closed_reader() -> None:
    """A file or a Room that was closed is a ValueError."""
    with opened(sealed({"a": b"12345"})) as read:
        file = read.open("a", "rb")
        file.close()
        for use in (file.read, file.tell, file.peek, lambda: file.seek(0), lambda: file.readinto(bytearray(1))):
            with pytest.raises(ValueError):
                use()
    for method in (read.read, read.open, read.chunks):
        with pytest.raises(ValueError):
            method("a")
    read.close()


@pytest.mark.parametrize("size", [3 * CHUNK, 17 * CHUNK])
@pytest.mark.parametrize("compression", ["store", "deflate"])
def test_reading_goes_on_after_an_interruption(monkeypatch: pytest.MonkeyPatch, size: int, compression: str) -> None:
    """Where Ctrl-C came in the middle of a read, the next one gives the right bytes, and not what was at hand."""
    data = noise(size)
    with opened(sealed({"a": data}, compression=compression), threads=1) as read, read.open("a", "rb") as file:
        assert file.read(100) == data[:100]
        file._chunks.close()  # type: ignore[attr-defined]
        file._chunks = _interrupted()
        with pytest.raises(KeyboardInterrupt):
            file.read(2 * CHUNK)
        place = file.tell()
        assert file.read(1000) == data[place : place + 1000]


def _interrupted() -> Iterator[memoryview]:
    yield from ()
    raise KeyboardInterrupt


def test_a_file_that_changes_is_noticed_again(tmp_path: Path) -> None:
    """Where the archive changed under a large entry that is being read, every read says so, and none hangs."""
    path = tmp_path / called("a")
    size = 20 * CHUNK
    strongroom.seal({"a": noise(size)}, path, password=PASSWORD, compression="store")
    with opened(path) as read, read.open("a", "rb") as file:
        assert file.read(10) == noise(size)[:10]
        with path.open("r+b") as stream:
            stream.seek(15 * CHUNK)
            stream.write(b"changed")
        for _ in range(2):
            with pytest.raises(TamperedError):
                file.read()


def test_text_mode() -> None:
    """Text is UTF-8, and line ends come back as they were written."""
    lines = "one\ntwo\r\nthree\rZoë 🔑\n"
    stream = io.BytesIO()
    with create(stream) as room:
        with room.open("a", "w") as file:
            assert file.encoding == "utf-8"
            file.write(lines)
            print("printed", file=file)
        with room.open("large", "wt") as file:
            file.writelines(f"{number},é\n" for number in range(200_000))
    with opened(stream) as read:
        assert read.read("a") == (lines + "printed\n").encode()
        with read.open("a", "r") as back:
            assert back.read() == lines + "printed\n"
        with read.open("large", "rt") as back:
            assert sum(1 for _ in back) == 200_000
        with read.open("large") as back:
            assert next(back) == "0,é\n"


def test_iterating_binary_lines() -> None:
    """A binary entry iterates over lines, as other files do."""
    with opened(sealed({"a": b"one\ntwo\r\nthree"})) as read, read.open("a", "rb") as file:
        assert list(file) == [b"one\n", b"two\r\n", b"three"]


def test_other_libraries_stack_on_it(tmp_path: Path) -> None:
    """Gzip and csv write to an entry and read from it."""
    import csv
    import gzip

    stream = io.BytesIO()
    with create(stream) as room:
        with room.open("a.gz", "wb") as file, gzip.open(file, "wb") as packed:
            packed.write(text(3_000_000))
        with room.open("a.csv", "w") as table:
            csv.writer(table).writerows([["a", "b\nc"], ["d", "é"]])
    with opened(stream) as read:
        with read.open("a.gz", "rb") as back, gzip.open(back) as packed:
            assert packed.read() == text(3_000_000)
        with read.open("a.csv") as lines:
            assert list(csv.reader(lines)) == [["a", "b\nc"], ["d", "é"]]


def test_chunks() -> None:
    """Pieces are at most a chunk long, and together the data."""
    data = noise(2 * CHUNK + 9)
    with opened(sealed({"a": data})) as read:
        pieces = [bytes(piece) for piece in read.chunks("a")]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= CHUNK


# Verification and keys


def test_verify_reports_each_damage() -> None:
    """A report names every entry that is damaged, and none that is not."""
    data = {name: noise(CHUNK, seed) for seed, name in enumerate("abcd")}
    archive = bytearray(sealed(data, compression="store").getvalue())
    for eighth in (3, 7):  # the middle of the second and the last
        archive[len(archive) * eighth // 8] ^= 1
    with opened(io.BytesIO(archive)) as read:
        report = read.verify()
        assert read.read("a") == data["a"]
        with pytest.raises(TamperedError):
            read.read("b")
    assert isinstance(report, Report)
    assert not report.ok
    assert [finding.entry for finding in report.findings] == ["b", "d"]
    assert all(str(finding) == finding.problem for finding in report.findings)
    assert report.entries == read.entries


def test_wrong_password() -> None:
    """A wrong password is a WrongKeyError at once, and without one nothing is read."""
    archive = sealed({"a": b"1", "b": b"2"})
    with pytest.raises(WrongKeyError):
        locked(archive, password="wrong")
    with pytest.raises(WrongKeyError), locked(archive) as read:
        read.read("a")


@only_zip
def test_names_without_a_password() -> None:
    """Where names are not encrypted they are listed without one, and nothing is read."""
    with strongroom.open(sealed({"a": b"1", "b": b"2"})) as read:
        assert [entry.name for entry in read] == ["a", "b"]
        for use in (lambda: read.read("a"), read.verify, lambda: read.open("a", "rb")):
            with pytest.raises(WrongKeyError):
                use()


@pytest.mark.parametrize("junk", [b"", b"PK", b"PK\x05\x06", noise(5000), b"\0" * 100])
def test_what_is_no_archive(tmp_path: Path, junk: bytes) -> None:
    """Other files are a FormatError, and leave no descriptor open."""
    (tmp_path / called("a")).write_bytes(junk)
    with nothing_left(), pytest.raises(FormatError):
        opened(tmp_path / called("a"))


def test_open_refuses_options(tmp_path: Path) -> None:
    """Identities for a format without them, an unknown format and no threads are a ValueError."""
    archive = sealed({"a": b""})
    for options in ({"identities": ["AGE-SECRET-KEY-1"]}, {"format": "rar"}, {"threads": 0}):
        with nothing_left(), pytest.raises(ValueError):
            opened(archive, **options)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "missing.zip")


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_give_the_same(threads: int) -> None:
    """However many threads there are, the data is the same, and none is left."""
    data = {str(number): text(2000, number) for number in range(60)} | {"large": noise(20 * CHUNK)}
    with nothing_left(), opened(sealed(data, threads=threads, compression="deflate"), threads=threads) as read:
        assert read.verify().ok
        assert {name: read.read(name) for name in data} == data


# Passwords


CANARY = "correct-horse-canary"


Case = tuple[str, Callable[[], object], type[Exception]]


def refusals() -> Iterator[Case]:
    """All ways to an error that knows a password."""
    archive = sealed({"a": b"1"})

    def failing(done: int, total: int | None) -> None:
        raise ZeroDivisionError

    def seal(password: str, **options: Any) -> None:  # noqa: ANN401 - wrong types are tried too
        options.setdefault("format", here())
        strongroom.seal({"a": b"1"}, options.pop("path", None) or io.BytesIO(), password=password, **options)

    yield "too long", lambda: seal(CANARY * 500 + "\0" * (here() == "zip.age")), ValueError
    yield "NUL", lambda: seal(CANARY + "\0"), ValueError
    yield "lone surrogate", lambda: seal(CANARY + "\ud800"), ValueError
    yield "lone surrogate, reading", lambda: strongroom.open(archive, password=CANARY + "\udfff"), ValueError
    yield "wrong", lambda: strongroom.open(archive, password=CANARY), WrongKeyError
    yield "wrong bytes", lambda: strongroom.open(archive, password=CANARY.encode()), WrongKeyError
    yield "no archive", lambda: strongroom.open(io.BytesIO(b"junk"), password=CANARY), FormatError
    yield "no folder", lambda: seal(CANARY, path="/missing/a.zip"), OutputError
    yield "wrong option", lambda: seal(CANARY, level=99), ValueError
    yield "stopped", lambda: seal(CANARY, progress=failing), ZeroDivisionError


@pytest.mark.parametrize("case", list(refusals()), ids=lambda case: case[0])
def test_no_error_shows_the_password(case: Case) -> None:
    """Neither text nor repr of an error shows a password, nor the local variables of any of our frames."""
    _, use, kind = case
    with pytest.raises(kind) as caught:
        use()
    errors: list[BaseException] = [caught.value]
    for error in errors:
        errors += [other for other in (error.__cause__, error.__context__) if other and other not in errors]
    shown = []
    ours = 0
    for error in errors:
        shown += [str(error), repr(error), repr(error.args), repr(vars(error))]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "/strongroom/" in frame.f_code.co_filename:
                ours += 1
                shown += [repr(value) for value in frame.f_locals.values()]
    assert ours
    assert CANARY not in "".join(shown)


def test_rooms_do_not_show_the_password() -> None:
    """The repr of a Room, and of all that it holds, shows none."""
    stream = io.BytesIO()
    with strongroom.create(stream, format=here(), password=CANARY) as room:
        room.write("a", b"1")
        shown = repr(room) + repr(vars(room)) + repr(room._options)
    with strongroom.open(stream, password=CANARY) as read:
        shown += repr(read) + repr(vars(read)) + repr(read._options)
    assert "CANARY" not in shown
    assert CANARY not in shown


@only_zip
@pytest.mark.parametrize(
    ("password", "warned"),
    [("p" * 64, 0), ("p" * 65, 1), ("p" * 99, 1), ("pässword", 1), (b"\xff", 1), ("ä" * 40, 2), (" ~", 0)],
)
def test_passwords_that_are_warned_of(password: str | bytes, warned: int) -> None:
    """More than 64 bytes, and what is not ASCII, are warned of where the caller stands, and work."""
    stream = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with strongroom.create(stream, format=here(), password=password) as room:
            room.write("a", b"1")
    assert [warning.category for warning in caught] == [StrongroomWarning] * warned
    assert {warning.filename for warning in caught} <= {__file__}
    shown = password if isinstance(password, str) else repr(password)
    assert not [warning for warning in caught if shown in str(warning.message)]
    with strongroom.open(stream, password=password) as read:  # nothing is said on reading
        assert read.read("a") == b"1"


@only_zip
@pytest.mark.parametrize("password", ["", b"", "p" * 100, "ä" * 50, "a\0b", "\0", "\ud800", "a\udc80"])
@pytest.mark.filterwarnings("ignore::strongroom.StrongroomWarning")
def test_passwords_that_are_refused(tmp_path: Path, password: str | bytes) -> None:
    """Nothing, more than 99 bytes, NULs and lone surrogates are a ValueError, and no file is made."""
    with nothing_left(tmp_path), pytest.raises(ValueError):
        strongroom.create(tmp_path / called("a"), password=password)


@pytest.mark.parametrize("more", ["\0", "\0\0\0"])
def test_a_password_that_ends_in_nuls(more: str) -> None:
    """HMAC fills a key up with NULs: a password that has some at its end is a wrong one all the same."""
    archive = sealed({"a": b"1"})
    with pytest.raises(WrongKeyError):
        strongroom.open(archive, password=PASSWORD + more)


def test_closing_wipes_the_password() -> None:
    """A Room's own copy of the password is wiped when it ends, however it ends."""
    room = create()
    with pytest.raises(ZeroDivisionError), room:
        raise ZeroDivisionError
    assert room._options.password.closed
    with create() as room:
        pass
    assert room._options.password.closed
    archive = sealed({"a": b""})
    with opened(archive) as read:
        pass
    assert read._options.password is not None
    assert read._options.password.closed


def test_errors_have_one_root() -> None:
    """Everything that a file, a password or a disk can cause is a StrongroomError."""
    roots = [getattr(strongroom, name) for name in strongroom.__all__ if name.endswith("Error")]
    assert len(roots) >= 11
    assert all(issubclass(kind, StrongroomError) for kind in roots)
    assert not issubclass(StrongroomError, (ValueError, TypeError, OSError))
    assert Limits() == Limits()


def test_closed_room_checks_nothing(tmp_path: Path) -> None:
    """A Room that is closed says so, also where its archive is in memory."""
    archive = io.BytesIO()
    strongroom.seal({"a": b"x"}, archive, format=here(), password="pass")
    with strongroom.open(archive, password="pass") as room:
        pass
    with pytest.raises(ValueError):
        room.verify()
    with pytest.raises(ValueError):
        room.extract(tmp_path / "out")


def test_time_outside_the_calendar(tmp_path: Path) -> None:
    """A time that has no place in UTC's years is the caller's mistake."""
    moment = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    with strongroom.create(tmp_path / called("a"), password="pass") as room, pytest.raises(ValueError):
        room.write("a", b"", modified=moment)


@pytest.mark.parametrize("use", ["write", "close", "read"])
def test_forked_child(tmp_path: Path, use: str) -> None:
    """In a forked child a Room refuses, and so seals nothing under a password that reads as zeros there."""
    path = tmp_path / called("a")
    strongroom.seal({"a": b"x"}, path, password="pass")
    before = path.read_bytes()
    room: strongroom.ReadRoom | strongroom.WriteRoom
    room = (
        strongroom.open(path, password="pass")
        if use == "read"
        else strongroom.create(path, password="pass", overwrite=True)
    )
    calls = {"write": lambda: room.write("b", b"y"), "close": room.close, "read": lambda: room.read("a")}
    child = os.fork()
    if not child:
        try:
            calls[use]()
        except SecureMemoryError:
            os._exit(7)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.read_bytes() == before
    room.close()


@pytest.mark.parametrize("use", ["file", "chunks"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [CHUNK + 1, 20 * MIB])
def test_forked_child_in_the_middle_of_an_entry(size: int, threads: int, use: str) -> None:
    """What the parent was reading gives a forked child no byte: keys read as zeros there, threads are missing."""
    with opened(sealed({"a": noise(size)}, compression="store"), threads=threads) as room:
        pieces = room.chunks("a")
        with room.open("a", "rb") as file:
            assert file.read(100) == bytes(next(pieces)[:100])
            child = os.fork()
            if not child:
                try:
                    file.read() if use == "file" else next(pieces)
                except SecureMemoryError:
                    os._exit(7)
                finally:
                    os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_refused_name_is_not_taken() -> None:
    """A call that is refused leaves the archive as it was: its name can be used."""
    with create() as room:
        with pytest.raises(ValueError):
            room.write("a", b"", modified=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
        room.write("a", b"")
        with pytest.raises(ValueError):
            room.write("\ud800", b"")


@pytest.mark.parametrize(
    "call",
    [
        lambda word: strongroom.create("a.unknown", password=word),
        lambda word: strongroom.create("a.zip", password=word, compression="none"),
        lambda word: strongroom.create("a.zip", password=word, threads=0),
        lambda word: strongroom.create("a.zip", password=word, recipients=["age1"]),
        lambda word: strongroom.create(io.BytesIO(), format=here(), password=word, verify=True),
        lambda word: strongroom.open("a.zip", password=word, threads=0),
        lambda word: strongroom.seal(Path("missing"), "a.zip", password=word),
        lambda word: strongroom.seal("text", "a.zip", password=word),
        lambda word: strongroom.seal(b"data", "a.zip", password=word),
    ],
)
def test_no_local_variable_shows_the_password(call: Callable[[str], object]) -> None:
    """A traceback that shows local variables does not show the password, whatever is wrong with the arguments."""
    word = "hunter2-hunter2"
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        call(word)
    frame = caught.value.__traceback__
    while frame:
        if "strongroom" in frame.tb_frame.f_code.co_filename and "tests" not in frame.tb_frame.f_code.co_filename:
            assert word not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next
