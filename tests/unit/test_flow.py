from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from strongroom.flow import CHUNK, Chunk, Chunker, Pipeline, Stage, as_bytes, chunks_of, default_threads, ordered_map
from tests.helpers import noise, nothing_left
from tests.proof import Tried

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1]


class ShortReads(io.RawIOBase):
    """A pipe's manners: each read gives a little, and readinto is there."""

    def __init__(self, data: bytes, step: int = 100_001) -> None:
        self._data = memoryview(data)
        self._step = step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), len(self._data), self._step)
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


class ReadOnly:
    """A file with nothing but `read`."""

    def __init__(self, data: bytes, step: int | None = None) -> None:
        self._file = io.BytesIO(data)
        self._step = step

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._step or size))


def pieces(data: bytes) -> Iterator[bytes | memoryview | bytearray]:
    """Cut data into pieces of odd sizes and types."""
    position, sizes = 0, [1, 0, 17, 65_537, CHUNK, 3, 2 * CHUNK + 5]
    for number in itertools.count():
        if position >= len(data):
            break
        size = sizes[number % len(sizes)]
        yield [bytes, bytearray, memoryview][number % 3](data[position : position + size])
        position += size


SOURCES: dict[str, Callable[[bytes], object]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "numpy": lambda data: np.frombuffer(data, np.uint8),
    "BytesIO": io.BytesIO,
    "short reads": ShortReads,
    "buffered": lambda data: io.BufferedReader(ShortReads(data)),
    "read only": ReadOnly,
    "read only, short": lambda data: ReadOnly(data, 100_003),
    "list": lambda data: [data],
    "iterable of odd sizes": pieces,
}


def gather(source: object) -> list[bytes]:
    """All chunks of a source, released as they come."""
    found = []
    for chunk in chunks_of(source):  # type: ignore[arg-type]
        found.append(bytes(chunk.data))
        chunk.release()
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", SOURCES)
def test_regroups(kind: str, size: int) -> None:
    """Whatever the source and its pieces, all chunks but the last are full, none is empty, and nothing is lost."""
    data = noise(size)
    found = gather(SOURCES[kind](data))
    assert b"".join(found) == data
    assert [len(chunk) for chunk in found] == [CHUNK] * (size // CHUNK) + [size % CHUNK] * bool(size % CHUNK)


def test_bytes_are_not_copied() -> None:
    """Chunks of a bytes-like object are views of it, and stay the caller's to wipe."""
    data = bytearray(b"abc")
    for chunk in chunks_of(data):
        chunk.release()
        assert chunk.data.obj is data
    assert data == b"abc"


def test_wide_items_and_gaps() -> None:
    """Buffers of wider items count in bytes, and those with gaps are read in order."""
    assert gather(array("I", [1, 2])) == [array("I", [1, 2]).tobytes()]
    assert gather(memoryview(b"abcdef")[::2]) == [b"ace"]
    assert gather(np.arange(6, dtype="<u2").reshape(2, 3).T) == [np.arange(6, dtype="<u2").reshape(2, 3).T.tobytes()]


@pytest.mark.parametrize("source", ["text", io.StringIO("text"), 5, None])
def test_refuses_at_once(source: object) -> None:
    """Text, text files and what is no data at all are a TypeError before the first chunk is asked for."""
    with pytest.raises(TypeError):
        chunks_of(source)  # type: ignore[arg-type]


class TextWithoutBase:
    def read(self, size: int) -> str:
        return "text"


class Nothing:
    def read(self, size: int) -> None:
        return None


@pytest.mark.parametrize("source", [["text"], [b"a", 5], {"a": b"b"}, TextWithoutBase(), Nothing()])
def test_refuses_inside(source: object) -> None:
    """Text in an iterable, or from a file that hid that it is one, is a TypeError."""
    with pytest.raises(TypeError):
        gather(source)


def test_non_blocking_file_is_no_end() -> None:
    """A file that has nothing yet is an error, and not taken for an empty one."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with open(ours, "rb", buffering=0) as file, pytest.raises(BlockingIOError):  # noqa: PTH123
        gather(file)
    os.close(theirs)


def test_release_wipes_our_memory() -> None:
    """A chunk in memory of ours is zeros once it is released, full or not, and the memory is used again."""
    chunks = chunks_of(io.BytesIO(b"x" * (CHUNK + 5)))
    first = next(chunks)
    first.release()
    assert bytes(first.data) == bytes(CHUNK)
    last = next(chunks)
    assert last.data.obj is first.data.obj
    assert bytes(last.data) == b"x" * 5
    last.release()
    assert bytes(last.data) == bytes(5)


def test_closing_the_stream_wipes() -> None:
    """What was gathered but not taken is wiped when the stream is closed, or its source fails."""
    spaces: list[memoryview] = []

    class Failing(io.RawIOBase):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            spaces.append(buffer)
            if len(spaces) == 3:
                raise OSError
            buffer[:3] = b"abc"
            return 3

    with pytest.raises(OSError):
        gather(Failing())
    assert bytes(spaces[0][:6]) == bytes(6)


def test_chunker_close_wipes() -> None:
    """A Chunker that is closed in the middle leaves zeros."""
    chunker = Chunker()
    assert list(chunker.push(memoryview(b"secret"))) == []
    space = chunker.space()
    chunker.close()
    assert bytes(memoryview(space.obj)[:6]) == bytes(6)
    assert chunker.take() is None


def test_as_bytes() -> None:
    """Bytes-like objects of any shape come out flat; anything else is None."""
    assert as_bytes("text") is None
    assert as_bytes([1]) is None
    view = as_bytes(np.zeros((2, 3), "<u4"))
    assert view is not None
    assert (view.format, view.ndim, len(view)) == ("B", 1, 24)
    assert bytes(as_bytes(b"") or b"x") == b"x"  # empty, and a view all the same
    assert as_bytes(b"") is not None


# Pipelines


def double(number: int) -> int:
    """What most stages here do."""
    return number * 2


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize(
    "stages",
    [
        [Stage(double)],
        [Stage(double, parallel=True)],
        [Stage(double, parallel=True), Stage(double), Stage(double)],
        [Stage(double), Stage(double, parallel=True), Stage(double), Stage(double, parallel=True)],
    ],
)
def test_keeps_the_order(stages: list[Stage], threads: int) -> None:
    """Results come in the order of the items, whatever the stages and threads."""
    with nothing_left(), Pipeline[int, int](stages, threads) as pipeline:
        found = [result for number in range(50) for result in pipeline.push(number)]
        found += pipeline.drain()
    assert found == [number << len(stages) for number in range(50)]


def test_order_does_not_depend_on_speed() -> None:
    """An item that takes longer is waited for."""
    gate = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            gate.wait(10)
        else:
            gate.set()
        return number

    assert list(ordered_map(work, range(6), 2)) == list(range(6))


def test_serial_stages_see_the_order() -> None:
    """A stage that is not parallel takes one item at a time, in order, though the one before it is parallel."""
    seen: list[int] = []
    busy = threading.Lock()

    def serial(number: int) -> int:
        assert busy.acquire(blocking=False)
        seen.append(number)
        busy.release()
        return number

    with Pipeline[int, int]([Stage(double, parallel=True), Stage(serial)], 4) as pipeline:
        for number in range(100):
            list(pipeline.push(number))
        list(pipeline.drain())
    assert seen == list(range(0, 200, 2))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("stages", [1, 3])
def test_depth_is_a_bound(stages: int, threads: int) -> None:
    """There are never more items under way than `depth` says, the one that the caller holds included."""
    under_way = most = 0

    def items() -> Iterator[int]:
        nonlocal under_way, most
        for number in range(40):
            under_way += 1
            most = max(most, under_way)
            yield number

    with Pipeline[int, int]([Stage(double, parallel=True)] + [Stage(double)] * (stages - 1), threads) as pipeline:
        for number in items():
            for _ in pipeline.push(number):
                under_way -= 1
        assert most <= pipeline.depth
        assert most >= min(threads, 2)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("number", [0, 7])
def test_error_of_any_stage_arrives(failing: int, number: int, threads: int) -> None:
    """What a stage raises reaches the caller as it is, and no thread stays."""

    def fail(value: int) -> int:
        if value == number:
            raise KeyError(value)
        return value

    stages = [Stage(fail if place == failing else int, parallel=place == 0) for place in range(3)]
    with nothing_left():
        with pytest.raises(KeyError) as caught, Pipeline[int, int](stages, threads) as pipeline:  # noqa: PT012 - leaving the block is what is tested
            for value in range(20):
                list(pipeline.push(value))
            list(pipeline.drain())
        assert caught.value.args == (number,)


def test_results_before_an_error_are_given() -> None:
    """Items before the failing one come out first."""

    def fail(value: int) -> int:
        if value == 5:
            raise KeyError
        return value

    found = []
    with pytest.raises(KeyError):  # noqa: PT012 - leaving the block is what is tested
        for value in ordered_map(fail, range(10), 2):
            found.append(value)  # noqa: PERF402 - the loop must go as far as it can
    assert found == [0, 1, 2, 3, 4]


def test_error_of_the_items_arrives() -> None:
    """What the items' iterator raises reaches the caller, and no thread stays."""

    def items() -> Iterator[int]:
        yield from range(10)
        raise LookupError

    with nothing_left(), pytest.raises(LookupError):
        list(ordered_map(double, items(), 2))


@pytest.mark.parametrize("threads", [1, 2])
def test_close_in_the_middle(threads: int) -> None:
    """Closing ends the threads, though results are left, and drops what has not started."""
    started: list[int] = []
    with nothing_left():
        pipeline = Pipeline[int, int]([Stage(started.append, parallel=True), Stage(lambda _: 0)], threads)
        for number in range(3):
            list(pipeline.push(number))
        pipeline.close()
        pipeline.close()
    assert len(started) <= 3


def test_abandoned_map_leaves_no_thread() -> None:
    """An ordered_map that is closed, or forgotten, in the middle leaves no thread, and one never begun starts none."""
    with nothing_left():
        mapped = ordered_map(double, range(100), 2)
        next(mapped)
        mapped.close()  # type: ignore[attr-defined]
        mapped = ordered_map(double, range(100), 2)
        next(mapped)
        del mapped
        ordered_map(double, range(100), 2)


def test_one_thread_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`threads=1` starts no thread at all."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread was started"))
    names = set()

    def work(number: int) -> int:
        names.add(threading.current_thread().name)
        return number

    assert list(ordered_map(work, range(5), 1)) == list(range(5))
    assert names == {threading.current_thread().name}


def test_threads_are_the_number_asked_for() -> None:
    """No more than `threads` of them work side by side, and they do so."""
    barrier = threading.Barrier(3)
    names = set()

    def work(number: int) -> int:
        names.add(threading.current_thread().name)
        barrier.wait(10)
        return number

    assert list(ordered_map(work, range(9), 3)) == list(range(9))
    assert len(names) == 3


def test_ctrl_c_interrupts_a_wait() -> None:
    """Ctrl-C reaches a caller who waits for a result, at once, and close then ends the threads."""
    gate = threading.Event()
    main = threading.get_ident()

    def work(number: int) -> int:
        signal.pthread_kill(main, signal.SIGINT)
        gate.wait(0.5)
        return number

    began = time.monotonic()
    with nothing_left(), pytest.raises(KeyboardInterrupt):  # noqa: PT012 - leaving the block is what is tested
        try:
            list(ordered_map(work, range(1), 2))
        except KeyboardInterrupt:
            gate.set()
            raise
    assert time.monotonic() - began < 5


def test_close_waits_for_a_thread_whose_start_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a thread starts: nobody knows it, and yet nothing is let go of while it works."""
    begun, finish, done = threading.Event(), threading.Event(), []
    real = threading.Thread.start

    def work(item: int) -> int:
        begun.set()
        finish.wait(10)
        done.append(item)
        return item

    def interrupted(thread: threading.Thread) -> None:
        real(thread)
        raise KeyboardInterrupt

    timer = threading.Timer(0.3, finish.set)
    with nothing_left():
        pipeline = Pipeline[int, int]([Stage(work)], 2)
        timer.start()
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", interrupted)
            with pytest.raises(KeyboardInterrupt):
                list(pipeline.push(0))
            patched.setattr(threading.Thread, "start", lambda _: None)  # so that it is that one that works
            patched.setattr(threading.Thread, "join", lambda _: None)
            list(pipeline.push(1))
            assert begun.wait(10)
            pipeline.close()
        assert done == [1]
        timer.join()
        while any(thread.name.startswith("strongroom") for thread in threading.enumerate()):
            time.sleep(0.001)


_CTRL_C = """
import opcode, os, signal, sys, threading
from strongroom.flow import Pipeline, Stage

names = "CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME"
checks = {opcode.opmap[name] for name in names if name in opcode.opmap}
files = tuple(f"{os.sep}{name}" for name in ("flow.py", "threading.py", "thread.py", "_base.py", "queue.py"))
first, step = int(sys.argv[1]), int(sys.argv[2])


def job(place):
    count, last = 0, {}

    def look(frame, event, _):
        nonlocal count
        if event == "opcode":
            before, last[frame] = last.get(frame), frame.f_code.co_code[frame.f_lasti]
            if before in checks:
                count += 1
                if count == place:
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return look

    def enter(frame, *_):
        if last.get(frame.f_back) != opcode.opmap["RESUME"]:
            last.pop(frame.f_back, None)  # a call of Python code is no check by itself
        if not frame.f_code.co_filename.endswith(files):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return look

    sys.settrace(enter)
    try:
        with Pipeline([Stage(lambda number: number, parallel=True), Stage(lambda number: number)], 3) as pipeline:
            for number in range(6):
                list(pipeline.push(number))
            list(pipeline.drain())
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


places = hung = 0
for place in range(first, 100_000, step):
    child = os.fork()
    if not child:
        signal.alarm(10)  # without a handler: it ends what hangs
        came = job(place)
        threading._shutdown()
        os._exit(0 if came else 3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 3:
        break
    hung += status == -signal.SIGALRM
    places += 1
print(places, hung)
"""


def test_ctrl_c_at_any_place(times: Callable[[int, int], int], tried: Tried) -> None:
    """Where Python looks for signals in a Pipeline, or in what it calls, Ctrl-C stops nothing forever."""
    step = times(2, 1)
    command = [sys.executable, "-c", _CTRL_C, str(step // 2 + 1), str(step)]
    places, hung = map(int, subprocess.run(command, check=True, capture_output=True, timeout=110).stdout.split())
    assert places > 10
    assert not hung
    tried("P4", "Ctrl-C wherever Python looks for it in the threads' book-keeping", "the job ends", count=places)


def test_chunk_release_is_harmless_twice() -> None:
    """A chunk that was released does not wipe memory that has become another chunk's."""
    pool: list[bytearray] = []
    buffer = bytearray(b"abc")
    chunk = Chunk(memoryview(buffer), buffer, pool)
    chunk.release()
    pool.pop()[:] = b"new"
    chunk.release()
    assert buffer == b"new"
    assert pool == []


def test_default_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is what this process may use, not what the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert default_threads() == 3


def test_close_drops_what_was_not_taken() -> None:
    """What was pushed and whose result nobody took is given to `drop`, once each, so that it can be wiped."""
    dropped: list[int] = []

    def fail_late(item: int) -> int:
        if item == 2:
            raise OSError
        return item

    with Pipeline[int, int]([Stage(fail_late)], 2, drop=dropped.append) as pipeline:
        taken: list[int] = []

        def push_all() -> None:
            for item in range(20):
                taken.extend(pipeline.push(item))

        with pytest.raises(OSError):
            push_all()
    assert taken == [0, 1]
    assert dropped == list(range(2, 2 + len(dropped)))
    assert dropped
