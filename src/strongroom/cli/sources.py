"""What is sealed: files, folders, standard input, or what a command writes."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from strongroom.cli.advice import for_system, quoted
from strongroom.cli.child import output_of
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import STDIN, naming, warn
from strongroom.names import Tree, fault
from strongroom.source import local_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from strongroom.room import WriteRoom
    from strongroom.source import LocalFile

_STDIN = 0
_PATTERN = frozenset("*?[")


class Sources(Protocol):
    """What a new archive is filled with."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """The paths of what was found and is not sealed."""
        ...

    def fill(self, room: WriteRoom) -> None:
        """Write it into `room`; raises where it cannot be read whole."""
        ...


class Files(NamedTuple):
    """Files and folders of this machine, listed beforehand; `left_out` are those that an archive of ours has not."""

    items: Sequence[LocalFile]
    pipes: frozenset[str]
    left_out: tuple[str, ...]

    def fill(self, room: WriteRoom) -> None:
        """See `Sources`."""
        if not self.pipes:
            room.expect(sum(item.size for item in self.items))
        for item in self.items:
            if item.path in self.pipes:  # waits until someone opens the other end, or it would seem empty
                with Path(item.path).open("rb", buffering=0) as stream:
                    room.write(item.name, stream)
            else:
                room.add(item)


class Stdin(NamedTuple):
    """What comes on standard input, as one entry."""

    name: str
    left_out: tuple[str, ...] = ()

    def fill(self, room: WriteRoom) -> None:
        """See `Sources`."""
        with naming(STDIN):
            status = os.fstat(_STDIN)
            if stat.S_ISREG(status.st_mode):
                room.expect(max(status.st_size - os.lseek(_STDIN, 0, os.SEEK_CUR), 0))
            with os.fdopen(_STDIN, "rb", buffering=0, closefd=False) as stream:
                room.write(self.name, stream)


class Command(NamedTuple):
    """What a command writes to its standard output, as one entry; only if it exits with status 0.

    `stdin` says whether it may read ours, which may hold the password.
    """

    name: str
    words: Sequence[str]
    stdin: bool
    left_out: tuple[str, ...] = ()

    def fill(self, room: WriteRoom) -> None:
        """See `Sources`."""
        with output_of(self.words, "the command", stdin=self.stdin) as output:
            room.write(self.name, output)


def list_files(paths: Iterable[str], name: str | None, archive: str) -> Files:
    """List files, folders and patterns, under `name` or their own; `archive` itself is left out.

    Raises `Failure` for what cannot be read, `Misuse` for names that an archive cannot have and for endless devices.
    """
    own: os.stat_result | None = None
    with suppress(OSError):
        own = Path(archive).stat()
    items: list[LocalFile] = []
    pipes: set[str] = set()
    left_out: list[str] = []
    tree = Tree()
    for path in paths:
        for match in _expanded(path):
            try:
                if _is_pipe(match):
                    pipes.add(match)
                for item in local_tree(match, name):
                    if item.folder:
                        left_out.extend(_left_out(item.path))
                    elif own is not None and os.path.samestat(own, Path(item.path).stat()):
                        warn(f"{item.path!r} is the archive itself, and was left out")
                        left_out.append(item.path)
                        continue
                    elif not os.access(item.path, os.R_OK):
                        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), item.path)
                    _check_name(tree, item.name, item.path if item.path != match else None, folder=item.folder)
                    items.append(item)
            except OSError as error:
                message = f"the source {os.fsdecode(error.filename or match)!r} cannot be read: {error.strerror}"
                option = match.startswith("-") and error.errno == errno.ENOENT
                hint = "after -- all are names: put options before it" if option else for_system(error)
                raise Failure(message, hint=hint) from error
    return Files(items, frozenset(pipes), tuple(left_out))


def _is_pipe(path: str) -> bool:
    """Say whether `path`, which the user named, is a pipe; raises `Misuse` where it may have no end."""
    mode = Path(path).stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        message = f"the source {path!r} is a {'device' if stat.S_ISCHR(mode) else 'socket'}, which may have no end"
        raise Misuse(message, hint="pipe what you want of it into `strongroom seal ARCHIVE --name NAME -`")
    return stat.S_ISFIFO(mode)


def _left_out(folder: str) -> Iterator[str]:
    """Give what `local_tree` warns of."""
    with os.scandir(folder) as found:
        for item in found:
            if not item.is_dir(follow_symlinks=False) and not item.is_file(follow_symlinks=False):
                yield item.path


def check_name(name: str) -> str:
    """Return `name`; raises `Misuse` where no entry can have it."""
    _check_name(Tree(), name, None, folder=False)
    return name


def _check_name(tree: Tree, name: str, inside: str | None, *, folder: bool) -> None:
    """Take up a name; `inside` is the path of what is not a source by itself, but lies in one."""
    if reason := tree.add(name, folder=folder):
        message = f"entry name {name!r} {reason}"
        if not fault(name):
            raise Misuse(message, hint="seal the folders that they are in, which keep them apart")
        raise Misuse(
            message, hint=f"rename {quoted(inside)}" if inside else "--name gives a single source another name"
        )


def _expanded(path: str) -> Sequence[str]:
    """Expand a pattern that the shell has not, unless a file has that very name."""
    if _PATTERN.isdisjoint(path) or os.path.lexists(path):
        return (path,)
    from glob import glob  # noqa: PLC0415 - few runs need it

    found = sorted(glob(path, recursive=True))  # noqa: PTH207 - of any path, and as the user wrote it
    if not found:
        message = f"nothing matches {path!r}"
        raise Misuse(message, hint="check the pattern, and the folder that you are in")
    return found
