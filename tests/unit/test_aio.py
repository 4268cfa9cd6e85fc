"""Archives for asyncio: what is awaited is what `strongroom` does, the loop stays free, and a cancel leaves nothing."""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from random import Random

import pytest

import strongroom
from strongroom import aio
from strongroom.errors import (
    EntryNotFoundError,
    OutputError,
    OutputExistsError,
    StrongroomError,
    TamperedError,
    WrongKeyError,
)
from strongroom.limits import MIB
from tests.helpers import listing, noise, nothing_left, text
from tests.proof import Tried
from tests.traits import Trait, each_format

PASSWORD = "nine tame owls read maps"
DATA = {"a": text(1_300_000), "folder/b": noise(70_000), "empty": b""}


def run(coroutine: Coroutine[object, object, object], *folders: Path) -> object:
    """Run it in a loop of its own, which leaves no thread, descriptor or file behind."""
    with nothing_left(*folders):
        return asyncio.run(coroutine)


async def pieces(data: bytes, size: int = 100_000, pause: float = 0) -> AsyncIterator[bytes]:
    """Data that comes bit by bit."""
    for start in range(0, len(data), size):
        await asyncio.sleep(pause)
        yield data[start : start + size]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where an archive goes."""
    return tmp_path / "a.zip"


@each_format
def test_all_calls(tmp_path: Path, trait: Trait) -> None:
    """What each gives is what the call of the same name gives."""
    path = tmp_path / f"a{trait.suffix}"

    async def main() -> None:
        async with aio.create(path, password=PASSWORD) as room:
            await room.write("a", DATA["a"], mode=0o700)
            await room.write("folder/b", io.BytesIO(DATA["folder/b"]))
            await room.write("empty", [])
            await room.write("pushed", pieces(DATA["a"]))
            await room.mkdir("void")
            assert [entry.name for entry in room.entries] == [*DATA, "pushed", "void"]
        async with aio.open(path, password=PASSWORD) as room:
            assert (await room.verify()).ok
            assert {name: await room.read(name) for name in DATA} == DATA
            buffer = bytearray(len(DATA["folder/b"]))
            assert await room.read_into("folder/b", buffer) == len(buffer)
            assert bytes(buffer) == DATA["folder/b"]
            assert b"".join([bytes(chunk) async for chunk in room.chunks("pushed")]) == DATA["a"]
            with await room.load() as ram:
                assert ram.cat_file("/a") == DATA["a"]
            await room.extract(tmp_path / "out", ["a"])
            with pytest.raises(EntryNotFoundError):
                await room.read("missing")
        with await aio.unseal(path, password=PASSWORD) as ram:
            assert ram.cat_file("/pushed") == DATA["a"]
        assert await aio.read(path, "a", password=PASSWORD) == DATA["a"]

    asyncio.run(main())
    assert (tmp_path / "out" / "a").read_bytes() == DATA["a"]


def test_seal_and_write(tmp_path: Path) -> None:
    """Sources are as for `strongroom.seal`, and async iterables among them."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"data")
    ram = strongroom.RamFS()
    ram.pipe("/x", b"data")

    async def main() -> None:
        await aio.seal(DATA, tmp_path / "1.zip", password=PASSWORD)
        await aio.seal({"a": pieces(DATA["a"]), "b": b"plain"}, tmp_path / "2.zip", password=PASSWORD)
        await aio.seal(pieces(DATA["a"]), tmp_path / "3.zip", name="a", password=PASSWORD)
        await aio.seal(pieces(DATA["a"]), tmp_path / "4.age", password=PASSWORD)
        await aio.seal(tmp_path / "folder", tmp_path / "5.zip", password=PASSWORD)
        await aio.seal(ram, tmp_path / "6.zip", password=PASSWORD)
        await aio.write(tmp_path / "7.zip", "a", DATA["a"], password=PASSWORD)
        await aio.write(tmp_path / "8.zip", "a", pieces(DATA["a"]), password=PASSWORD)
        with pytest.raises(ValueError, match="name"):
            await aio.seal(pieces(b"data"), tmp_path / "9.zip", password=PASSWORD)
        for mapping in ({"a": pieces(b"data")}, {"a": b"data"}):
            with pytest.raises(TypeError):
                await aio.seal(mapping, tmp_path / "9.zip", name="a", password=PASSWORD)

    asyncio.run(main())
    ram.close()
    names = {}
    for path in sorted(tmp_path.glob("*.*")):
        with strongroom.open(path, password=PASSWORD) as room:
            names[path.name] = [entry.name for entry in room if entry.kind == "file"]
            if path.name[0] in "123478":
                assert room.read(names[path.name][0]) == DATA["a"]
    assert names == {
        "1.zip": [*DATA], "2.zip": ["a", "b"], "3.zip": ["a"], "4.age": ["4"], "5.zip": ["folder/file"],
        "6.zip": ["x"], "7.zip": ["a"], "8.zip": ["a"],
    }  # fmt: skip


def test_the_loop_stays_free(path: Path) -> None:
    """While 200 MiB are sealed and read, another task goes on nearly as often as while nothing is done."""
    data = memoryview(bytes(200 * MIB))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def rate(work: Coroutine[object, object, object]) -> float:
        nonlocal ticks
        start, ticks = time.perf_counter(), 0
        await work
        return ticks / (time.perf_counter() - start)

    async def main() -> tuple[float, list[float]]:
        ticker = asyncio.create_task(tick())
        idle = await rate(asyncio.sleep(0.5))
        busy = [
            await rate(aio.seal({"a": data}, path, password=PASSWORD, compression="store")),
            await rate(aio.read(path, "a", password=PASSWORD)),
        ]
        ticker.cancel()
        return idle, busy

    idle, busy = asyncio.run(main())
    assert min(busy) > idle / 20, (idle, busy)  # with the loop blocked it is none at all


@pytest.mark.parametrize("kind", ["bytes", "iterable", "async iterable", "room"])
@pytest.mark.parametrize("old", [None, b"what stood there"])
def test_a_cancelled_seal_leaves_nothing(
    tmp_path: Path, kind: str, old: bytes | None, times: Callable[[int, int], int], tried: Tried
) -> None:
    """Whenever it is cancelled, no thread is left, and the folder is as it was or the archive is whole."""
    count, random, data = times(3, 50), Random(kind), noise(4 * MIB)
    path = tmp_path / "a.zip"
    options = {"password": PASSWORD, "overwrite": True, "threads": 2}

    async def by_room() -> None:
        async with aio.create(path, **options) as room:
            for number in range(4):
                await room.write(str(number), data[number * MIB : (number + 1) * MIB])

    makes: dict[str, Callable[[], Coroutine[object, object, None]]] = {
        "bytes": lambda: aio.seal({"a": data}, path, **options),
        "iterable": lambda: aio.seal({"a": (data[n : n + 9999] for n in range(0, len(data), 9999))}, path, **options),
        "async iterable": lambda: aio.write(path, "a", pieces(data), **options),
        "room": by_room,
    }

    async def cancelled(after: float) -> bool:
        task = asyncio.create_task(makes[kind]())
        await asyncio.sleep(after)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False

    start = time.perf_counter()
    asyncio.run(makes[kind]())
    usual, done = time.perf_counter() - start, 0
    for _ in range(count):
        path.unlink(missing_ok=True)
        if old is not None:
            path.write_bytes(old)
        before = listing(tmp_path)
        with nothing_left():
            was_cancelled = asyncio.run(cancelled(random.uniform(0, usual)))
        done += was_cancelled
        if not was_cancelled or (path.exists() and path.read_bytes() != old):
            with strongroom.open(path, password=PASSWORD) as room:
                assert b"".join(room.read(entry.name) for entry in room) == data
        else:
            assert listing(tmp_path) == before
    assert done
    tried("P4", "an asyncio task that seals is cancelled", "the old file whole, or the new one", count=done)


def test_a_cancelled_seal_ends_soon(path: Path) -> None:
    """It is not written to the end: an endless source is left at the next chunk, and told so."""
    left = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(MIB)
        finally:
            left.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await aio.seal({"a": endless()}, path, password=PASSWORD, compression="store")

    start = time.perf_counter()
    run(main(), path.parent)
    assert time.perf_counter() - start < 10
    assert left.is_set()


def test_a_cancel_while_the_disk_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive does not appear: the last moment to stop is right before it would."""
    syncing, go_on, sync = threading.Event(), threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        syncing.set()
        go_on.wait(60)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)

    async def main(work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        await asyncio.to_thread(syncing.wait, 60)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def room() -> None:
        async with aio.create(path, password=PASSWORD) as opened:
            await opened.write("a", b"data")

    for work in (lambda: aio.seal({"a": b"data"}, path, password=PASSWORD), room):
        syncing.clear()
        go_on.clear()
        run(main(work()), path.parent)


def test_a_cancelled_call_that_is_swallowed(path: Path) -> None:
    """A Room in which a call was cancelled cannot be completed any more, and says so."""

    async def main() -> None:
        async with aio.create(path, password=PASSWORD) as room:
            task = asyncio.create_task(room.write("a", b"data"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(OutputError):
                await room.write("b", b"data")

    with pytest.raises(OutputError):
        run(main(), path.parent)


def test_a_cancelled_read_leaves_the_room_open(path: Path) -> None:
    """A Room that is read goes on after one, and so does the same call."""
    data = noise(20 * MIB)
    strongroom.seal({"a": data}, path, password=PASSWORD)

    async def main() -> None:
        async with aio.open(path, password=PASSWORD, limits=strongroom.Limits(memory_size=1 << 30)) as room:
            for call in (lambda: room.read("a"), room.verify, room.load):
                task = asyncio.create_task(call())
                await asyncio.sleep(0)  # in which it begins
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await room.read("a") == data

    run(main())


def test_exceptions_discard_and_travel(path: Path) -> None:
    """Those of the block, of the data and of strongroom reach the caller, and nothing is left."""

    def failing() -> Iterator[bytes]:
        yield bytes(MIB)
        raise ZeroDivisionError

    async def failing_later() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        raise ZeroDivisionError

    async def block() -> None:
        async with aio.create(path, password=PASSWORD) as room:
            await room.write("a", b"data")
            raise ZeroDivisionError

    async def swallowed() -> None:
        async with aio.create(path, password=PASSWORD) as room:
            with pytest.raises(ZeroDivisionError):
                await room.write("a", failing_later())

    cases: list[tuple[Callable[[], Coroutine[object, object, object]], type[Exception]]] = [
        (block, ZeroDivisionError),
        (swallowed, OutputError),
        (lambda: aio.seal({"a": failing()}, path, password=PASSWORD), ZeroDivisionError),
        (lambda: aio.write(path, "a", failing_later(), password=PASSWORD), ZeroDivisionError),
        (lambda: aio.seal({"../a": b""}, path, password=PASSWORD), ValueError),
        (lambda: aio.seal({"a": b""}, path), ValueError),
        (lambda: aio.seal({"a": "text"}, path, password=PASSWORD), TypeError),
        (lambda: aio.seal({"a": b""}, path.parent / "missing" / "a.zip", password=PASSWORD), OutputError),
        (lambda: aio.unseal(path, password=PASSWORD), FileNotFoundError),
    ]
    for make, error in cases:
        with pytest.raises(error):
            run(make(), path.parent)
    strongroom.seal(DATA, path, password=PASSWORD)
    with pytest.raises(OutputExistsError):
        run(aio.seal(DATA, path, password=PASSWORD), path.parent)
    for call in (aio.unseal(path, password="wrong"), aio.read(path, "a", password="wrong")):
        with pytest.raises(WrongKeyError):
            run(call, path.parent)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(TamperedError):
        run(aio.unseal(path, password=PASSWORD))


def test_backpressure(path: Path) -> None:
    """An async iterable is asked for the next item only once the one before is written: one is under way at most."""
    given, taken = 0, []
    stream = io.BytesIO()
    write = stream.write
    stream.write = lambda data: (time.sleep(0.02), write(data))[1]  # type: ignore[method-assign]

    async def items() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(10):
            given += MIB
            taken.append(given - stream.tell())
            yield noise(MIB)

    options = {"password": PASSWORD, "format": "zip", "compression": "store", "threads": 1}
    run(aio.write(stream, "a", items(), **options))
    assert max(taken) <= 4 * MIB, taken


@pytest.mark.parametrize(
    "options", [{"mode": 0o700}, {"layer": strongroom.FernetLayer(key=b"A" * 43 + b"=")}], ids=["mode", "layer"]
)
def test_what_an_async_iterable_does_not_take(path: Path, options: dict[str, object]) -> None:
    """It is refused before anything is written, and the archive goes on."""

    async def main() -> None:
        async with aio.create(path, password=PASSWORD) as room:
            with pytest.raises(TypeError):
                await room.write("a", pieces(b"data"), **options)
            await room.write("a", b"data", **options)

    asyncio.run(main())
    assert path.exists()


def test_tasks_share_a_room(path: Path) -> None:
    """Calls of several tasks wait for each other; a cancelled one takes none of the others with it."""
    strongroom.seal(DATA, path, password=PASSWORD)

    async def main() -> None:
        async with aio.open(path, password=PASSWORD) as room:
            tasks = [asyncio.create_task(room.read("a")) for _ in range(10)]
            await asyncio.sleep(0)
            tasks[3].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(found.pop(3), asyncio.CancelledError)
            assert found == [DATA["a"]] * 9
            names = await asyncio.gather(*(room.read(name) for name in DATA))
            assert names == list(DATA.values())

    run(main())


def test_outside_of_the_block(path: Path) -> None:
    """A Room is used in its block, once."""

    async def main() -> None:
        room = aio.create(path, password=PASSWORD)
        with pytest.raises(ValueError, match="open"):
            await room.write("a", b"data")
        async with room:
            pass
        with pytest.raises(ValueError, match="closed"):
            await room.write("a", b"data")
        with pytest.raises(ValueError, match="already"):
            await room.__aenter__()

    run(main())
    path.unlink()
    with nothing_left(path.parent):
        aio.create(path, password=PASSWORD)  # which nobody enters


def test_context_variables_and_progress(path: Path) -> None:
    """The thread sees the variables of the task; progress is told in the loop, and an error of it is the loop's."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen, told, threads = [], [], set()

    def data() -> Iterator[bytes]:
        seen.append(variable.get())
        yield bytes(2 * MIB)

    def progress(done: int, total: int | None) -> None:
        told.append((done, total))
        threads.add(threading.current_thread())

    async def main() -> None:
        variable.set("the task's")
        await aio.seal({"a": data()}, path, password=PASSWORD, progress=progress)
        await aio.unseal(path, password=PASSWORD, progress=progress)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ["the task's"]
    assert (2 * MIB, None) in told
    assert told[-1] == (4 * MIB, 4 * MIB)
    assert threads == {threading.main_thread()}


def test_no_secret_in_what_asyncio_logs(path: Path, caplog: pytest.LogCaptureFixture, tried: Tried) -> None:
    """In debug mode asyncio logs tasks, handles and the results of futures: neither password nor plaintext is there."""
    plain = b"the plaintext of the entry"
    shown: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0  # everything is slow

        async def read() -> None:  # a task that returns plaintext shows it: docs/limitations.md
            assert await aio.read(path, "b", password=PASSWORD) == plain

        for work in (
            aio.seal({"a": plain}, path, password=PASSWORD),
            aio.seal({"b": pieces(plain)}, path, password=PASSWORD, overwrite=True),
            read(),
        ):
            task = asyncio.create_task(work)
            while not task.done():
                shown.extend(map(repr, asyncio.all_tasks()))
                await asyncio.sleep(0)
        with pytest.raises(WrongKeyError):
            await aio.read(path, "b", password=PASSWORD + "x")
        room = aio.open(path, password=PASSWORD)
        shown.append(repr(vars(room)))
        async with room:
            shown.append(repr(vars(room)))

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main(), debug=True)
    shown += caplog.messages
    assert len(caplog.messages) > 10
    assert not [line for line in shown if PASSWORD in line or "plaintext" in line]
    tried("P2", "asyncio's debug log of tasks that seal and read", "no password, no plaintext", count=len(shown))


def test_no_password_in_tracebacks(path: Path, tried: Tried) -> None:
    """Those that show local variables do not show it, in no frame of ours, whatever fails."""
    missing = path.parent / "missing" / "a.zip"
    calls = [
        lambda: aio.seal({"a": b"data"}, missing, password=PASSWORD),
        lambda: aio.write(missing, "a", pieces(b"data"), password=PASSWORD),
        lambda: aio.unseal(missing, password=PASSWORD),
        lambda: aio.read(missing, "a", password=PASSWORD),
    ]
    for call in calls:
        with pytest.raises((OutputError, OSError)) as caught:
            asyncio.run(call())
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        ours = [frame.f_locals for frame in frames if frame.f_code.co_filename == aio.__file__]
        assert ours
        assert PASSWORD not in repr(ours)
    tried("P2", "tracebacks of aio with local variables", "no password", count=len(calls))


INTERRUPTED = """
import asyncio, os, sys
from strongroom import aio

async def pieces():
    while True:
        print("x", flush=True)
        yield bytes(1 << 20)

def endless():
    while True:
        print("x", flush=True)
        yield bytes(1 << 20)

data = pieces() if sys.argv[2] == "async" else endless()
asyncio.run(aio.write(sys.argv[1], "a", data, password=os.urandom(8).hex()))
"""


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_ctrl_c(path: Path, kind: str) -> None:
    """It ends the program at once, as KeyboardInterrupt, and nothing is left."""
    command = [sys.executable, "-c", INTERRUPTED, str(path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        drain = threading.Thread(target=process.stdout.read)
        drain.start()
        assert process.wait(60) == -signal.SIGINT
        drain.join()
        assert "KeyboardInterrupt" in process.stderr.read()
    assert listing(path.parent) == []


def test_a_coroutine_that_is_dropped(path: Path) -> None:
    """A loop that ends in the middle (`close` of the coroutine) discards the archive as well."""

    async def begin() -> None:
        async with aio.create(path, password=PASSWORD) as room:
            await room.write("a", b"data")
            coroutine = room.write("b", pieces(text(MIB), pause=0.01))
            coroutine.send(None)
            coroutine.close()

    with pytest.raises((OutputError, RuntimeError)):
        run(begin(), path.parent)


def test_it_is_loaded_on_demand() -> None:
    """`import strongroom` loads no asyncio."""
    code = "import strongroom, sys; assert 'asyncio' not in sys.modules; from strongroom import aio; aio.seal"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_are_strongrooms(path: Path) -> None:
    """Bytes that are no archive are an error of ours here as well."""
    path.write_bytes(noise(1000))
    for call in (aio.unseal(path, password=PASSWORD), aio.read(path, "a", password=PASSWORD)):
        with pytest.raises(StrongroomError):
            run(call, path.parent)
