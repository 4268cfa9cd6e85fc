"""Safe extraction: plaintext files below one folder, and nowhere else.

Whatever Python can still handle leaves nothing. A kill leaves the files that were whole by then, and on file systems
without unnamed files, and there alone, a part of one more.
"""

from __future__ import annotations

import errno
import os
import warnings
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from strongroom.errors import OutputError, OutputExistsError, StrongroomWarning
from strongroom.names import portable
from strongroom.output import create_beneath, create_unnamed, link_unnamed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.formats import Entry, Reader

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def extract(
    reader: Reader,
    entries: Sequence[Entry],
    folder: str | os.PathLike[str],
    tick: Callable[[int], object],
) -> None:
    """Write `entries`, which have been verified, below `folder`. See `ReadRoom.extract`."""
    tree = _Tree(os.fsdecode(folder))
    try:
        for entry in entries:
            placed = replace(entry, name=portable(entry.name))
            if entry.kind == "symlink":
                message = f"{entry.name!r} is a symlink, and was not extracted"
                warnings.warn(message, StrongroomWarning, stacklevel=3)
                continue
            if placed.name != entry.name:
                message = f"{entry.name!r} is extracted as {placed.name!r}: Windows takes the name for something else"
                warnings.warn(message, StrongroomWarning, stacklevel=3)
            if entry.kind == "directory":
                os.close(tree.folder(placed.name.split("/")))
            else:
                with _File(tree, placed) as file:
                    for chunk in reader.chunks(entry):
                        file.write(chunk)
                        tick(len(chunk))
    except BaseException as error:
        tree.remove()
        if isinstance(error, FileExistsError) and not isinstance(error, OutputError):
            message = f"{error.filename} is there already; what was extracted before it is removed again"
            raise OutputExistsError(message) from error
        if isinstance(error, UnicodeEncodeError):
            message = f"{error.object!r} is no name in this system's encoding; what was extracted is removed again"
            raise OutputError(message) from error
        if isinstance(error, OSError) and not isinstance(error, OutputError):
            message = f"{error.filename or folder}: {error.strerror}; what was extracted is removed again"
            raise OutputError(message) from error
        raise
    finally:
        tree.close()


class _File:
    """A file that is being extracted. It has its name once it is whole, where the file system has unnamed files."""

    def __init__(self, tree: _Tree, entry: Entry) -> None:
        self._tree = tree
        self._entry = entry
        *parts, self._name = entry.name.split("/")
        mode = 0o700 if (entry.mode or 0) & 0o100 else 0o600
        self._folder = tree.folder(parts)
        try:
            _refuse_existing(self._name, self._folder)
            unnamed = create_unnamed(self._folder, mode)
            self._named = unnamed is None
            self._descriptor = create_beneath(self._name, self._folder, mode) if unnamed is None else unnamed
        except BaseException as error:
            os.close(self._folder)
            if isinstance(error, OSError):
                error.filename = tree.path(entry)
            raise
        if self._named:
            tree.add(entry)

    def write(self, data: memoryview) -> None:
        while data:
            count = os.write(self._descriptor, data)
            if not count:  # not an error to POSIX, and without end if it were tried again
                raise OSError(errno.EIO, "the disk took nothing", self._tree.path(self._entry))
            data = data[count:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:
                seconds = self._entry.modified.timestamp()
                with suppress(OSError, OverflowError):  # a time that this file system cannot hold
                    os.utime(self._descriptor, (seconds, seconds))
                self._give_name()
        finally:
            try:
                os.close(self._descriptor)
            finally:
                os.close(self._folder)

    def _give_name(self) -> None:
        if self._named:
            return
        try:
            link_unnamed(self._descriptor, self._name, self._folder)
        except OSError as error:
            error.filename = self._tree.path(self._entry)
            raise
        self._tree.add(self._entry)


def _refuse_existing(name: str, folder: int) -> None:
    """Say so at once, and not when the file is whole."""
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


class _Tree:
    """What is made below the folder, entered component by component without following links, and how to remove it."""

    def __init__(self, root: str) -> None:
        self._root_path = root
        self._made: list[tuple[tuple[str, ...], bool]] = []
        self._made_root = False
        try:
            try:
                os.mkdir(root, 0o700)
                self._made_root = True
            except FileExistsError:
                pass
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            message = f"{root}: {error.strerror}"
            raise OutputError(message) from error

    def folder(self, parts: Sequence[str], *, make: bool = True) -> int:
        """Return a descriptor of a folder, made where it is missing unless `make` is False."""
        descriptor = os.dup(self._root)
        for number, part in enumerate(parts):
            try:
                with suppress(FileExistsError):
                    if make:
                        os.mkdir(part, 0o700, dir_fd=descriptor)
                        self._made.append((tuple(parts[: number + 1]), True))
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError as error:
                place = os.path.join(self._root_path, *parts[: number + 1])
                message = f"{place} is no folder that can be entered: {error.strerror}"
                raise OutputError(message) from error
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def path(self, entry: Entry) -> str:
        """Where an entry goes, for messages."""
        return os.path.join(self._root_path, *entry.name.split("/"))

    def add(self, entry: Entry) -> None:
        """Remember that its file was made."""
        self._made.append((tuple(entry.name.split("/")), False))

    def remove(self) -> None:
        """Remove what was made, the last first."""
        for (*parts, name), is_folder in reversed(self._made):
            with suppress(OSError, OutputError):
                folder = self.folder(parts, make=False)
                try:
                    (os.rmdir if is_folder else os.unlink)(name, dir_fd=folder)
                finally:
                    os.close(folder)
        self._made.clear()
        if self._made_root:
            with suppress(OSError):
                os.rmdir(self._root_path)

    def close(self) -> None:
        os.close(self._root)
