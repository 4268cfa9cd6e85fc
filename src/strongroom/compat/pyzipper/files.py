"""Entries as files, whose errors are pyzipper's."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from strongroom.compat.pyzipper.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Buffer

    from strongroom.room.files import EntryFile, EntryReader


class AESZipExtFile(io.BufferedIOBase):
    """An entry that is read: `EntryReader` does the work, and has checked the entry before this is made."""

    MIN_READ_SIZE = 4096  # nothing depends on it; code for pyzipper sets it
    newlines = None
    mode = "r"

    def __init__(self, file: EntryReader) -> None:
        super().__init__()
        self._file = file
        self.name: str = file.name

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek: always."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move, as `EntryReader.seek`."""
        with translated():
            return self._file.seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        with translated():
            return self._file.read(size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes that are at hand."""
        with translated():
            return self._file.read1(size)

    def peek(self, size: int = 1, /) -> bytes:
        """Return what is at hand, without moving."""
        with translated():
            return self._file.peek(size)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer`, but for the end; return how many bytes that are."""
        with translated():
            return self._file.readinto(buffer)

    def readinto1(self, buffer: Buffer, /) -> int:
        """Fill `buffer` with what is at hand."""
        with translated():
            return self._file.readinto1(buffer)

    def close(self) -> None:
        """Wipe what is at hand."""
        if hasattr(self, "_file"):
            self._file.close()
        super().close()


class AESZipWriteFile(io.BufferedIOBase):
    """An entry that is written: `EntryFile` does the work. `ended` is called once the entry is complete.

    Leaving its block by an exception discards the archive.
    """

    mode = "w"

    def __init__(self, file: EntryFile, ended: Callable[[], None]) -> None:
        super().__init__()
        self._file = file
        self._ended = ended
        self.name: str = file.name

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def tell(self) -> int:
        """Return how many bytes were taken."""
        return self._file.tell()

    def write(self, data: Buffer, /) -> int:
        """Take bytes; returns how many, which is always all."""
        with translated():
            return self._file.write(data)

    def close(self) -> None:
        """End the entry."""
        if self.closed:
            return
        super().close()
        done = not self._file.closed
        with translated():
            self._file.close()
        if done:
            self._ended()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._file.__exit__(kind, error, trace)
        self.close()

    def __del__(self) -> None:
        """Not `close`, as the base has it: the entry stays open, and so the archive is discarded."""
