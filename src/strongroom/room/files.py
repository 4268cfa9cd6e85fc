"""Entries as files: one that is written, one that is read."""

from __future__ import annotations

import io
import os
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from strongroom.errors import LimitError
from strongroom.flow import Chunk, Chunker, as_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Buffer

    from strongroom.formats import Entry, Reader
    from strongroom.limits import Limits


class EntryFile(io.BufferedIOBase):
    """The file that one entry is written to. Leaving its block by an exception discards the archive.

    Its chunks go to `take`, its end is told to `end`, and a failure, with the reason, to `discard`.
    """

    def __init__(
        self, name: str, take: Callable[[Chunk], None], end: Callable[[], None], discard: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._take = take
        self._end = end
        self._discard = discard
        self._chunker = Chunker()
        self._position = 0
        self.name = name

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def tell(self) -> int:
        """Return how many bytes were taken."""
        return self._position

    def write(self, data: Buffer, /) -> int:
        """Take bytes; returns how many, which is always all."""
        if self.closed:
            message = "the entry is closed"
            raise ValueError(message)
        view = as_bytes(data)
        if view is None:
            message = f"a bytes-like object is required, not {type(data).__name__}"
            raise TypeError(message)
        for chunk in self._chunker.push(view):
            self.take(chunk)
        self._position += len(view)
        return len(view)

    def take(self, chunk: Chunk) -> None:
        """Take one chunk."""
        try:
            self._take(chunk)
        except BaseException:
            self._fail()
            raise

    def close(self) -> None:
        """End the entry."""
        if self.closed:
            return
        try:
            if chunk := self._chunker.take():
                self.take(chunk)
            self._end()
        except BaseException:
            self._fail()
            raise
        finally:
            super().close()

    def abort(self) -> None:
        """Let go of memory."""
        self._chunker.close()
        super().close()

    def _fail(self) -> None:
        self._discard(f"entry {self.name!r} failed")
        self.abort()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._fail()

    def __del__(self) -> None:
        if hasattr(self, "_chunker"):
            self.abort()


class TextEntryFile(io.TextIOWrapper):
    """An EntryFile for text."""

    def __init__(self, entry: EntryFile) -> None:
        super().__init__(entry, encoding="utf-8", newline="")
        self._entry = entry

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._entry.__exit__(kind, error, trace)
        self.close()

    def __del__(self) -> None:
        """Not `close`, as the base has it: the entry stays open, and so the archive is discarded."""


class EntryReader(io.BufferedIOBase):
    """An entry as a file. Holds one chunk of its data at a time, in memory that the reader wipes.

    `check` raises where the Room may not be used, which holds for the file as well.
    """

    def __init__(self, reader: Reader, entry: Entry, limits: Limits, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check
        self._reader = reader
        self._entry = entry
        self._limits = limits
        self.name: str = entry.name
        self._position = 0  # what the caller sees
        self._start = 0  # where the current chunk begins
        self._chunk = memoryview(b"")
        self._chunks = reader.chunks(entry)
        # What is wrong is to show at once; where each piece is authentic, all of it is checked only for who reads on.
        if reader.piecewise(entry):
            deque(islice(reader.chunks(entry, max(entry.size - 1, 0)), 1), maxlen=0)
        else:
            self._chunk = next(self._chunks, self._chunk)

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek: always."""
        return True

    def tell(self) -> int:
        """Return the position."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move. Only stored entries do so without the work for what lies between."""
        self._check_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._entry.size}
        if whence not in bases:
            message = f"whence is 0, 1 or 2, not {whence!r}"
            raise ValueError(message)
        base = bases[whence]
        if base + offset < 0:
            message = f"position {base + offset} is before the start"
            raise ValueError(message)
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        self._check_open()
        left = max(self._entry.size - self._position, 0)
        size = left if size is None or size < 0 else min(size, left)
        if self._available() >= size:
            return self.read1(size)
        check_memory(size, self._limits)
        buffer = io.BytesIO()
        wanted = size
        try:
            while size:
                data = self.read1(size)
                buffer.write(data)
                size -= len(data)
            return buffer.getvalue()
        except MemoryError:
            raise no_memory(wanted) from None

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes that are at hand."""
        part = self._part(size)
        self._position += len(part)
        return part.tobytes()

    def peek(self, size: int = 0, /) -> bytes:
        """Return what is at hand, without moving."""
        return self._part(max(size, 8192)).tobytes()

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer`, but for the end; return how many bytes that are."""
        view = memoryview(buffer).cast("B")
        total = 0
        while total < len(view) and (count := self.readinto1(view[total:])):
            total += count
        return total

    def readinto1(self, buffer: Buffer, /) -> int:
        """Fill `buffer` with what is at hand."""
        view = memoryview(buffer).cast("B")
        part = self._part(len(view))
        view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        """Wipe what is at hand."""
        if not self.closed:
            self._chunk = memoryview(b"")
            self._chunks.close()  # type: ignore[attr-defined]
        super().close()

    def _part(self, size: int) -> memoryview:
        """Return up to `size` bytes from the position on, from one chunk; empty at the end."""
        self._check_open()
        if not self._available():
            self._move()
        start = self._position - self._start
        part = self._chunk[start:] if start < len(self._chunk) else self._chunk[:0]
        return part if size < 0 else part[:size]

    def _available(self) -> int:
        start = self._position - self._start
        return max(len(self._chunk) - start, 0) if start >= 0 else 0

    def _move(self) -> None:
        """Make the chunk at the position the current one."""
        if self._position >= self._entry.size:
            return
        ahead = self._position - self._start
        if ahead < 0 or (ahead > len(self._chunk) and self._reader.seekable(self._entry)):
            self._begin()
        try:
            while not self._available():
                self._start += len(self._chunk)
                self._chunk = next(self._chunks)
        except BaseException:
            self._begin()  # a generator that raised is over, and what it gave is wiped: to read on is to begin anew
            raise

    def _begin(self) -> None:
        """Begin to read at the position, once a chunk is asked for."""
        self._chunks.close()  # type: ignore[attr-defined]
        self._start, self._chunk = self._position, memoryview(b"")
        self._chunks = self._reader.chunks(self._entry, self._position)

    def _check_open(self) -> None:
        if self.closed:
            message = "the entry is closed"
            raise ValueError(message)
        self._check()


def check_memory(size: int, limits: Limits) -> None:
    """Raise `LimitError` for more bytes than one call may put into memory."""
    if size > limits.memory_size:
        message = f"{size} bytes are above the memory_size limit of {limits.memory_size}"
        raise LimitError(message)


def no_memory(size: int) -> LimitError:
    """Return the error for what is within the limits, but not within this machine."""
    return LimitError(f"there is no memory for {size} bytes at once; read them as a stream")
