from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import fsspec
import pytest

import strongroom
from strongroom import LimitError, RamFS, SecureMemoryError, TamperedError
from strongroom.fs import pages, ram
from strongroom.fs.pages import PAGE
from tests.helpers import in_memory, noise

SIZES = [0, 1, 15, 16, 17, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1]
CANARY = b"canary 7f3a, which nothing else says "


@pytest.fixture
def fs() -> Iterator[RamFS]:
    """A file system of one's own."""
    with RamFS() as made:
        yield made


def slabs(fs: RamFS) -> Iterator[memoryview]:
    """The memory that pages lie in."""
    yield from fs._store._heap._views.values()


def block(fs: RamFS, path: str, index: int = 0) -> memoryview:
    """The ciphertext and tag of one page."""
    _, address, size = pages._fields(fs._tree.file(path).pages[index])
    return fs._store._heap.view(address, size + 16)


# Paths and folders


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("a", "/a"),
        ("/a/", "/a"),
        ("/a//b", "/a/b"),
        ("./a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("../../a", "/a"),
        ("/.a/..b/...", "/.a/..b/..."),
        ("ramfs:///a", "/a"),
        ("ramfs://" + "0" * 32 + "/a/", "/a"),
        ("ramfs://" + "0" * 32, "/"),
        ("ramfs://folder/a", "/folder/a"),
        (Path("/a/b"), "/a/b"),
        (["a", "/b/"], ["/a", "/b"]),
    ],
)
def test_paths(path: str | list[str], clean: str | list[str]) -> None:
    """Every path has one form."""
    assert RamFS._strip_protocol(path) == clean


def test_no_nul_in_names(fs: RamFS) -> None:
    """What no system accepts as a name is refused, and leaves nothing behind."""
    for work in (fs.mkdir, fs.touch, lambda path: fs.pipe_file(path, b"1")):
        for path in ("/a\0b", "/a\0b/c"):
            with pytest.raises(ValueError):
                work(path)
    assert fs.ls("/") == []
    assert fs._store._nodes == 0


def test_info(fs: RamFS) -> None:
    """What `info` and `ls` tell."""
    before = time.time()
    fs.pipe_file("/a/b", b"123")
    info = fs.info("/a/b")
    assert {name: info[name] for name in ("name", "size", "type")} == {"name": "/a/b", "size": 3, "type": "file"}
    assert before <= info["created"] <= info["mtime"] <= time.time()
    assert fs.info("/a") == fs.ls("/")[0]
    assert fs.info("/a")["type"] == "directory"
    assert fs.ls("/a/b") == [info]
    assert fs.ls("/a/b", detail=False) == ["/a/b"]
    assert fs.info("/")["name"] == "/"
    assert fs.size("/a/b") == 3
    with pytest.raises(FileNotFoundError):
        fs.info("/b")


def test_times(fs: RamFS) -> None:
    """Creation stays, modification moves with each change, and both are aware."""
    fs.pipe_file("/a", b"1")
    made, changed = fs.created("/a"), fs.modified("/a")
    assert made.tzinfo is UTC
    assert abs((datetime.now(UTC) - made).total_seconds()) < 60
    for change in (
        lambda: fs.pipe_file("/a", b"2"),
        lambda: fs.touch("/a", truncate=False),
        lambda: fs.open("/a", "ab").write(b"3"),
        lambda: fs.touch("/a"),
    ):
        time.sleep(0.002)
        change()
        assert fs.modified("/a") > changed
        changed = fs.modified("/a")
    assert fs.created("/a") == made
    folder = fs.modified("/")
    time.sleep(0.002)
    fs.touch("/", truncate=False)
    assert fs.modified("/") > folder


def test_a_time_that_is_set(fs: RamFS) -> None:
    """A time is set as it is given, of files and of folders, in any zone, which it must have."""
    fs.pipe_file("/a/b", b"1")
    for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)):
        fs.set_modified("/a/b", moment)
        fs.set_modified("/a", moment.astimezone(UTC))
        assert fs.modified("/a/b") == fs.modified("/a") == moment
    fs.set_modified("/a/b", datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    assert fs.modified("/a/b") == datetime(2024, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError):
        fs.set_modified("/a/b", datetime(2024, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(FileNotFoundError):
        fs.set_modified("/c", datetime.now(UTC))


def test_root_stays(fs: RamFS) -> None:
    """The root can be emptied, not removed, moved or replaced."""
    fs.pipe_file("/a/b", b"1")
    with pytest.raises(OSError):
        fs.rmdir("/")
    with pytest.raises(OSError):
        fs.mv("/", "/c")
    with pytest.raises(IsADirectoryError):
        fs.pipe_file("/", b"1")
    with pytest.raises(FileExistsError):
        fs.mkdir("/")
    fs.rm("/", recursive=True)
    assert fs.ls("/") == []
    with pytest.raises(OSError):
        fs.rmdir("/")


def test_move(fs: RamFS) -> None:
    """A move keeps the pages, and takes what is below along."""
    fs.pipe({"/a/b/c": b"1", "/d": b"2", "/x1": b"3", "/x2": b"4"})
    kept = fs._tree.file("/a/b/c").pages[0]
    fs.mv("/a", "/new/place")
    assert fs._tree.file("/new/place/b/c").pages[0] == kept
    fs.mv("/d", "/folder/")
    assert fs.cat_file("/folder/d") == b"2"
    fs.mv("/x*", "/folder")
    assert fs.cat("/folder/*") == {"/folder/d": b"2", "/folder/x1": b"3", "/folder/x2": b"4"}
    with pytest.raises(FileNotFoundError):
        fs.mv("/none", "/else/")
    assert not fs.exists("/else")
    with pytest.raises(OSError):
        fs.mv("/new", "/new/place/deeper")
    with pytest.raises(FileExistsError):
        fs.mv("/new/place/b/c", "/new/place/b")
    assert fs.cat_file("/new/place/b/c") == b"1"


def test_remove(fs: RamFS) -> None:
    """Patterns, lists, whole trees, and depths."""
    fs.pipe({f"/a/{name}": b"1" for name in ("x1", "x2", "y", "deep/z")})
    fs.rm("/a/x*")
    assert fs.find("/") == ["/a/deep/z", "/a/y"]
    with pytest.raises(IsADirectoryError):
        fs.rm("/a")
    with pytest.raises(OSError):
        fs.rm("/a", recursive=True, maxdepth=1)
    fs.pipe({"/b": b"", "/c/d": b""})
    fs.rm(["/a", "/a/deep", "/b", "/c"], recursive=True)
    assert fs.find("/", withdirs=True) == ["/"]
    with pytest.raises(FileNotFoundError):
        fs.rm("/b")


def test_deep_trees(fs: RamFS) -> None:
    """Folders may lie deeper than Python's stack."""
    path = "/a" * 5000
    fs.pipe_file(path, b"1")
    fs.mv("/a", "/b")
    assert fs.cat_file("/b" + path[2:]) == b"1"
    fs.rm("/b", recursive=True)
    assert fs.used == fs._store._nodes == 0


# Files


@pytest.mark.parametrize("size", SIZES)
def test_sizes(fs: RamFS, size: int) -> None:
    """The sizes where something begins or ends, whole and in parts, from memory of any kind."""
    data = noise(size)
    for value in (data, bytearray(data), memoryview(data)):
        fs.pipe_file("/a", value)
        assert fs.cat_file("/a") == data
    fs.cp_file("/a", "/b")
    assert fs.cat_file("/b") == data
    for start, end in [(None, -1), (-3, None), (1, 5), (size, size + 1), (5, 2), (-PAGE, PAGE), (-size - 9, 3)]:
        assert fs.cat_file("/a", start, end) == data[start:end]
    with fs.open("/a") as file:
        target = bytearray(size + 10)
        assert file.readinto(target) == size
        assert target == data + bytes(10)
        assert file.read() == file.readline() == file.peek() == b""


def test_memory_of_any_kind(fs: RamFS) -> None:
    """Items of more than a byte count by their bytes; text and numbers are refused."""
    wide = memoryview(bytearray(noise(800))).cast("Q")
    with fs.open("/a", "wb") as file:
        assert file.write(wide) == 800
        assert file.write(memoryview(noise(10))[::2]) == 5
        assert file.write(b"") == 0
        for wrong in ("text", 5, None):
            with pytest.raises(TypeError):
                file.write(wrong)  # type: ignore[arg-type]
    with fs.open("/a") as file:
        assert file.readinto(wide) == 800
        assert wide == memoryview(noise(800)).cast("Q")
        assert file.readinto(bytearray()) == 0
        with pytest.raises(TypeError):
            file.readinto(b"read-only")
    with pytest.raises(TypeError):
        fs.pipe_file("/b", "text")  # type: ignore[arg-type]
    assert not fs.exists("/b")


@pytest.mark.parametrize("mode", ["", "b", "rw", "rbb", "rb++", "z", "Ub", "wab", "r+w", "+b"])
def test_modes_that_are_none(fs: RamFS, mode: str) -> None:
    """A mode that the builtin `open` refuses is refused here."""
    fs.touch("/a")
    with pytest.raises(ValueError):
        fs.open("/a", mode)


def test_what_a_mode_does_not_allow(fs: RamFS) -> None:
    """Files for reading are not written, and the other way round."""
    with fs.open("/a", "wb") as file:
        assert (file.readable(), file.writable(), file.seekable()) == (False, True, True)
        for refused in (file.read, file.readline, file.peek, lambda: file.readinto(bytearray(1))):
            with pytest.raises(io.UnsupportedOperation):
                refused()
    with fs.open("/a") as file:
        assert (file.readable(), file.writable(), file.name) == (True, False, "/a")
        for refused in (lambda: file.write(b"1"), file.truncate, file.fileno):
            with pytest.raises(io.UnsupportedOperation):
                refused()
        for wrong in (lambda: file.seek(-1), lambda: file.seek(0, 7)):
            with pytest.raises(ValueError):
                wrong()
    for refused in (file.read, file.tell, file.readable, lambda: file.seek(0), file.flush):
        with pytest.raises(ValueError):
            refused()
    with fs.open("/a", "r+b") as file, pytest.raises(ValueError):
        file.truncate(-1)


def test_text(fs: RamFS) -> None:
    """Text mode: encodings, newlines, lines, and both directions at once."""
    with fs.open("/a", "w", encoding="utf-16", newline="\r\n") as file:
        file.write("Zoë\nÅsa\n")
    assert fs.cat_file("/a") == "Zoë\r\nÅsa\r\n".encode("utf-16")
    assert fs.read_text("/a", encoding="utf-16") == "Zoë\nÅsa\n"
    with fs.open("/a", "r", encoding="utf-16") as file:
        assert list(file) == ["Zoë\n", "Åsa\n"]
    with fs.open("/b", "w+", encoding="utf-8") as file:
        file.write("one\n" * 50_000)
        file.seek(0)
        assert sum(1 for _ in file) == 50_000
    with fs.open("/b", "at", encoding="utf-8") as file:
        file.write("two")
    assert fs.tail("/b", 7) == b"one\ntwo"
    assert fs.head("/b", 3) == b"one"


def test_lines(fs: RamFS) -> None:
    """Lines of any length, also across pages."""
    lines = [b"x" * size + b"\n" for size in (0, 5, 511, 512, 513, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE)] + [b"end"]
    fs.pipe_file("/a", b"".join(lines))
    assert list(fs.open("/a")) == lines
    with fs.open("/a") as file:
        assert file.readlines() == lines
        file.seek(0)
        assert [file.readline(3) for _ in range(4)] == [b"\n", b"xxx", b"xx\n", b"xxx"]


def test_flush_shows(fs: RamFS) -> None:
    """What is written in small pieces is there after `flush` or `close`, as with local files; whole pages at once."""
    writer, reader = fs.open("/a", "wb"), fs.open("/a", "rb")
    writer.write(b"one")
    assert reader.read() == b""
    assert (writer.size, reader.size, writer.tell()) == (3, 0, 3)
    writer.flush()
    assert reader.read() == b"one"
    writer.write(bytes(PAGE))
    assert fs.size("/a") == PAGE
    writer.close()
    assert fs.size("/a") == PAGE + 3
    writer.close()
    assert writer.closed


def test_a_reader_sees_changes(fs: RamFS) -> None:
    """What was read ahead is not shown once another has changed it."""
    fs.pipe_file("/a", b"old value")
    with fs.open("/a") as reader:
        assert reader.read(4) == b"old "
        with fs.open("/a", "r+b") as writer:
            writer.seek(4)
            writer.write(b"thing")
        assert reader.read() == b"thing"


def test_a_dropped_writer_writes(fs: RamFS) -> None:
    """A file that is dropped without `close` writes what it has, as CPython's own do."""
    fs.open("/a", "wb").write(b"one")
    fs.open("/b", "w").write("two")
    gc.collect()
    assert fs.cat(["/a", "/b"]) == {"/a": b"one", "/b": b"two"}
    assert not fs._store._lent


def test_holes(fs: RamFS) -> None:
    """What was never written is zeros that take no memory, yet count."""
    with fs.open("/a", "wb") as file:
        file.truncate(100 << 20)
        file.seek(150 << 20)
        file.write(b"end")
    assert fs.used == fs.size("/a") == (150 << 20) + 3
    assert fs._store.mapped <= pages.SLAB
    assert fs.cat_file("/a", (100 << 20) - 5, (100 << 20) + 5) == bytes(10)
    assert fs.tail("/a", 5) == b"\0\0end"
    fs.cp_file("/a", "/b")
    assert fs.tail("/b", 5) == b"\0\0end"
    assert fs._store.mapped <= pages.SLAB


def test_what_is_cut_is_gone(fs: RamFS) -> None:
    """What lay past a cut does not come back when the file grows again."""
    fs.pipe_file("/a", noise(2 * PAGE))
    with fs.open("/a", "r+b") as file:
        file.truncate(100)
        file.truncate(2 * PAGE)
        assert file.read() == noise(2 * PAGE)[:100] + bytes(2 * PAGE - 100)


def test_ranges(fs: RamFS) -> None:
    """Several slices in one call; an error in the place of a slice that has one."""
    fs.pipe({"/a": b"0123456789", "/b": b"abcdef"})
    found = fs.cat_ranges(["/a", "/b", "/c"], [1, -2, 0], [3, None, 5], max_gap=100)
    assert found[:2] == [b"12", b"ef"]
    assert isinstance(found[2], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["/c"], 0, 5, on_error="raise")


def test_transactions(fs: RamFS) -> None:
    """Files of a transaction come all at its end, or none."""
    fs.pipe({"/a": b"old", "/b": b"old"})
    with fs.transaction:
        fs.pipe_file("/a", b"new")
        with fs.open("/b", "ab") as file:
            file.write(b" and new")
        with fs.open("/made/c", "x") as file:
            file.write("text")
        late = fs.open("/d", "wb")
        late.write(b"not closed")
        assert fs.cat(["/a", "/b"]) == {"/a": b"old", "/b": b"old"}
        assert not fs.exists("/made")
    assert fs.cat(["/a", "/b", "/d"]) == {"/a": b"new", "/b": b"old and new", "/d": b"not closed"}
    assert fs.cat_file("/made/c") == b"text"
    assert late.closed
    with pytest.raises(KeyError), fs.transaction:  # noqa: PT012 - a transaction has several steps
        fs.pipe_file("/a", b"newer")
        fs.open("/e", "wb").write(bytes(3 * PAGE))
        raise KeyError
    assert fs.cat_file("/a") == b"new"
    assert not fs.exists("/e")
    assert fs.used == fs.du("/")
    assert fs._store._nodes == 5
    assert not fs._store._lent
    fs.open("/f", "wb", autocommit=False).write(bytes(3 * PAGE))
    fs._transaction = None
    gc.collect()
    assert fs.used == fs.du("/"), "what nobody can commit any more is gone"


def test_a_transaction_that_cannot_end(fs: RamFS) -> None:
    """A file that appears meanwhile is not replaced by one that must be new; nothing is left of that."""
    with pytest.raises(FileExistsError), fs.transaction:  # noqa: PT012 - as above
        fs.open("/a", "xb").write(b"mine")
        fs.pipe_file("/b", b"1")
        with fs.open("/a", "wb", autocommit=True) as other:
            other.write(b"other")
    assert fs.cat_file("/a") == b"other"
    assert fs.used == fs.du("/") == 5
    assert not fs._intrans


# Privacy: instances, URLs, processes


def test_instances_are_private() -> None:
    """Two file systems share nothing, however they are made, and nobody tells one for the other."""
    with RamFS() as one, RamFS() as two, fsspec.filesystem("ramfs") as three:
        one.pipe_file("/a", b"1")
        assert not two.exists("/a")
        assert not three.exists("/a")
        assert isinstance(three, RamFS)
        assert len({one, two, three}) == len({hash(one), hash(two), hash(three)}) == 3
        assert one != two
        assert one == one  # noqa: PLR0124
        assert one.fsid != two.fsid
        assert one.__dask_tokenize__() != two.__dask_tokenize__()
        assert not RamFS._cache
        token = one.url()[len("ramfs://") :][:32]
        assert token not in f"{one!r}{one.fsid}{one._fs_token}{one.__dask_tokenize__()}"


def test_urls(fs: RamFS) -> None:
    """A URL finds its file system while that lives, and no other."""
    url = fs.url("a/b")
    assert url == fs.unstrip_protocol("/a/b")
    assert len(url) == len("ramfs:///a/b") + 32
    found, path = fsspec.url_to_fs(url)
    assert found is fs
    assert path == "/a/b"
    assert fs.limit == found.limit
    for wrong in ("ramfs:///a", "ramfs://a/b", "ramfs://" + "0" * 32 + "/a"):
        with pytest.raises(ValueError):
            fsspec.url_to_fs(wrong)
    other = RamFS()
    gone, dropped = other.url("/a"), RamFS().url("/a")
    other.close()
    for wrong in (gone, dropped):
        with pytest.raises(ValueError):
            fsspec.url_to_fs(wrong)


def test_not_pickled_or_copied(fs: RamFS) -> None:
    """No copy of a file system, or of an open file, leaves it."""
    with fs.open("/a", "w+b") as file:
        file.write(b"1")
        for thing in (fs, file, fs._store._key):
            for work in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError):
                    work(thing)
    for work in (fs.to_json, fs.to_dict):
        with pytest.raises(TypeError):
            work()


USES: list[Callable[[RamFS], object]] = [
    lambda fs: fs.ls("/"),
    lambda fs: fs.info("/a"),
    lambda fs: fs.exists("/a"),
    lambda fs: fs.isfile("/a"),
    lambda fs: fs.isdir("/a"),
    lambda fs: fs.created("/a"),
    lambda fs: fs.find("/"),
    lambda fs: fs.glob("/*"),
    lambda fs: fs.glob("/a"),
    lambda fs: list(fs.walk("/")),
    lambda fs: fs.du("/"),
    lambda fs: fs.open("/a"),
    lambda fs: fs.open("/a", "w"),
    lambda fs: fs.cat("/a"),
    lambda fs: fs.cat_ranges(["/a"], 0, 1),
    lambda fs: fs.pipe("/a", b"1"),
    lambda fs: fs.mkdir("/b"),
    lambda fs: fs.makedirs("/b"),
    lambda fs: fs.rmdir("/b"),
    lambda fs: fs.touch("/a"),
    lambda fs: fs.set_modified("/a", datetime.now(UTC)),
    lambda fs: fs.copy("/a", "/b"),
    lambda fs: fs.mv("/a", "/b"),
    lambda fs: fs.rm("/a"),
    lambda fs: fs.rm("/", recursive=True),
    lambda fs: fs.get("/a", "/nowhere/a"),
    lambda fs: fs.url("/a"),
    lambda fs: fs.__enter__(),
]


@pytest.mark.parametrize("use", USES)
def test_closed(use: Callable[[RamFS], object]) -> None:
    """After `close` every use is a ValueError, and never 'there is nothing'."""
    fs = RamFS()
    fs.pipe_file("/a", b"1")
    fs.close()
    with pytest.raises(ValueError):
        use(fs)
    fs.close()
    assert fs.closed
    assert repr(fs) == "<RamFS, closed>"


def test_close_forgets() -> None:
    """`close` wipes the key and every buffer, those of open files too, and gives all memory back."""
    fs = RamFS()
    fs.pipe_file("/a", CANARY)
    reader, writer = fs.open("/a"), fs.open("/b", "wb")
    reader.read(5)
    writer.write(CANARY)
    store = fs._store
    views = [memoryview(buffer) for buffer in (store._key, store._scratch, *store._lent.values())]
    assert CANARY in bytes(views[-1])
    fs.close()
    assert not any(any(view) for view in views)
    assert store.mapped == 0
    for use in (reader.read, lambda: writer.write(b"1"), writer.flush, reader.tell):
        with pytest.raises(ValueError):
            use()
    reader.close()
    writer.close()


def test_dropping_forgets() -> None:
    """A file system that is dropped is gone at once, with its key."""
    fs = RamFS()
    fs.pipe_file("/a", bytes(PAGE))
    with fs.transaction, fs.open("/b", "wb") as file:
        file.write(b"1")
    key, alive = memoryview(fs._store._key), weakref.ref(fs)
    store = weakref.ref(fs._store)
    del fs, file
    assert alive() is None
    assert store() is None
    assert not any(key)


def test_fork() -> None:
    """A forked child can use nothing, by no way, and does no harm to its parent's files."""
    fs = RamFS()
    fs.pipe_file("/a", CANARY)
    writer = fs.open("/b", "wb")
    writer.write(b"still mine")
    child = os.fork()
    if not child:
        code = 1
        try:
            for use in (*USES[:-3], lambda _: writer.write(b"1"), lambda fs: fsspec.open(fs.url("/a")).open()):
                try:
                    use(fs)
                except SecureMemoryError:
                    continue
                os._exit(2)
            clean = all(buffer.closed for buffer in (fs._store._key, *fs._store._lent.values()))
            writer.close()
            fs.close()
            code = 0 if clean else 3
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close()
    assert fs.cat("/*") == {"/a": CANARY, "/b": b"still mine"}
    fs.close()


# Limits


def test_the_limit_is_exact() -> None:
    """Data up to the limit fits; a byte more is refused by whoever would write it, and changes nothing."""
    with RamFS(limit=100_000) as fs:
        fs.pipe_file("/a", bytes(60_000))
        fs.pipe_file("/b", bytes(40_000))
        assert fs.used == fs.limit == 100_000
        for work in (
            lambda: fs.pipe_file("/a", bytes(60_001)),
            lambda: fs.pipe_file("/c", b"1"),
            lambda: fs.cp_file("/a", "/b"),
            lambda: fs.cp_file("/b", "/d"),
            lambda: fs.open("/b", "ab").write(b"1"),
            lambda: fs.open("/b", "r+b").truncate(40_001),
            lambda: fs.open("/b", "ab").write(bytes(1 << 20)),
        ):
            with pytest.raises(LimitError):
                work()
        assert fs.used == 100_000
        assert fs.cat("/*") == {"/a": bytes(60_000), "/b": bytes(40_000)}
        fs.pipe_file("/a", bytes(30_000))
        fs.cp_file("/a", "/e")
        assert fs.used == 100_000


def test_names_count() -> None:
    """Very many files and folders count, though they be empty."""
    with RamFS(limit=100_000) as fs:
        with pytest.raises(LimitError):  # noqa: PT012 - which of the calls it is does not matter
            for number in range(3000):
                (fs.touch if number % 2 else fs.mkdir)(f"/{number}")
        assert len(fs.ls("/")) == 1024 + 100_000 // 1024
        fs.rm("/", recursive=True)
        assert fs.used == 0
        fs.pipe_file("/a", bytes(100_000))


def test_the_default_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what is available."""
    monkeypatch.setattr(ram, "available_memory", lambda: 1000)
    assert RamFS().limit == 500
    for wrong in (-1, "5"):
        with pytest.raises((ValueError, TypeError)):
            RamFS(limit=wrong)  # type: ignore[arg-type]


def test_memory_stays_bounded() -> None:
    """Rewriting, growing and removing files of all sizes never takes more than the limit and what slabs round up."""
    dice = random.Random(1)
    with RamFS(limit=64 << 20) as fs:
        for _ in range(1500):
            path = f"/{dice.randint(0, 60)}"
            if dice.random() < 0.3 and fs.exists(path):
                fs.rm(path)
            else:
                fs.pipe_file(path, bytes(dice.choice([100, PAGE, 40_000, dice.randint(0, 1 << 20)])))
        assert fs._store.mapped <= fs.limit + 2 * pages.SLAB


# What lies in memory


class Recorder:
    """A cipher that notes the nonces it is used with."""

    nonces: list[bytes]

    def __init__(self, key: memoryview) -> None:
        self.cipher = AESGCM(key)

    def encrypt_into(self, nonce: bytes, *rest: object) -> int:
        self.nonces.append(nonce)
        return self.cipher.encrypt_into(nonce, *rest)  # type: ignore[arg-type]

    def decrypt_into(self, *rest: object) -> int:
        return self.cipher.decrypt_into(*rest)  # type: ignore[arg-type]


AESGCM = pages.AESGCM


def test_no_nonce_twice(fs: RamFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written, again and again, no nonce serves twice."""
    monkeypatch.setattr(pages, "AESGCM", Recorder)
    monkeypatch.setattr(Recorder, "nonces", [], raising=False)
    for _ in range(3):
        fs.pipe_file("/a", noise(3 * PAGE))
        fs.cp_file("/a", "/b")
        with fs.open("/b", "r+b") as file:
            for place in (0, 5, PAGE - 1, 0, 5):
                file.seek(place)
                file.write(b"1" * 5)
            file.truncate(PAGE + 7)
        with fs.open("/c", "ab") as file:
            for _ in range(20):
                file.write(b"line")
                file.flush()
    assert len(Recorder.nonces) > 80
    assert len(set(Recorder.nonces)) == len(Recorder.nonces)
    assert {len(nonce) for nonce in Recorder.nonces} == {12}


def test_only_ciphertext(fs: RamFS) -> None:
    """No slab, and no buffer of ours, holds plaintext or key between operations."""
    data = CANARY * 10_000
    fs.pipe_file("/a", data)
    with fs.open("/b", "wb") as file:
        for start in range(0, len(data), 1000):
            file.write(data[start : start + 1000])
    with fs.open("/b", "r+b") as file:
        file.read(10)
        file.seek(70_000)
        file.write(CANARY)
        file.truncate(200_000)
    fs.cp_file("/a", "/c")
    fs.mv("/c", "/d")
    key = bytes(fs._store._key)
    for slab in slabs(fs):
        raw = bytes(slab)
        assert CANARY[:16] not in raw
        assert key not in raw
    assert fs._store._cipher is None
    assert not any(map(any, (fs._store._scratch, *fs._store._pool)))
    assert fs._store._pool
    assert not fs._store._lent


@pytest.mark.parametrize("size", [1, 100, PAGE, PAGE + 1])
def test_any_flip_is_noticed(fs: RamFS, size: int) -> None:
    """No changed byte of a page or its tag is accepted, and what it would decrypt to reaches nobody."""
    fs.pipe_file("/a", noise(size))
    page = block(fs, "/a")
    for place in {0, len(page) // 2, len(page) - 17, len(page) - 16, len(page) - 1}:
        page[place] ^= 1
        target = bytearray(b"\xff" * min(size, PAGE))
        with fs.open("/a") as file, pytest.raises(TamperedError):
            file.readinto(target)
        assert not any(target)
        for work in (
            lambda: fs.cat_file("/a"),
            lambda: fs.cat_file("/a", 0, 1),
            lambda: fs.cp_file("/a", "/b"),
            lambda: fs.open("/a").readline(),
        ):
            with pytest.raises(TamperedError):
                work()
        assert fs._store._cipher is None
        assert not any(memoryview(fs._store._scratch))
        page[place] ^= 1
        assert fs.cat_file("/a") == noise(size)


def test_pages_do_not_swap(fs: RamFS) -> None:
    """Pages of one file, pages of two files, and yesterday's page: none is taken for another."""
    fs.pipe({"/a": noise(2 * PAGE, 1), "/b": noise(2 * PAGE, 2)})
    for one, two in [
        (block(fs, "/a", 0), block(fs, "/a", 1)),
        (block(fs, "/a", 0), block(fs, "/b", 0)),
    ]:
        kept, other = bytes(one), bytes(two)
        one[:], two[:] = other, kept
        with pytest.raises(TamperedError):
            fs.cat_file("/a")
        one[:], two[:] = kept, other
    old = bytes(block(fs, "/a", 0))
    for _ in range(2):  # until it lies where it lay
        with fs.open("/a", "r+b") as file:
            file.write(noise(PAGE, 3))
    block(fs, "/a", 0)[:] = old
    with pytest.raises(TamperedError):
        fs.cat_file("/a")
    fs.pipe_file("/a", b"mended")
    assert fs.cat_file("/a") == b"mended"


CHILD = """
import os, sys, strongroom
from strongroom.fs.pages import PAGE
from strongroom.memory import pages
pages.has_memfd_secret = False  # so that the key can be found
buffer = bytearray(3 * PAGE)
os.readv(0, [memoryview(buffer)[:32]])
for place in range(32, len(buffer), 32):
    buffer[place : place + 32] = memoryview(buffer)[:32]
fs = strongroom.RamFS()
fs.pipe_file("/a", buffer)
with fs.open("/b", "wb") as file:
    for place in range(0, len(buffer), 1000):
        file.write(memoryview(buffer)[place : place + 1000])
fs.cp_file("/b", "/c")
with fs.open("/c", "r+b") as file:
    file.seek(100)
    file.write(memoryview(buffer)[:5000])
    file.truncate(100_000)
    file.seek(77)
    file.readinto(memoryview(buffer)[:3000])
with fs.open("/a") as file:
    file.readinto(buffer)
fs._store._heap.view(*[(page >> 17) & ((1 << 47) - 1) for page in fs._tree.file("/c").pages[:1]], 16)[0] ^= 1
try:
    with fs.open("/c") as file:
        file.readinto(buffer)
except strongroom.TamperedError as error:
    kept = error
for place in range(len(buffer)):
    buffer[place] = 0
os.write(1, memoryview(fs._store._key))
os.read(0, 1)
"""


def test_memory_of_a_process() -> None:
    """Another process finds none of the plaintext in all of a writer's memory, and the key only where it belongs."""
    canary = os.urandom(32)
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert child.stdin
    assert child.stdout
    with child:
        child.stdin.write(canary)
        key = child.stdout.read(32)
        assert len(key) == 32
        counts = in_memory(child.pid, [canary[:16], canary[16:], key[:16], key[16:]])
        child.stdin.write(b"1")
    assert counts == [0, 0, 1, 1]


# Threads, signals and the garbage collector


def test_threads(fs: RamFS) -> None:
    """Threads may share a file system: each finds what it wrote."""
    wrong: list[object] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(60):
            data = noise(dice.randint(0, 3 * PAGE), dice.randint(0, 9))
            fs.pipe_file(f"/{seed}/a", data)
            with fs.open("/shared", "ab") as file:
                file.write(b"12345678")
            fs.mv(f"/{seed}/a", f"/{seed}/b")
            wrong.extend([seed] * (fs.cat_file(f"/{seed}/b") != data))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert fs.cat_file("/shared") == b"12345678" * 240


def test_a_close_in_the_middle_waits(fs: RamFS) -> None:
    """A file that the garbage collector closes in the middle of an operation is written before the next one."""
    file = fs.open("/a", "wb")
    file.write(b"one")
    with fs._store.guard.use():
        file.close()
        for use in (lambda: fs.ls("/"), lambda: fs.pipe_file("/b", b"")):
            with pytest.raises(RuntimeError):
                use()
    assert file.closed
    assert fs.cat_file("/a") == b"one"
    assert not fs._store._lent


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that comes in a finalizer
def test_interrupts(fs: RamFS) -> None:
    """Whenever Ctrl-C comes, every file is whole: as it was, or as it was to be, page by page."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        fs.pipe_file("/a", bytes(20 * PAGE + 5))
        for step in range(60):
            mark = bytes([step + 1])
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + step * 0.00005, 3)  # again, if a finalizer swallows it
                while True:
                    with fs.open("/a", "r+b") as file:
                        file.write(mark * (20 * PAGE + 5))
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
            whole = fs.cat_file("/a")
            assert len(whole) == 20 * PAGE + 5
            assert all(len(set(whole[place : place + PAGE])) == 1 for place in range(0, len(whole), PAGE))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert fs.used == 20 * PAGE + 5


# Cost


def best(work: Callable[[], object], times: int = 7) -> float:
    """The least time that a call takes."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def test_speed(fs: RamFS) -> None:
    """Reading and writing pieces of 1 MiB takes at most five times as long as copying them."""
    piece, count = bytearray(noise(1 << 20)), 64
    source, target = bytearray(count << 20), bytearray(count << 20)

    def write() -> None:
        with fs.open("/a", "r+b") as file:
            for _ in range(count):
                file.write(piece)

    def read() -> None:
        with fs.open("/a") as file:
            while file.readinto(piece):
                pass

    def copies() -> None:
        target[:] = source

    fs.touch("/a")
    write()
    copied = best(copies)
    assert best(write) < 5 * copied
    assert best(read) < 5 * copied


MANY = """
import resource, sys, strongroom
size = int(sys.argv[1])
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
piece, count = bytes(size), (96 << 20) // size
fs = strongroom.RamFS()
fs.pipe_file("/first", piece)
before = resident()
for number in range(count):
    fs.pipe_file(f"/{number}", piece)
print((resident() - before) / (count * size))
"""


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, (1 << 20) + 40_000, (3 << 20) - 1, 96 << 20])
def test_overhead(size: int) -> None:
    """Files of 1 MiB and more take at most 1% more memory than their data; plus a huge page, the last one."""
    command = [sys.executable, "-c", MANY, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.01 + (2 << 20) / (96 << 20)


def test_many_files_in_a_folder() -> None:
    """Ten times as many files in one folder take about ten times as long, up to 100,000, and little memory each."""

    def fill(count: int) -> float:
        start = time.perf_counter()
        with RamFS() as fs:
            for number in range(count):
                fs.pipe_file(f"/folder/{number}", b"a hundred bytes" * 7)
            assert len(fs.find("/folder")) == len(fs.ls("/folder")) == len(fs.glob("/folder/*")) == count
            for number in range(0, count, 2):
                assert fs.exists(f"/folder/{number}")
                fs.rm_file(f"/folder/{number}")
            assert fs._store.mapped <= 200 * count + pages.SLAB
            fs.rm("/folder", recursive=True)
            assert fs._store._nodes == 0
        return time.perf_counter() - start

    assert fill(100_000) < 40 * min(fill(10_000), fill(10_000))


def test_loaded_on_first_use() -> None:
    """Fsspec loads with RamFS, and not before; a name that is none stays one."""
    code = "import sys, strongroom; a = 'fsspec' in sys.modules; strongroom.RamFS; print(a, 'fsspec' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError):
        strongroom.nonsense  # noqa: B018
