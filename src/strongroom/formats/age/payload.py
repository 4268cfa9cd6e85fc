"""The payload, as a source: what a file holds, read at any offset. age, "Payload".

Its size follows from the ciphertext's. That is only true where the last chunk says that it is the last; so this one is
checked first, and each other before any of it is given out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from strongroom.errors import TruncatedError
from strongroom.flow import CHUNK, Pipeline, Stage
from strongroom.formats.age.stream import PLAIN, RUN, SEALED, TAG, Cipher, Opened
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from strongroom.memory.secret import SecretBuffer
    from strongroom.source import Source

_CACHED: Final = 8  # chunks; a reader that goes through in steps smaller than a chunk opens each of them once


def plain_size(sealed: int) -> int:
    """Return how much a payload of `sealed` bytes holds, its nonce not counted, if it is one."""
    full, rest = divmod(sealed, SEALED)
    return full * PLAIN + max(rest - TAG, 0)


class Payload:
    """What an age file holds, as a `Source`. Takes over `key`, and wipes it on `close`; `source` is the caller's.

    The payload stands from byte `offset` of `source`. Nothing is checked yet: see `check_end`.
    """

    def __init__(self, source: Source, offset: int, key: SecretBuffer, threads: int) -> None:
        self._source = source
        self._offset = offset
        self._key = key
        self._threads = threads
        self._sealed = source.size - offset
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, memoryview] = OrderedDict()
        self._rooms: list[bytearray] = []  # for ciphertext; memory that is touched for the first time is slow
        self.size: int = plain_size(self._sealed)
        self._count = max(-(-self._sealed // SEALED), 1)

    def check_end(self) -> None:
        """Raise `TamperedError` or `TruncatedError` where the last chunk does not say that it is the last."""
        with self._cipher() as cipher:
            self._keep(self._count - 1, self._chunk(cipher, self._count - 1))

    def chunks(self, start: int = 0) -> Iterator[memoryview]:
        """Give what is there from byte `start`, each chunk once it is authenticated, in pieces valid until the next.

        Raises `TamperedError`, `TruncatedError`; what came before was authentic.
        """
        first, skip = start // PLAIN, start % PLAIN
        with self._runs(first) as runs:
            for run in runs:
                if len(run.data) > skip:
                    yield run.data[skip:]
                skip = max(skip - len(run.data), 0)
                if run.error is not None:
                    raise run.error

    def check(self, tick: Callable[[int], object] | None = None) -> None:
        """Authenticate all of it, and call `tick` with the number of bytes that were. Raises as `chunks`."""
        self._all(None, tick)

    def check_range(self, offset: int, length: int) -> None:
        """Authenticate the chunks that hold `length` bytes from `offset`. Raises as `chunks`."""
        if length:
            with self._runs(offset // PLAIN, end=-(-(offset + length) // PLAIN)) as runs:
                for run in runs:
                    if run.error is not None:
                        raise run.error

    def fill(self, target: memoryview) -> None:
        """Put all of it into `target`, which has its size. Raises as `chunks`, and has then wiped `target`."""
        try:
            self._all(target, None)
        except BaseException:
            wipe(target)
            raise

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`. Raises as `chunks`, and has then wiped `buffer`."""
        if offset + len(buffer) > self.size:
            message = f"the file ends {offset + len(buffer) - self.size} bytes early"
            raise TruncatedError(message)
        try:
            with self._cipher() as cipher:
                position = 0
                while position < len(buffer):
                    number, skip = divmod(offset + position, PLAIN)
                    whole = min((len(buffer) - position) // PLAIN, RUN)
                    if skip or not whole:
                        part = buffer[position : position + PLAIN - skip]
                        self._copy(cipher, number, skip, part)
                        position += len(part)
                    else:
                        part = buffer[position : position + whole * PLAIN]
                        self._open(cipher, number, part)
                        position += len(part)
        except BaseException:
            wipe(buffer)
            raise

    def close(self) -> None:
        """Wipe the key, and the chunks that are kept."""
        with self._lock:
            while self._cache:
                wipe(self._cache.popitem()[1])
        self._key.close()

    def _all(self, target: memoryview | None, tick: Callable[[int], object] | None) -> None:
        with self._runs(0, target) as runs:
            for run in runs:
                if tick is not None:
                    tick(len(run.data))
                if run.error is not None:
                    raise run.error

    @contextmanager
    def _cipher(self) -> Generator[Cipher]:
        self._key.check_process()
        with memoryview(self._key) as key:
            cipher = Cipher(key)
        try:
            yield cipher
        finally:
            cipher.close()

    def _place(self, number: int, count: int) -> tuple[int, int, bool]:
        """Return where up to `count` chunks stand, how long they are, and whether the last one is among them."""
        start = number * SEALED
        size = min(count * SEALED, self._sealed - start)
        return self._offset + start, size, start + size == self._sealed

    @contextmanager
    def _runs(
        self, first: int, target: memoryview | None = None, end: int | None = None
    ) -> Generator[Iterator[Opened]]:
        """Open chunks from `first` to `end` or the last, side by side; into `target`, or memory that is wiped."""
        end = self._count if end is None else min(end, self._count)
        slots: list[tuple[memoryview, memoryview]] = []

        def work(number: int) -> Opened:
            sealed, out = slots[(number - first) // RUN % len(slots)]
            offset, size, last = self._place(number, min(RUN, end - number))
            sealed = sealed[:size]
            self._source.read_into(offset, sealed)
            if target is not None:
                out = target[number * PLAIN : (number + RUN) * PLAIN]
            return cipher.open(sealed, number, out, last=last)

        with self._cipher() as cipher:
            length = min(self._sealed - first * SEALED, RUN * SEALED)
            alone = self._sealed - first * SEALED <= RUN * SEALED  # no thread is worth its start
            with Pipeline[int, Opened]([Stage(work, parallel=True)], 1 if alone else self._threads) as pipeline:
                room = 0 if target is not None else min(CHUNK, length)
                slots += [_room(length, room) for _ in range(pipeline.depth + 1)]
                try:
                    yield _follow(pipeline, range(first, end, RUN))
                finally:
                    pipeline.close()
                    for _, out in slots:
                        wipe(out)

    def _open(self, cipher: Cipher, number: int, target: memoryview) -> None:
        """Open chunks from `number` on into `target`, which has their size."""
        offset, size, last = self._place(number, max(-(-len(target) // PLAIN), 1))
        try:
            room = self._rooms.pop()
        except IndexError:  # each thread that reads takes one
            room = bytearray()
        if len(room) < size:
            room = bytearray(size)
        sealed = memoryview(room)[:size]
        self._source.read_into(offset, sealed)
        opened = cipher.open(sealed, number, target, last=last)
        self._rooms.append(room)
        if opened.error is not None:
            raise opened.error

    def _chunk(self, cipher: Cipher, number: int) -> memoryview:
        chunk = memoryview(bytearray(min(PLAIN, self.size - number * PLAIN)))
        try:
            self._open(cipher, number, chunk)
        except BaseException:
            wipe(chunk)
            raise
        return chunk

    def _keep(self, number: int, chunk: memoryview) -> None:
        with self._lock:
            if number in self._cache:
                wipe(chunk)
                return
            while len(self._cache) >= _CACHED:
                wipe(self._cache.popitem(last=False)[1])
            self._cache[number] = chunk

    def _copy(self, cipher: Cipher, number: int, skip: int, part: memoryview) -> None:
        with self._lock:  # lest another thread wipes it meanwhile
            if (kept := self._cache.get(number)) is not None:
                self._cache.move_to_end(number)
                part[:] = kept[skip : skip + len(part)]
                return
        chunk = self._chunk(cipher, number)
        part[:] = chunk[skip : skip + len(part)]
        self._keep(number, chunk)


def _follow(pipeline: Pipeline[int, Opened], numbers: range) -> Iterator[Opened]:
    for number in numbers:
        yield from pipeline.push(number)
    yield from pipeline.drain()


def _room(sealed: int, plain: int) -> tuple[memoryview, memoryview]:
    return memoryview(bytearray(sealed)), memoryview(bytearray(plain))
