"""The ciphertext on the inner file system, read: any part of it, by several threads at once."""

# ruff: noqa: ANN401 - fsspec has no types
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from strongroom.errors import TruncatedError
from strongroom.limits import MIB
from strongroom.source import StreamSource, open_source

if TYPE_CHECKING:
    from strongroom.limits import Limits
    from strongroom.source import Source

_AHEAD: Final = 8 * MIB
"""What is asked of a store at once where reading goes on: so its answer's delay counts for little."""


def is_local(fs: Any) -> bool:
    """Whether files are this machine's own."""
    return isinstance(fs, LocalFileSystem)


def open_inner(fs: Any, path: str, size: int | None, limits: Limits) -> Source:
    """Open a file of `fs`, which has `size` bytes where that is known. Raises `OSError`."""
    if is_local(fs):
        return open_source(path, limits)
    if size is not None and (fs.async_impl or type(fs).cat_file is not AbstractFileSystem.cat_file):
        return RangedSource(fs, path, size)
    return OwnedSource(fs.open(path, "rb"))


class OwnedSource(StreamSource):
    """A stream that is closed at the end."""

    def close(self) -> None:
        """See `Source`."""
        self._stream.close()


class RangedSource:
    """A file of a store, asked for range by range; more is asked for where reading goes on.

    `head` is how the file begins, where that is known.
    """

    def __init__(self, fs: Any, path: str, size: int, head: bytes = b"") -> None:
        self._fs = fs
        self._path = path
        self._lock = threading.Lock()
        self._start = 0
        self._block = head
        self.size = size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        with self._lock:  # also while waiting, so that threads do not ask for the same
            at = offset - self._start
            if at < 0 or at + len(buffer) > len(self._block):
                goes_on = self._fs.async_impl and self._block and 0 <= at <= len(self._block)
                self._block = self._fetch(offset, max(len(buffer), _AHEAD if goes_on else 0))
                self._start, at = offset, 0
            data = memoryview(self._block)[at : at + len(buffer)]
            if len(data) < len(buffer):
                message = "the file became shorter while it was read"
                raise TruncatedError(message, offset=offset)
            buffer[:] = data

    def close(self) -> None:
        """See `Source`."""
        self._block = b""

    def _fetch(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        return self._fs.cat_file(self._path, offset, end) if end > offset else b""
