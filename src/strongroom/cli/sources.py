"""What is sealed: files, folders, standard input, or what a command writes."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from strongroom.cli.child import output_of
from strongroom.cli.failure import Misuse
from strongroom.cli.messages import warn
from strongroom.names import Tree
from strongroom.source import local_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from strongroom.room import WriteRoom
    from strongroom.source import LocalFile

_STDIN = 0
_PATTERN = frozenset("*?[")


class Sources(Protocol):
    """What a new archive is filled with."""

    def fill(self, room: WriteRoom) -> None:
        """Write it into `room`; raises where it cannot be read whole."""
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """Files and folders of this machine, listed beforehand."""

    items: Sequence[LocalFile]

    def fill(self, room: WriteRoom) -> None:
        """See `Sources`."""
        room.expect(sum(item.size for item in self.items))
        for item in self.items:
            room.add(item)


@dataclass(frozen=True, slots=True)
class Stdin:
    """What comes on standard input, as one entry."""

    name: str

    def fill(self, room: WriteRoom) -> None:
        """See `Sources`."""
        status = os.fstat(_STDIN)
        if stat.S_ISREG(status.st_mode):
            room.expect(max(status.st_size - os.lseek(_STDIN, 0, os.SEEK_CUR), 0))
        with os.fdopen(_STDIN, "rb", buffering=0, closefd=False) as stream:
            room.write(self.name, stream)


@dataclass(frozen=True, slots=True)
class Command:
    """What a command writes to its standard output, as one entry; only if it exits with status 0.

    `stdin` says whether it may read ours, which may hold the password.
    """

    name: str
    words: Sequence[str]
    stdin: bool

    def fill(self, room: WriteRoom) -> None:
        """See `Sources`."""
        with output_of(self.words, "the command", stdin=self.stdin) as output:
            room.write(self.name, output)


def list_files(paths: Iterable[str], name: str | None, archive: str) -> Files:
    """List files, folders and patterns, under `name` or their own; `archive` itself is left out.

    Raises `OSError` for what is not there, `Misuse` for names that an archive cannot have.
    """
    own: os.stat_result | None = None
    with suppress(OSError):
        own = Path(archive).stat()
    items: list[LocalFile] = []
    tree = Tree()
    for path in paths:
        for match in _expanded(path):
            for item in local_tree(match, name):
                if own is not None and not item.folder and os.path.samestat(own, Path(item.path).stat()):
                    warn(f"{item.path!r} is the archive itself, and was left out")
                    continue
                _check_name(tree, item.name, folder=item.folder)
                items.append(item)
    return Files(items)


def check_name(name: str) -> str:
    """Return `name`; raises `Misuse` where no entry can have it."""
    _check_name(Tree(), name, folder=False)
    return name


def _check_name(tree: Tree, name: str, *, folder: bool) -> None:
    if reason := tree.add(name, folder=folder):
        message = f"entry name {name!r} {reason}"
        raise Misuse(message, hint="--name gives a single source another name; a folder keeps several apart")


def _expanded(path: str) -> Sequence[str]:
    """Expand a pattern that the shell has not, unless a file has that very name."""
    if _PATTERN.isdisjoint(path) or os.path.lexists(path):
        return (path,)
    from glob import glob  # noqa: PLC0415 - few runs need it

    found = sorted(glob(path, recursive=True))  # noqa: PTH207 - of any path, and as the user wrote it
    if not found:
        message = f"nothing matches {path!r}"
        raise Misuse(message)
    return found
