from __future__ import annotations

import gc
import io
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import strongroom
from strongroom import LimitError, Limits, RamFS, StrongroomError, StrongroomWarning, TamperedError, WrongKeyError
from strongroom.fs import ram as ram_module
from strongroom.fs.pages import PAGE
from tests.helpers import listing, noise, nothing_left, text

PASSWORD = "pass"
DAY = datetime(2024, 2, 29, 12, 30, 15, tzinfo=UTC)
TREE = {
    "/a.txt": b"one",
    "/empty.bin": b"",
    "/hidden_dir/Zoë/deep.bin": noise(3 * PAGE + 5),
    "/hidden_dir/table.csv": text(2_500_000),
}


@pytest.fixture
def ram() -> RamFS:
    """Files, and folders with nothing in them, each with a time of its own."""
    fs = RamFS()
    fs.pipe(dict(TREE))
    fs.makedirs("/nothing/in/here")
    paths = fs.find("/", withdirs=True)
    for number, path in enumerate(sorted(paths, reverse=True)):
        fs.set_modified(path, DAY + timedelta(days=number))
    return fs


def contents(fs: RamFS) -> dict[str, tuple[bytes | None, datetime]]:
    """All that is in a file system."""
    return {
        path: (None if fs.isdir(path) else fs.cat_file(path), fs.modified(path))
        for path in fs.find("/", withdirs=True)
        if path != "/"
    }


def sealed(data: object, **options: object) -> io.BytesIO:
    """Seal into memory."""
    stream = io.BytesIO()
    strongroom.seal(data, stream, format="zip", password=PASSWORD, **options)  # type: ignore[call-overload]
    return stream


def living() -> int:
    """How many RAM file systems there are."""
    gc.collect()
    return len(ram_module._living)


def test_there_and_back(tmp_path: Path, ram: RamFS) -> None:
    """Files, folders, empty folders and times go into an archive on the disk, and come back."""
    path = tmp_path / "case.zip"
    strongroom.seal(ram, path, password=PASSWORD)
    assert listing(tmp_path) == ["case.zip"]
    with strongroom.open(path, password=PASSWORD) as room:
        assert {entry.name for entry in room} == {
            *(name[1:] for name in TREE),
            *("hidden_dir", "hidden_dir/Zoë", "nothing", "nothing/in", "nothing/in/here"),
        }
        assert all(stat.S_IMODE(entry.mode or 0) == (0o600 if entry.kind == "file" else 0o700) for entry in room)
    with strongroom.unseal(path, password=PASSWORD) as back:
        assert contents(back) == contents(ram)
        back.pipe_file("/a.txt", b"goes on from there")
        strongroom.seal(back, path, password=PASSWORD, overwrite=True, compression="store", verify=True)
    with strongroom.open(path, password=PASSWORD) as room:
        assert room.read("a.txt") == b"goes on from there"


def test_load_outlives_the_room(ram: RamFS) -> None:
    """What `load` gave is its own, also once the Room is closed."""
    with strongroom.open(sealed(ram), password=PASSWORD) as room:
        first, second = room.load(), room.load()
    assert contents(first) == contents(second) == contents(ram)
    first.rm("/", recursive=True)
    assert contents(second) == contents(ram)


def test_implied_folders() -> None:
    """Folders that no entry names are made."""
    with strongroom.unseal(sealed({"a/b/c": b"1", "a/d": b"2"}), password=PASSWORD) as fs:
        assert fs.find("/") == ["/a/b/c", "/a/d"]


def test_an_empty_tree() -> None:
    """A file system with nothing in it is an archive with nothing in it."""
    with RamFS() as empty, strongroom.unseal(sealed(empty), password=PASSWORD) as back:
        assert back.ls("/") == []


def test_streams_of_a_ram_file() -> None:
    """A file of a RamFS is data like any other, from where it stands."""
    with RamFS() as fs, strongroom.create(stream := io.BytesIO(), password=PASSWORD, format="zip") as room:
        fs.pipe_file("/a", noise(2_000_003))
        with fs.open("/a") as file:
            room.write("whole", file)
            file.seek(1_999_999)
            room.write("end", file)
    with strongroom.open(stream, password=PASSWORD) as read:
        assert read.read("whole") == noise(2_000_003)
        assert read.read("end") == noise(2_000_003)[-4:]


def test_progress(ram: RamFS) -> None:
    """Sealing counts all bytes once, loading twice: to verify, and to load."""
    total = sum(map(len, TREE.values()))
    calls: list[tuple[int, int | None]] = []
    stream = sealed(ram, progress=lambda *call: calls.append(call))
    assert calls[-1] == (total, total)
    calls.clear()
    strongroom.unseal(stream, password=PASSWORD, progress=lambda *call: calls.append(call)).close()
    assert calls[-1] == (2 * total, 2 * total)
    assert calls == sorted(calls)


def test_names_that_no_archive_has(tmp_path: Path) -> None:
    """A name that could not be extracted everywhere is refused, and no archive is made."""
    with RamFS() as fs, nothing_left(tmp_path):
        fs.pipe_file("/a\\b", b"1")
        with pytest.raises(ValueError):
            strongroom.seal(fs, tmp_path / "case.zip", password=PASSWORD)


def test_a_file_system_takes_no_name(ram: RamFS) -> None:
    """A tree has its own names."""
    with pytest.raises(TypeError):
        sealed(ram, name="folder")


def test_a_file_system_is_not_sealed_into_itself(ram: RamFS) -> None:
    """An archive that lies in what it seals would never end."""
    with ram.open("/case.zip", "wb") as file, pytest.raises(ValueError):
        strongroom.seal(ram, file, format="zip", password=PASSWORD)
    with RamFS() as other, other.open("/case.zip", "wb") as file:
        strongroom.seal(ram, file, format="zip", password=PASSWORD)
        with strongroom.unseal(other.open("/case.zip"), password=PASSWORD) as back:
            assert back.cat_file("/a.txt") == b"one"


def test_a_closed_file_system(tmp_path: Path, ram: RamFS) -> None:
    """It is refused before an archive is begun."""
    ram.close()
    with nothing_left(tmp_path), pytest.raises(ValueError):
        strongroom.seal(ram, tmp_path / "case.zip", password=PASSWORD)


def test_a_file_that_goes_meanwhile(tmp_path: Path, ram: RamFS) -> None:
    """What was listed, and then is not there, leaves no archive behind."""

    def remove(_done: int, _total: int | None) -> None:
        ram.rm("/hidden_dir", recursive=True)

    with nothing_left(tmp_path), pytest.raises(FileNotFoundError):
        strongroom.seal(ram, tmp_path / "case.zip", password=PASSWORD, progress=remove)


# What goes wrong on the way back


@pytest.mark.parametrize("number", [0, 1, 2])
def test_nothing_before_all_is_verified(monkeypatch: pytest.MonkeyPatch, ram: RamFS, number: int) -> None:
    """One damaged entry, whichever it is, and not a byte of any other gets into the RamFS, which is closed."""
    stream = sealed(ram, compression="store")
    with strongroom.open(stream, password=PASSWORD) as room:
        name = [entry.name for entry in room if entry.size][number]
    damaged = bytearray(stream.getvalue())
    damaged[damaged.find(name.encode()) + len(name.encode()) + 60] ^= 1
    opened: list[object] = []
    monkeypatch.setattr(RamFS, "open", lambda *_args, **_options: opened.append(None))
    before = living()
    with pytest.raises(StrongroomError):
        strongroom.unseal(io.BytesIO(damaged), password=PASSWORD)
    assert opened == []
    assert living() == before


def test_wrong_password(ram: RamFS) -> None:
    """No file system is left of an archive that does not open."""
    before = living()
    with pytest.raises(WrongKeyError):
        strongroom.unseal(sealed(ram), password="other")
    with strongroom.open(sealed(ram)) as room, pytest.raises(WrongKeyError):
        room.load()
    assert living() == before


@pytest.mark.parametrize(
    "load",
    [
        lambda room, _: room.load(limit=100_000),
        lambda _, stream: strongroom.unseal(stream, password=PASSWORD, limits=Limits(memory_size=100_000)),
    ],
    ids=["limit", "memory_size"],
)
def test_limits(ram: RamFS, load: Callable[[strongroom.ReadRoom, io.BytesIO], RamFS]) -> None:
    """Too much for the RamFS, or for one call, is refused before anything is read."""
    stream = sealed(ram)
    calls: list[object] = []
    before = living()
    with strongroom.open(stream, password=PASSWORD, progress=lambda *call: calls.append(call)) as room:
        with pytest.raises(LimitError):
            load(room, stream)
        assert calls == []
        assert living() == before
        room.load(limit=10_000_000).close()


def test_the_limit_counts_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many empty files pass the limit of the RamFS in the middle; it is closed then, and empty."""
    stream = sealed({f"{number}": b"" for number in range(1100)})
    made: list[RamFS] = []
    init = RamFS.__init__
    monkeypatch.setattr(RamFS, "__init__", lambda self, limit: (made.append(self), init(self, limit))[1])
    with strongroom.open(stream, password=PASSWORD) as room, pytest.raises(LimitError):
        room.load(limit=10_000)
    assert made[0].closed
    assert made[0].used == 0


def test_interrupted(ram: RamFS) -> None:
    """Whatever flies out of the caller's own `progress`, no file system stays."""
    stream = sealed(ram)
    total = sum(map(len, TREE.values()))
    before = living()

    def interrupt(done: int, _total: int | None) -> None:
        if done > total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        strongroom.unseal(stream, password=PASSWORD, progress=interrupt)
    assert living() == before


def test_a_file_that_changes_after_it_was_verified(ram: RamFS) -> None:
    """What is loaded is what was verified, or a TamperedError."""
    stream = sealed({"a": noise(20_000_000)}, compression="store")

    def change(done: int, _total: int | None) -> None:
        if done == 20_000_000:
            stream.getbuffer()[15_000_000] ^= 1

    before = living()
    with pytest.raises(TamperedError):
        strongroom.unseal(stream, password=PASSWORD, progress=change)
    assert living() == before


def test_symlinks_are_left_out() -> None:
    """An entry that is a symlink is neither made nor followed, and a warning says so."""
    stream = sealed({"a": b"/etc/passwd", "b": b"file"})
    changed = bytearray(stream.getvalue())
    record = changed.find(b"PK\x01\x02")
    changed[record + 40 : record + 42] = (stat.S_IFLNK | 0o777).to_bytes(2, "little")
    with pytest.warns(StrongroomWarning):
        room = strongroom.open(io.BytesIO(changed), password=PASSWORD, manifest="ignore")
    with room:
        assert [entry.kind for entry in room] == ["symlink", "file"]
        with pytest.warns(StrongroomWarning) as caught:
            fs = room.load()
    assert [warning.filename for warning in caught] == [__file__]
    assert fs.find("/") == ["/b"]


def test_a_closed_room(ram: RamFS) -> None:
    """A Room that is closed loads nothing."""
    room = strongroom.open(sealed(ram), password=PASSWORD)
    room.close()
    with pytest.raises(ValueError):
        room.load()


# Memory


PEAK = """
import resource, strongroom, sys
with strongroom.unseal(sys.argv[1], password="pass") as fs:
    print(fs.used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory(tmp_path: Path) -> None:
    """Loading takes memory for the data once, and some constant beside it."""
    piece, mebibyte = noise(1 << 20), 1 << 20

    def peak(size: int) -> int:
        path = tmp_path / f"{size}.zip"
        pieces = (piece for _ in range(size // mebibyte))
        strongroom.seal(pieces, path, name="a", password=PASSWORD, compression="store")
        done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
        used, resident = map(int, done.stdout.split())
        assert used == size
        return resident

    assert peak(192 * mebibyte) - peak(64 * mebibyte) < 1.1 * 128 * mebibyte


def test_no_plaintext_on_the_way(tmp_path: Path, ram: RamFS) -> None:
    """The file that is made holds nothing of the tree but its names."""
    path = tmp_path / "case.zip"
    strongroom.seal(ram, path, password=PASSWORD, compression="store")
    archive = path.read_bytes()
    assert text(2_500_000)[:16] not in archive
    assert os.fsencode("hidden_dir/Zoë/deep.bin") in archive
