"""Files that are read: at any place, nothing of it before it is authenticated."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Final

from strongroom.flow import ordered_map
from strongroom.formats.age.stream import PLAIN
from strongroom.limits import MIB
from strongroom.memory.given import given_bytes
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from strongroom.formats.age.payload import Payload
    from strongroom.fs.base import FileSystem
    from strongroom.source import Source

_PEEK: Final = 512  # what `readline` looks at first: a line or two
_AHEAD: Final = 1 * MIB  # what is opened at once for small reads, one after the other
_SHARED: Final = 4 * MIB  # from here on threads share the work of one read, which is worth their start


class SealedReader(io.BufferedIOBase):
    """A file of a sealed file system. Takes over `payload` and `source`.

    Who reads all of it at once, from its start, gets nothing before all of it is authenticated; other reads give each
    chunk of 64 KiB once it is. That the file has its end was checked when it was opened.
    """

    fs: FileSystem | None = None

    def __init__(self, path: str, payload: Payload, source: Source, threads: int) -> None:
        super().__init__()
        self.path = path
        self.mode = "rb"
        self.size: int = payload.size
        self._payload = payload
        self._source = source
        self._threads = threads
        self._position = 0
        self._start = 0  # where the window begins
        self._buffer = bytearray()
        self._window = memoryview(self._buffer)

    @property
    def name(self) -> str:
        """The path that it was opened with."""
        return self.path

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
        """Move, also past the end."""
        self._check_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        if whence not in bases:
            message = f"whence is 0, 1 or 2, not {whence!r}"
            raise ValueError(message)
        position = bases[whence] + offset
        if position < 0:
            message = f"position {position} is before the start"
            raise ValueError(message)
        self._position = position
        return position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end. Raises `TamperedError`, `TruncatedError`."""
        data = self._bytes(self._count(size))
        self._position += len(data)
        return data

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and not more than a chunk."""
        return self.read(PLAIN if size < 0 else min(size, PLAIN))

    def peek(self, size: int = 0, /) -> bytes:
        """Return what comes next, without moving."""
        return self._bytes(self._count(max(size, _PEEK)))

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return what comes up to and with the next newline, at most `size` bytes."""
        pieces: list[bytes] = []
        left, ahead = self._count(size), _PEEK
        while left:
            piece = self._bytes(min(left, ahead))
            end = piece.find(b"\n") + 1
            pieces.append(piece[:end] if end else piece)
            self._position += len(pieces[-1])
            left = 0 if end else left - len(piece)
            ahead = PLAIN
        return b"".join(pieces)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer`, but for the end; return how many bytes that are. Raises as `read`."""
        with memoryview(buffer) as view:
            if view.readonly:
                message = "the buffer is read-only"
                raise TypeError(message)
            if not view.nbytes:
                return 0
            with view.cast("B") as target:
                count = self._count(len(target))
                self._fill(target[:count])
                self._position += count
                return count

    def readinto1(self, buffer: Buffer, /) -> int:
        """Fill `buffer`, as `readinto` does."""
        return self.readinto(buffer)

    def close(self) -> None:
        """Wipe the key and what is kept of the plaintext."""
        if not self.closed and hasattr(self, "_window"):
            self._window = self._window[:0]
            wipe(self._buffer)
            self._payload.close()
            self._source.close()
        super().close()

    def pieces(self, whole: int) -> Iterator[memoryview]:
        """Give all of it, once all of it is authenticated: opened once up to `whole` bytes, else twice."""
        self._check_open()
        if self.size > whole:
            self._payload.check()
            yield from self._payload.chunks()
            return
        with memoryview(bytearray(self.size)) as view:
            self._payload.fill(view)
            try:
                yield view
            finally:
                wipe(view)

    def commit(self) -> None:
        """Do nothing: for who takes it for a file of a transaction."""

    def discard(self) -> None:
        """Do nothing, as `commit`."""

    def _count(self, size: int | None) -> int:
        self._check_open()
        left = max(0, self.size - self._position)
        return left if size is None or size < 0 else min(size, left)

    def _bytes(self, size: int) -> bytes:
        if size >= PLAIN:
            return given_bytes(size, self._fill)
        if not size:
            return b""
        start = self._position - self._start
        if start < 0 or start + size > len(self._window):
            self._look_ahead(size)
            start = self._position - self._start
        return bytes(self._window[start : start + size])

    def _look_ahead(self, size: int) -> None:
        """Open the chunks that a small read takes, and more of them where reading goes on."""
        behind = self._start + len(self._window)
        goes_on = self._window and self._start <= self._position <= behind
        length = min(4 * len(self._window), _AHEAD) if goes_on else PLAIN
        start = self._position // PLAIN * PLAIN
        end = min(max(start + length, self._position + size), self.size)
        self._window = self._window[:0]  # nothing counts where the next line fails
        if len(self._buffer) < end - start:
            wipe(self._buffer)
            self._buffer = bytearray(max(end - start, length))
        window = memoryview(self._buffer)[: end - start]
        self._payload.read_into(start, window)
        self._start, self._window = start, window

    def _fill(self, view: memoryview) -> None:
        if not view:
            return
        if not self._position and len(view) == self.size:
            self._payload.fill(view)
        elif len(view) < _SHARED or self._threads == 1:
            self._payload.read_into(self._position, view)
        else:
            self._share(view)

    def _share(self, view: memoryview) -> None:
        """Fill `view` in pieces that begin where chunks do, side by side."""
        start, end = self._position, self._position + len(view)
        step = -(-len(view) // self._threads // PLAIN) * PLAIN
        cuts = [start, *range((start // PLAIN + 1) * PLAIN + step - PLAIN, end, step), end]

        def work(number: int) -> None:
            self._payload.read_into(cuts[number], view[cuts[number] - start : cuts[number + 1] - start])

        try:
            for _ in ordered_map(work, range(len(cuts) - 1), self._threads):
                pass
        except BaseException:
            wipe(view)
            raise

    def _check_open(self) -> None:
        if self.closed:
            message = "the file is closed"
            raise ValueError(message)
