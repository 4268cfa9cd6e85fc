"""Archives for asyncio: the work is done in a thread, and the loop stays free.

Each Room has a thread of its own, since Rooms are not thread-safe; calls of several tasks wait for each other. A call
that is cancelled stops at its next chunk and is waited for, so that nobody still writes once the task has ended. What
was to be sealed is then discarded as a whole, up to the moment at which it would appear.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Generic, ParamSpec, Self, TypeVar, Unpack, cast, overload

from strongroom import room as rooms
from strongroom.errors import OutputError
from strongroom.memory.secret import Secret
from strongroom.room import ReadRoom, WriteRoom
from strongroom.room.finding import name_kept

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Iterable
    from datetime import datetime
    from types import TracebackType

    from typing_extensions import Buffer

    from strongroom.formats import Entry
    from strongroom.fs.ram import RamFS
    from strongroom.layers import Layer
    from strongroom.room import CreateOptions, OpenOptions, Report
    from strongroom.room.base import Progress
    from strongroom.room.writing import Data

    AsyncData = Data | AsyncIterable[Buffer]
    Path = str | os.PathLike[str] | BinaryIO

__all__ = ["AsyncReadRoom", "AsyncWriteRoom", "create", "open", "read", "seal", "unseal", "write"]

_FILE_MODE: Final = 0o600

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Opened = TypeVar("Opened", ReadRoom, WriteRoom)


@overload
async def seal(source: Mapping[str, AsyncData], path: Path, **options: Unpack[CreateOptions]) -> None: ...
@overload
async def seal(
    source: RamFS | os.PathLike[str] | AsyncData,
    path: Path,
    *,
    name: str | None = ...,
    **options: Unpack[CreateOptions],
) -> None: ...
async def seal(
    source: Mapping[str, AsyncData] | RamFS | os.PathLike[str] | AsyncData,
    path: Path,
    *,
    name: str | None = None,
    **options: Unpack[CreateOptions],
) -> None:
    """Seal `source` into an archive at `path`; as `strongroom.seal`, and data may be async iterables of bytes.

    `progress` is called by the loop. Cancelled, it leaves what stood there before.
    """
    with _password_of(options):
        if isinstance(source, AsyncIterable):
            source, name = {_named(path, name, options.get("format")): source}, None
        datas: Mapping[str, AsyncData] = cast("Any", source) if isinstance(source, Mapping) and name is None else {}
        if any(isinstance(data, AsyncIterable) for data in datas.values()):
            async with create(path, **options) as room:
                for key, data in datas.items():
                    await room.write(key, data)
            return
        with _Worker(options.pop("progress", None)) as worker:
            options["progress"] = worker.progress

            def work() -> None:
                room, items = rooms.prepare(cast("Data", source), path, name, options)
                room.before_it_appears(worker.check)
                rooms.fill(room, items)

            await worker.run(work)


async def unseal(path: Path, **options: Unpack[OpenOptions]) -> RamFS:
    """Open an archive and load all of it into a RamFS; as `strongroom.unseal`. `progress` is called by the loop."""
    loaded: list[RamFS] = []  # here rather than returned, so that a cancelled call closes it
    with _password_of(options), _Worker(options.pop("progress", None)) as worker:
        options["progress"] = worker.progress
        try:
            await worker.run(lambda: loaded.append(rooms.unseal(path, **options)))
        except BaseException:
            for ram in loaded:
                ram.close()
            raise
    return loaded[0]


async def read(path: Path, name: str, *, layer: Layer | None = None, **options: Unpack[OpenOptions]) -> bytes:
    """Return one entry of an archive; options and errors as for `open`, the rest as for `ReadRoom.read`."""
    with _password_of(options):
        async with open(path, **options) as room:
            return await room.read(name, layer=layer)


async def write(path: Path, name: str, data: AsyncData, **options: Unpack[CreateOptions]) -> None:
    """Seal one entry into an archive of its own; options and errors as for `create`."""
    with _password_of(options):
        await seal({name: data}, path, **options)


def create(path: Path, **options: Unpack[CreateOptions]) -> AsyncWriteRoom:
    """Begin an archive; an async context manager, in whose block it is filled. Options and errors as `strongroom`'s."""
    return AsyncWriteRoom(rooms.create, path, options)


def open(path: Path, **options: Unpack[OpenOptions]) -> AsyncReadRoom:
    """Open an archive; an async context manager, in whose block it is read. Options and errors as `strongroom`'s."""
    return AsyncReadRoom(rooms.open, path, options)


class _StoppedError(BaseException):
    """Ends what a thread does for a call that was cancelled; nobody sees it but the Room."""


class _Box:
    """What a call returned: asyncio's debug log shows the results of futures, and this one shows nothing."""

    __slots__ = ("value",)

    def __init__(self, function: Callable[[], object]) -> None:
        self.value = function()


class _Worker:
    """A thread that does one call after the other. `progress` is told in the loop."""

    def __init__(self, progress: Progress | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, "strongroom-aio")
        self._lock = asyncio.Lock()
        self._told = progress
        self._stopped = False

    def check(self) -> None:
        """End the call that the thread works on, where it was cancelled."""
        if self._stopped:
            raise _StoppedError

    def progress(self, done: int, total: int | None) -> None:
        """See `Progress`."""
        self.check()
        if self._told is not None:
            self._loop.call_soon_threadsafe(self._told, done, total)

    async def run(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Return what `function` gives in the thread, with the context variables of the caller."""
        async with self._lock:
            self._stopped = False
            context = contextvars.copy_context()
            future = asyncio.wrap_future(self._executor.submit(context.run, _Box, partial(function, *args, **kwargs)))
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                self._stopped = True
                while not future.done():
                    with suppress(asyncio.CancelledError):  # the first one counts
                        await asyncio.wait([future])
                future.exception()  # or asyncio says that nobody asked for it
                raise
            except GeneratorExit:  # nothing can be awaited now; `end` waits
                self._stopped = True
                raise
            return cast("Result", future.result().value)

    def end(self, function: Callable[Arguments, object], *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        """Have the thread give up what it did: milliseconds, which are waited for, so that no task comes between."""
        self._stopped = True
        self._executor.submit(function, *args, **kwargs).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True)


class _AsyncRoom(Generic[Opened]):
    """What Rooms have in common. Calls outside of the block are `ValueError`."""

    def __init__(self, opener: Callable[..., Opened], path: Path, options: Any) -> None:  # noqa: ANN401 - of either kind
        self._told: Progress | None = options.pop("progress", None)
        self._password = _take_password(options)
        self._begin: Callable[..., Opened] = partial(opener, path, **options)
        self._worker: _Worker | None = None
        self._opened: Opened | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries; see the Room."""
        return self._room.entries

    async def __aenter__(self) -> Self:
        if self._worker is not None:
            message = "the Room was entered already"
            raise ValueError(message)
        worker = self._worker = _Worker(self._told)
        try:
            await worker.run(self._enter, worker)
        except BaseException as error:
            self._leave(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        worker, room = self._active, self._room
        if error is None:
            error = self._fault()
        try:
            if error is None:
                await worker.run(room.close)
        finally:
            self._leave(kind or (None if error is None else type(error)), error, trace)
        if error is not None and kind is None:
            raise error

    def _enter(self, worker: _Worker) -> None:
        """Open the Room; in the thread, which keeps it also where the call is cancelled in this moment."""
        self._opened = self._begin(password=self._password, progress=worker.progress)

    def _fault(self) -> BaseException | None:
        """Why the block fails although it has ended."""

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the Room, if it is not by now, and the thread."""
        worker, room = self._active, self._opened
        self._opened = None
        with worker:
            if room is not None:
                worker.end(room.__exit__, kind, error, trace)
        if self._password is not None:
            self._password.close()

    @property
    def _active(self) -> _Worker:
        if self._worker is None:
            message = "the Room is not open: it is an async context manager"
            raise ValueError(message)
        return self._worker

    @property
    def _room(self) -> Opened:
        if self._opened is None:
            message = "the Room is not open" if self._worker is None else "the Room is closed"
            raise ValueError(message)
        return self._opened


class AsyncWriteRoom(_AsyncRoom[WriteRoom]):
    """A `WriteRoom` whose calls are awaited. An exception in the block, or a call that was cancelled, discards it."""

    _cancelled = False

    async def write(
        self,
        name: str,
        data: AsyncData,
        *,
        layer: Layer | None = None,
        modified: datetime | None = None,
        mode: int = _FILE_MODE,
    ) -> None:
        """Add an entry, as `WriteRoom.write`. `data` may be an async iterable, which is asked as fast as it is written.

        Other files and iterables are read by the thread. An async iterable takes no `layer` and no other `mode`.
        """
        if not isinstance(data, AsyncIterable):
            await self._run(self._room.write, name, data, layer=layer, modified=modified, mode=mode)
        elif layer is not None or mode != _FILE_MODE:
            message = "an async iterable is written without a layer, and with mode 0600"
            raise TypeError(message)
        else:
            await self._push(name, data, modified)

    async def mkdir(self, name: str, *, modified: datetime | None = None) -> None:
        """Add an empty folder, as `WriteRoom.mkdir`."""
        await self._run(self._room.mkdir, name, modified=modified)

    async def _push(self, name: str, data: AsyncIterable[Buffer], modified: datetime | None) -> None:
        file = await self._run(self._room.open, name, "wb", modified=modified)
        try:
            async with aclosing(data) if hasattr(data, "aclose") else nullcontext():  # type: ignore[type-var]
                async for item in data:
                    await self._run(file.write, item)
            await self._run(file.close)
        except BaseException as error:
            self._active.end(file.__exit__, type(error), error, error.__traceback__)
            raise

    async def _run(
        self, function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        if fault := self._fault():
            raise fault
        try:
            return await self._active.run(function, *args, **kwargs)
        except asyncio.CancelledError:
            self._cancelled = True
            raise

    def _enter(self, worker: _Worker) -> None:
        super()._enter(worker)
        self._room.before_it_appears(worker.check)

    def _fault(self) -> OutputError | None:
        return OutputError("the archive was discarded, because a call was cancelled") if self._cancelled else None


class AsyncReadRoom(_AsyncRoom[ReadRoom]):
    """A `ReadRoom` whose calls are awaited. One that is cancelled leaves the Room as it was."""

    async def read(self, name: str, *, layer: Layer | None = None) -> bytes:
        """Return an entry's data, as `ReadRoom.read`."""
        return await self._active.run(self._room.read, name, layer=layer)

    async def read_into(self, name: str, buffer: Buffer) -> int:
        """Read an entry's data into the front of `buffer`, as `ReadRoom.read_into`."""
        return await self._active.run(self._room.read_into, name, buffer)

    async def chunks(self, name: str) -> AsyncGenerator[memoryview]:
        """Give an entry's data in pieces of at most 1 MiB, each valid until the next is asked for."""
        chunks = await self._active.run(self._room.chunks, name)
        while (chunk := await self._active.run(next, chunks, None)) is not None:
            yield chunk

    async def verify(self) -> Report:
        """Read and check everything, as `ReadRoom.verify`."""
        return await self._active.run(self._room.verify)

    async def load(self, *, limit: int | None = None) -> RamFS:
        """Return a RamFS with all entries, as `ReadRoom.load`."""
        return await self._active.run(self._room.load, limit=limit)

    async def extract(self, folder: str | os.PathLike[str], names: Iterable[str] | None = None) -> None:
        """Write plaintext files, as `ReadRoom.extract`."""
        await self._active.run(self._room.extract, folder, names)


def _named(path: Path, name: str | None, form: str | None) -> str:
    """Return the name of what has none of its own."""
    named = name_kept(path, form) if name is None else name
    if named is None:
        message = "data needs a name"
        raise ValueError(message)
    return named


def _take_password(options: Any) -> Secret | None:  # noqa: ANN401 - of either kind
    """Keep the password in a `Secret` from here on: tracebacks and the arguments of coroutines would show it."""
    password = options.pop("password", None)
    try:
        return None if password is None else Secret(password)
    finally:
        del password


def _password_of(options: Any) -> Any:  # noqa: ANN401 - of either kind
    """Put the password of `options` into a `Secret`, which the block of this ends."""
    secret = options["password"] = _take_password(options)
    return nullcontext() if secret is None else secret
