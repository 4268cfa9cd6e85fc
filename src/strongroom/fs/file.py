"""An open file of a RAM file system."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Final, NoReturn

from strongroom.flow import as_bytes
from strongroom.fs.pages import PAGE
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from strongroom.fs.base import FileSystem
    from strongroom.fs.pages import File, PageStore
    from strongroom.memory.secret import Scratch

_PEEK: Final = 512  # what `readline` looks at first: a line or two


class RamFile(io.BufferedIOBase):
    """A file that is read or written, in any binary mode of the builtin `open`, at any place.

    As with local files, what is written in small pieces shows to others after `flush` or `close`, and what another one
    has flushed shows here at once. Small pieces gather in a buffer of one page, which is wiped; whole pages go straight
    from and to the caller's memory. A file that is removed while it is open can be used on. Once the file system is
    closed, every use but `close` is a `ValueError`.
    """

    fs: FileSystem | None = None
    # What `close` needs also where Ctrl-C came while the object was made.
    _buffer: Scratch | None = None
    _link: Callable[[], None] | None = None  # what puts the file into its folder, once `commit` is called
    _held = False  # whether the pages are held for it
    _ending = False

    def __init__(
        self, store: PageStore, file: File, path: str, mode: str, *, link: Callable[[], None] | None = None
    ) -> None:
        super().__init__()
        self.path = path
        self.mode = mode
        self._store = store
        self._file = file
        self._link = link
        self._reads = "r" in mode or "+" in mode
        self._writes = mode != "rb"
        self._appends = "a" in mode
        self._start = 0  # the place in the file that the buffer begins at
        self._length = 0  # how much of it counts
        self._dirty = False  # whether that is still to be written
        self._version = 0  # of the file, where it was read
        self._position = file.size if self._appends else 0
        file.holds += 1
        self._held = True

    @property
    def name(self) -> str:
        """The path that it was opened with."""
        return self.path

    @property
    def size(self) -> int:
        """The file's size in bytes, with what is still to be written."""
        return max(self._file.size, self._start + self._length if self._dirty else 0)

    def readable(self) -> bool:
        """Whether it can be read."""
        self._check_open()
        return self._reads

    def writable(self) -> bool:
        """Whether it can be written."""
        self._check_open()
        return self._writes

    def seekable(self) -> bool:
        """Whether it can seek: always."""
        self._check_open()
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
        """Return up to `size` bytes, fewer only at the end. Raises `TamperedError`."""
        self._check_reads()
        with self._store.guard.use():
            left = max(0, self.size - self._position)
            size = left if size is None or size < 0 else min(size, left)
            data, self._position = self._bytes(size), self._position + size
            return data

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and not more than a page."""
        return self.read(PAGE if size < 0 else min(size, PAGE))

    def peek(self, size: int = 0, /) -> bytes:
        """Return what comes next, without moving."""
        self._check_reads()
        with self._store.guard.use():
            return self._bytes(max(0, min(self.size - self._position, max(size, _PEEK))))

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return what comes up to and with the next newline, at most `size` bytes."""
        self._check_reads()
        pieces: list[bytes] = []
        ahead = _PEEK
        with self._store.guard.use():
            left = max(0, self.size - self._position)
            left = left if size is None or size < 0 else min(size, left)
            while left:
                piece = self._bytes(min(left, ahead))
                end = piece.find(b"\n") + 1
                pieces.append(piece[:end] if end else piece)
                self._position += len(pieces[-1])
                left = 0 if end else left - len(piece)
                ahead = PAGE
        return b"".join(pieces)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer`, but for the end; return how many bytes that are. Raises `TamperedError`."""
        self._check_reads()
        with memoryview(buffer) as view:
            if view.readonly:
                message = "the buffer is read-only"
                raise TypeError(message)
            if not view.nbytes:
                return 0
            with view.cast("B") as target, self._store.guard.use():
                count = self._fill(target)
                self._position += count
                return count

    def readinto1(self, buffer: Buffer, /) -> int:
        """Fill `buffer`, as `readinto` does."""
        return self.readinto(buffer)

    def write(self, data: Buffer, /) -> int:
        """Write all of `data`. Raises `LimitError`, with nothing written."""
        self._check_writes()
        view = as_bytes(data)
        if view is None:
            message = f"a bytes-like object is required, not {type(data).__name__}"
            raise TypeError(message)
        with self._store.guard.use():
            if view:
                if self._appends:
                    if self._start != self._file.size:
                        self._write_back()
                    self._position = self.size
                self._store.check_growth(self._position + len(view) - self._file.size)
                self._take(view)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut to `size` bytes (default: at the position), or make longer by zeros. The position stays."""
        self._check_writes()
        size = self._position if size is None else size
        if size < 0:
            message = f"a file has at least 0 bytes, not {size}"
            raise ValueError(message)
        with self._store.guard.use():
            self._write_back()
            self._store.truncate(self._file, size)
        return size

    def flush(self) -> None:
        """Write what is in the buffer."""
        if self._ending and not self.closed:  # the base does so in `close`
            return
        self._check_open()
        if self._dirty:
            with self._store.guard.use():
                self._write_back()

    def close(self) -> None:
        """Write what is in the buffer, and wipe that."""
        if self.closed:
            return
        self._ending = True
        try:
            self._finish()
        finally:
            super().close()

    def __del__(self) -> None:
        self.close()
        self._link = None  # nobody is left to commit it
        self._finish()  # for that, and where Ctrl-C cut `close` short

    def commit(self) -> None:
        """Put the file in its place: the end of a transaction."""
        self._settle(keep=True)

    def discard(self) -> None:
        """Forget the file: the end of a transaction that failed."""
        self._settle(keep=False)

    def __reduce__(self) -> NoReturn:
        message = "a file of a RamFS is not pickled"
        raise TypeError(message)

    def _settle(self, *, keep: bool) -> None:
        if self._link is None:
            return
        try:
            if keep:
                self.close()
                with self._store.guard.use():
                    self._link()
        finally:
            self._dirty = False
            self.close()
            self._link = None
            self._finish()

    def _finish(self) -> None:
        """Write, wipe and let go: now, later, or not at all where the file system is over."""
        if self._held or self._buffer is not None:
            guard = self._store.guard
            if guard.inside:
                guard.later(self._end)
            elif guard.usable:
                with guard.use():
                    self._end()

    def _end(self) -> None:
        """Write, wipe and let go; inside the guard."""
        try:
            self._write_back()
        finally:
            self._dirty = False
            if self._buffer is not None:
                self._store.take_back(self._buffer)
                self._buffer = None
            if self._held and self._link is None:
                self._held = False
                self._store.release(self._file)

    def _bytes(self, size: int) -> bytes:
        """Return `size` bytes from the position on, which are there."""
        if not size:
            return b""
        # BytesIO gives away the very object that it was filled in: any other way leaves a second copy of the data.
        stream = io.BytesIO()
        stream.seek(size - 1)
        stream.write(b"\0")
        with stream.getbuffer() as target:
            try:
                self._fill(target)
            except BaseException:
                wipe(target)
                raise
        return stream.getvalue()

    def _fill(self, target: memoryview) -> int:
        """Fill `target` from the position on, but for the end."""
        self._write_back()
        count = max(0, min(len(target), self._file.size - self._position))
        done = 0
        while done < count:
            place = self._position + done
            skip = place - self._start
            if self._buffer is not None and self._version == self._file.version and 0 <= skip < self._length:
                part = memoryview(self._buffer)[skip : min(self._length, skip + count - done)]
                target[done : done + len(part)] = part
                done += len(part)
            elif count - done >= PAGE or (not place % PAGE and place + count - done == self._file.size):
                done += self._store.read(self._file, place, target[done:count])
            else:
                self._load(place - place % PAGE)
        return count

    def _load(self, start: int) -> None:
        self._length = 0
        if self._buffer is None:
            self._buffer = self._store.lend()
        self._start, self._version = start, self._file.version
        self._length = self._store.read(self._file, start, memoryview(self._buffer))

    def _take(self, data: memoryview) -> None:
        """Write `data` at the position: whole pages at once, what is left of them into the buffer."""
        place = self._position
        if self._dirty and place == self._start + self._length:
            taken = min(len(data), PAGE - place % PAGE)
            self._gather(data[:taken])
            data = data[taken:]
            place += taken
            if not place % PAGE:
                self._write_back()
        else:
            self._write_back()
        whole = (place + len(data)) // PAGE * PAGE - place
        if whole > 0:
            self._store.write(self._file, place, data[:whole])
            data = data[whole:]
            place += whole
        if data:
            if not self._dirty:
                self._start, self._length = place, 0
            self._gather(data)
            place += len(data)
        self._position = place

    def _gather(self, data: memoryview) -> None:
        if self._buffer is None:
            self._buffer = self._store.lend()
        memoryview(self._buffer)[self._length : self._length + len(data)] = data
        self._length += len(data)
        self._dirty = True

    def _write_back(self) -> None:
        if self._dirty:
            assert self._buffer is not None  # noqa: S101 - dirty says so
            if self._appends and self._start != self._file.size:  # another one has appended, or cut the file
                self._start = self._file.size
                self._position = self._start + self._length
            self._store.write(self._file, self._start, memoryview(self._buffer)[: self._length])
            self._dirty = False
            self._version = self._file.version

    def _check_open(self) -> None:
        if self.closed:
            message = "the file is closed"
            raise ValueError(message)
        self._store.guard.check()

    def _check_reads(self) -> None:
        self._check_open()
        if not self._reads:
            message = "the file is open for writing only"
            raise io.UnsupportedOperation(message)

    def _check_writes(self) -> None:
        self._check_open()
        if not self._writes:
            message = "the file is open for reading only"
            raise io.UnsupportedOperation(message)
