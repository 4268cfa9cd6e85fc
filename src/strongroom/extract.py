"""Safe extraction: plaintext files below one folder, and nowhere else."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from strongroom.errors import OutputError, OutputExistsError, StrongroomWarning
from strongroom.output import create_beneath

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
            if entry.kind == "symlink":
                message = f"{entry.name!r} is a symlink, and was not extracted"
                warnings.warn(message, StrongroomWarning, stacklevel=3)
            elif entry.kind == "directory":
                os.close(tree.folder(entry.name.split("/")))
            else:
                with tree.file(entry) as file:
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
    """A file that is being extracted."""

    def __init__(self, descriptor: int, entry: Entry) -> None:
        self._descriptor = descriptor
        self._entry = entry

    def write(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            seconds = self._entry.modified.timestamp()
            with suppress(OSError, OverflowError):  # a time that this file system cannot hold
                os.utime(self._descriptor, (seconds, seconds))
        finally:
            os.close(self._descriptor)


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

    def file(self, entry: Entry) -> _File:
        """Make a file; raises `FileExistsError`."""
        *parts, name = entry.name.split("/")
        folder = self.folder(parts)
        try:
            executable = bool((entry.mode or 0) & 0o100)
            descriptor = create_beneath(name, folder, 0o700 if executable else 0o600)
        except OSError as error:
            error.filename = os.path.join(self._root_path, *parts, name)
            raise
        finally:
            os.close(folder)
        self._made.append(((*parts, name), False))
        return _File(descriptor, entry)

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
