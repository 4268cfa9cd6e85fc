"""Where ciphertext goes on the inner file system: whole under its name, or not there at all, as far as that one can."""

# ruff: noqa: ANN401 - fsspec has no types

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from strongroom.fs.sealed.inner import is_local
from strongroom.output import FileOutput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strongroom.output import Piece, Whole

_PUT_WHOLE: Final = frozenset({"s3", "s3a", "gs", "gcs"})
"""Stores where an object appears once its upload is completed, which their files do in `commit`."""


def open_output(fs: Any, path: str, *, exclusive: bool, threads: int) -> Whole:
    """Begin a file; an `exclusive` one is `FileExistsError` where it is there. `FileNotFoundError` without a folder."""
    parent = path.rpartition("/")[0]
    if is_local(fs):
        if fs.auto_mkdir:
            fs.makedirs(parent, exist_ok=True)
        if not Path(parent or "/").is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return FileOutput(path, overwrite=not exclusive, threads=threads)
    if exclusive:
        _check_absent(fs, path)
    if _puts_whole(fs):
        return StoreOutput(fs, path, exclusive=exclusive)
    return RenamedOutput(fs, path, exclusive=exclusive)


class StoreOutput:
    """An object of a store that puts them whole. A kill leaves parts of an upload, which the store is to expire."""

    def __init__(self, fs: Any, path: str, *, exclusive: bool) -> None:
        self._fs = fs
        self._path = path
        self._exclusive = exclusive
        self._file: Any = fs.open(path, "wb", autocommit=False)

    def write(self, pieces: Iterable[Piece]) -> None:
        """See `Whole`."""
        for piece in pieces:
            self._file.write(piece)

    def finish(self) -> None:
        """See `Whole`."""
        self._file.close()

    def publish(self) -> None:
        """See `Whole`."""
        if self._exclusive:
            _check_absent(self._fs, self._path)
        self._file.commit()
        self._file = None
        self._fs.invalidate_cache(self._path.rpartition("/")[0])

    def discard(self) -> None:
        """See `Whole`."""
        if self._file is not None:
            with suppress(OSError):
                self._file.discard()
            with suppress(AttributeError):
                self._file.closed = True  # else fsspec's finalizer would upload what is left
            self._file = None


class RenamedOutput:
    """A file that is written beside its place, under a hidden name that a kill leaves, and then moved there."""

    def __init__(self, fs: Any, path: str, *, exclusive: bool) -> None:
        self._fs = fs
        self._path = path
        self._exclusive = exclusive
        folder, slash, _ = path.rpartition("/")
        self._hidden = f"{folder}{slash}.strongroom-{os.urandom(8).hex()}.partial"
        self._file: Any = fs.open(self._hidden, "wb", autocommit=True)

    def write(self, pieces: Iterable[Piece]) -> None:
        """See `Whole`."""
        for piece in pieces:
            self._file.write(piece)

    def finish(self) -> None:
        """See `Whole`."""
        self._file.close()

    def publish(self) -> None:
        """See `Whole`."""
        if self._exclusive:
            _check_absent(self._fs, self._path)
        self._fs.mv(self._hidden, self._path)
        self._file = None

    def discard(self) -> None:
        """See `Whole`."""
        if self._file is not None:
            with suppress(OSError, ValueError):
                self._file.close()
            with suppress(OSError):
                self._fs.rm_file(self._hidden)
            self._file = None


def _puts_whole(fs: Any) -> bool:
    while (below := getattr(fs, "fs", None)) is not None:  # a cache or a folder of another one
        fs = below
    names = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return not _PUT_WHOLE.isdisjoint(names)


def _check_absent(fs: Any, path: str) -> None:
    if fs.exists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
