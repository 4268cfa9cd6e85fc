from __future__ import annotations

import errno
import gc
import io
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sized
from pathlib import Path
from typing import Any, Literal

import pytest

import strongroom
from strongroom import OutputError, WriteRoom
from strongroom.flow import CHUNK
from strongroom.room.base import Progress
from strongroom.room.files import EntryFile, TextEntryFile
from tests.helpers import noise, nothing_left
from tests.traits import TRAITS, Trait, each_method, each_pipe

Mode = Literal["w", "wb"]


class Boom(Exception):  # noqa: N818 - a fault on purpose
    """What only these tests raise."""


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> int:
    """Without threads of its own, and with two."""
    return int(request.param)


@pytest.fixture(params=TRAITS, ids=str)
def trait(request: pytest.FixtureRequest) -> Trait:
    """Each format."""
    found: Trait = request.param
    return found


@pytest.fixture
def path(trait: Trait, tmp_path: Path) -> Iterator[Path]:
    """A place where an old archive stands, which must come out of every fault whole, and alone."""
    target = tmp_path / f"a{trait.suffix}"
    target.write_bytes(b"old")
    with nothing_left(tmp_path):
        yield target
    assert target.read_bytes() == b"old"


def create(path: Path, threads: int, compression: str | None = None, progress: Progress | None = None) -> WriteRoom:
    """Begin to seal over what stands there."""
    return strongroom.create(
        path, password="pass", overwrite=True, threads=threads, compression=compression, progress=progress
    )


# Sources


def failing_pieces(chunk: int) -> Iterator[bytes]:
    """So many chunks, and then a fault."""
    yield noise(chunk * CHUNK)
    raise Boom


class FailingFile:
    def __init__(self, chunk: int) -> None:
        self._left = chunk

    def read(self, size: int) -> bytes:
        if not self._left:
            raise Boom
        self._left -= 1
        return noise(size)


class FailingRaw(io.RawIOBase):
    def __init__(self, chunk: int) -> None:
        self._left = chunk

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._left:
            raise Boom
        self._left -= 1
        return len(buffer)


@pytest.mark.parametrize(
    ("source", "chunk"),
    [(failing_pieces, chunk) for chunk in (0, 1, 2, 9)] + [(FailingFile, 0), (FailingFile, 2), (FailingRaw, 2)],
)
@each_method
def test_source_fails(path: Path, threads: int, method: str, chunk: int, source: Callable[[int], Any]) -> None:
    """What a source raises, at any chunk, arrives as it is."""
    with pytest.raises(Boom), create(path, threads, compression=method) as room:  # noqa: PT012 - leaving the block is what is tested
        room.write("before", noise(100))
        room.write("a", source(chunk))


@pytest.mark.parametrize("chunk", [0, 1, 9])
def test_writer_of_a_pushed_entry_fails(path: Path, threads: int, chunk: int) -> None:
    """So with an exception in the block of an entry that is pushed."""
    with pytest.raises(Boom), create(path, threads) as room, room.open("a", "wb") as file:  # noqa: PT012 - leaving the block is what is tested
        file.write(noise(chunk * CHUNK + 5))
        raise Boom


def test_second_entry_fails(path: Path, threads: int) -> None:
    """Keys that were derived ahead are let go of."""
    with pytest.raises(Boom), create(path, threads) as room:  # noqa: PT012 - leaving the block is what is tested
        for number in range(10):
            room.write(str(number), b"data")
        raise Boom


# Stages


class BadEncoder:
    """A compressor that fails at its n-th chunk, or at the end."""

    def __init__(self, chunk: int | None, *, parallel: bool) -> None:
        self.parallel = parallel
        self._left = chunk

    def update(self, data: memoryview) -> bytes:
        if self._left is not None:
            if not self._left:
                raise Boom
            self._left -= 1
        return bytes(data)

    def finish(self) -> bytes:
        raise Boom

    def whole(self, data: memoryview) -> bytes:
        raise Boom


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("chunk", [0, 1, 5, None])
@pytest.mark.parametrize("size", [10, CHUNK + 1, 9 * CHUNK])
def test_compressor_fails(  # noqa: PLR0917 - every size, at every place, on every format
    trait: Trait,
    path: Path,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    chunk: int | None,
    *,
    parallel: bool,
) -> None:
    """What a compressor raises arrives as it is, from whichever thread."""
    bad = BadEncoder(chunk, parallel=parallel)
    monkeypatch.setattr(trait.encoder, lambda *_: bad)
    with pytest.raises(Boom), create(path, threads, compression="deflate") as room:
        room.write("a", noise(size))


def failing(target: str, calls: int) -> Callable[..., Any]:
    """Return what works as `target` for so many calls, and then fails."""
    real = pkgutil.resolve_name(target)
    left = iter(range(calls))

    def fail(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes
        if next(left, None) is None:
            raise Boom
        return real(*arguments, **named)

    return fail


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_cipher_fails(trait: Trait, path: Path, threads: int, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """What encryption raises arrives as it is."""
    monkeypatch.setattr(trait.cipher, failing(trait.cipher, calls))
    with pytest.raises(Boom), create(path, threads, compression="store") as room:
        room.write("a", noise(9 * CHUNK))


def test_key_derivation_fails(trait: Trait, path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So with the derivation of keys, which for ZIP runs ahead."""
    monkeypatch.setattr(trait.key, failing(trait.key, trait.keys))
    room = create(path, threads)
    with pytest.raises(Boom), room:  # noqa: PT012 - leaving the block is what is tested
        for number in range(20):
            room.write(str(number), b"data")
    assert room._options.password.closed


# Outputs


class FailingStream(io.RawIOBase):
    """A stream that takes so many bytes and no more."""

    def __init__(self, room: int, error: BaseException) -> None:
        self._left = room
        self._error = error

    def writable(self) -> bool:
        return True

    def write(self, data: Sized) -> int:  # type: ignore[override]
        if len(data) > self._left:
            raise self._error
        self._left -= len(data)
        return len(data)


@each_pipe
@pytest.mark.parametrize("room", [0, 100, CHUNK, 5 * CHUNK])
@pytest.mark.parametrize(
    ("error", "expected"),
    [(OSError(errno.EIO, "broken"), OutputError), (BrokenPipeError(), BrokenPipeError), (Boom(), Boom)],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_stream_fails(
    trait: Trait, threads: int, room: int, error: BaseException, expected: type[BaseException]
) -> None:
    """What a stream refuses is an OutputError; a broken pipe, and what is no matter of the disk, arrive as they are."""
    stream: Any = FailingStream(room, error)
    with nothing_left(), pytest.raises(expected):  # noqa: PT012 - leaving the block is what is tested
        with strongroom.create(
            stream, format=trait.name, password="pass", compression="store", threads=threads
        ) as archive:
            archive.write("a", noise(9 * CHUNK))
        pytest.fail("the error was lost")


def test_disk_is_full(path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an OutputError, whether a buffer is full or the archive is."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", full)
    for size in (10, 30 * CHUNK):
        with pytest.raises(OutputError), create(path, threads, compression="store") as room:
            room.write("a", noise(size))
        gc.collect()


def test_progress_fails(path: Path, threads: int) -> None:
    """What a progress callback raises stops the work."""

    def stop(done: int, total: int | None) -> None:
        if done > 2 * CHUNK:
            raise Boom

    with pytest.raises(Boom), create(path, threads, progress=stop) as room:
        room.write("a", noise(9 * CHUNK))


# Forgotten


def begin(room: WriteRoom, mode: Mode, size: int) -> EntryFile | TextEntryFile:
    """Write to an entry that nobody closes."""
    if mode == "w":
        text = room.open("pushed", mode)
        text.write("x" * size)
        return text
    file = room.open("pushed", mode)
    file.write(noise(size))
    return file


@pytest.mark.parametrize("mode", ["w", "wb"])
@pytest.mark.parametrize("size", [0, 10, 5 * CHUNK])
def test_entry_is_left_open(path: Path, threads: int, mode: Mode, size: int) -> None:
    """A Room that ends while an entry is open is an OutputError."""
    room = create(path, threads)
    file = begin(room, mode, size)
    with pytest.raises(OutputError):
        room.close()
    assert file.closed


@pytest.mark.parametrize("mode", ["w", "wb"])
@pytest.mark.parametrize("size", [10, 5 * CHUNK])
def test_entry_is_forgotten(path: Path, threads: int, mode: Mode, size: int) -> None:
    """So where the entry was dropped: half a file never passes for a whole one."""
    room = create(path, threads)
    begin(room, mode, size)
    gc.collect()
    with pytest.raises(OutputError):
        room.close()


@pytest.mark.parametrize("mode", [None, "w", "wb"])
def test_room_is_forgotten(path: Path, threads: int, mode: Mode | None) -> None:
    """A Room that nobody closes is discarded when it is collected, with its threads."""

    def forget() -> None:
        room = create(path, threads)
        room.write("a", noise(3 * CHUNK))
        room.write("b", b"data")
        room.write("c", b"data")
        if mode:
            begin(room, mode, 3 * CHUNK)

    forget()
    gc.collect()


def test_forgotten_reading_leaves_nothing(trait: Trait, tmp_path: Path, threads: int) -> None:
    """Files and pieces that are read in part, and Rooms that nobody closes, leave no thread and no descriptor."""
    strongroom.seal(
        {"a": noise(20 * CHUNK), "b": noise(10)}, tmp_path / f"a{trait.suffix}", password="pass", compression="store"
    )

    def forget() -> None:
        room = strongroom.open(tmp_path / f"a{trait.suffix}", password="pass", threads=threads)
        room.open("a", "rb").read(10)
        wrapped = room.open("a")
        wrapped.buffer.read(10)
        next(room.chunks("a"))
        room.chunks("a")

    with nothing_left(tmp_path):
        forget()


def test_reading_that_ends_in_the_middle(trait: Trait, tmp_path: Path, threads: int) -> None:
    """An exception of whoever reads leaves neither."""
    strongroom.seal({"a": noise(20 * CHUNK)}, tmp_path / f"a{trait.suffix}", password="pass", compression="store")
    with nothing_left(tmp_path):
        room = strongroom.open(tmp_path / f"a{trait.suffix}", password="pass", threads=threads)
        with pytest.raises(Boom), room:  # noqa: PT012 - leaving the block is what is tested
            for _ in room.chunks("a"):
                raise Boom


# Signals


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a script in another process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


BLOCKED = """
import os, sys, threading, strongroom
path, threads, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ours, theirs = os.pipe()
def feed():
    with open(theirs, "wb", closefd=False) as pipe:
        pipe.write(bytes(size))
    print("blocked", flush=True)
feeder = threading.Thread(target=feed)
feeder.start()
before = len(os.listdir("/proc/self/fd"))
try:
    with strongroom.create(path, password="pass", overwrite=True, threads=threads) as room:
        with open(ours, "rb", closefd=False) as pipe:
            room.write("a", pipe)
except KeyboardInterrupt:
    feeder.join()
    print("stopped", threading.active_count(), len(os.listdir("/proc/self/fd")) - before, flush=True)
"""


@pytest.mark.parametrize("size", [0, 5 * CHUNK])
def test_ctrl_c_while_a_pipe_is_silent(path: Path, threads: int, size: int) -> None:
    """Ctrl-C ends a read that waits for a pipe, at once, and nothing is left."""
    process = run(BLOCKED, path, threads, size)
    assert process.stdout
    assert process.stdout.readline() == "blocked\n"
    time.sleep(0.2)  # until it has read all and waits; too early is harmless, since that must work as well
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert out == "stopped 1 0\n", err
    assert time.monotonic() - began < 5


BUSY = """
import os, sys, strongroom, warnings
warnings.simplefilter("ignore")
path, threads = sys.argv[1], int(sys.argv[2])
piece = os.urandom(1 << 20)
def pieces():
    for number in range(10_000):
        if number == 12:
            print("busy", flush=True)
        yield piece
with strongroom.create(path, password="pass", overwrite=True, threads=threads, compression="store") as room:
    room.write("a", pieces())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_it_works(path: Path, threads: int, number: signal.Signals) -> None:
    """Ctrl-C in the middle of sealing leaves nothing; a signal that ends Python at once leaves no name either."""
    process = run(BUSY, path, threads)
    assert process.stdout
    assert process.stdout.readline() == "busy\n"
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode in (-number, 130, 1)


def test_other_threads_are_left_alone(trait: Trait, tmp_path: Path) -> None:
    """Sealing works in a thread that is not the main one."""
    found = []

    def seal() -> None:
        strongroom.seal({"a": noise(3 * CHUNK)}, tmp_path / f"a{trait.suffix}", password="pass")
        with strongroom.open(tmp_path / f"a{trait.suffix}", password="pass") as room:
            found.append(room.read("a"))

    thread = threading.Thread(target=seal)
    thread.start()
    thread.join()
    assert found == [noise(3 * CHUNK)]
