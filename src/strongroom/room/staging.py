"""Trees of files on their way into an archive, and from an archive into a RamFS."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, cast

from strongroom.errors import StrongroomWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from strongroom.flow import Readable
    from strongroom.formats import Entry, Reader
    from strongroom.fs.file import RamFile
    from strongroom.fs.ram import RamFS
    from strongroom.room.writing import WriteRoom

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class Item(Protocol):
    """A file or folder that is to be sealed under `name`: a `LocalFile` or a `RamItem`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def folder(self) -> bool: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def modified(self) -> datetime: ...  # noqa: D102
    @property
    def mode(self) -> int: ...  # noqa: D102
    def open(self) -> AbstractContextManager[Readable]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class RamItem:
    """A file or folder of a RamFS. Those have no mode: files are recorded as the owner's alone."""

    ram: RamFS
    name: str
    folder: bool
    size: int
    modified: datetime

    @property
    def mode(self) -> int:
        """The Unix permissions."""
        return _FOLDER_MODE if self.folder else _FILE_MODE

    def open(self) -> RamFile:
        """Open the file for reading."""
        return self.ram.open(_path(self.name), "rb")


def as_ram(source: object) -> RamFS | None:
    """Return `source` where it is a RamFS, else None; without loading fsspec, which whoever has one has loaded."""
    module = sys.modules.get("strongroom.fs.ram")
    return cast("RamFS", source) if module is not None and isinstance(source, module.RamFS) else None


def ram_tree(ram: RamFS) -> Iterator[RamItem]:
    """Give all files and folders, in the order of names, named from the root on. Times are cut to seconds."""
    todo = ram.ls("/")[::-1]
    while todo:
        info = todo.pop()
        folder = info["type"] == "directory"
        modified = datetime.fromtimestamp(int(info["mtime"]), UTC)
        yield RamItem(ram, info["name"].removeprefix("/"), folder, info["size"], modified)
        if folder:
            todo += ram.ls(info["name"])[::-1]


def load(reader: Reader, entries: Iterable[Entry], ram: RamFS, tick: Callable[[int], object]) -> None:
    """Put `entries`, which have been verified, into `ram`. See `ReadRoom.load`."""
    times: list[tuple[str, datetime]] = []
    for entry in _without_links(entries, "loaded"):
        path = _path(entry.name)
        if entry.kind == "directory":
            ram.makedirs(path, exist_ok=True)
        else:
            with ram.open(path, "wb") as file:
                for chunk in reader.chunks(entry):
                    file.write(chunk)
                    tick(len(chunk))
        times.append((path, entry.modified))
    for path, modified in times:  # at the end: whatever comes into a folder changes its time
        ram.set_modified(path, modified)


def copy(reader: Reader, entries: Iterable[Entry], room: WriteRoom, instead: Mapping[str, Item]) -> None:
    """Write `entries`, which have been verified, into `room`. See `ReadRoom.copy_to`."""
    for entry in _without_links(entries, "copied"):
        if entry.name in instead:
            room.add(instead[entry.name])
            continue
        folder = entry.kind == "directory"
        mode = entry.mode if entry.mode is not None else _FOLDER_MODE if folder else _FILE_MODE
        if folder:
            room.mkdir(entry.name, modified=entry.modified, mode=mode)
        else:
            room.write(entry.name, reader.chunks(entry), modified=entry.modified, mode=mode)


def _without_links(entries: Iterable[Entry], done: str) -> Iterator[Entry]:
    for entry in entries:
        if entry.kind == "symlink":
            message = f"{entry.name!r} is a symlink, and was not {done}"
            warnings.warn(message, StrongroomWarning, stacklevel=4)
        else:
            yield entry


def _path(name: str) -> str:
    return f"/{name}"
