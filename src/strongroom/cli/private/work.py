"""What `edit` and `run` share: an archive that is worked on in a private folder, and sealed again."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import strongroom
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.messages import warn
from strongroom.cli.options import STDIO, ReadingOptions
from strongroom.cli.passwords import PasswordOptions
from strongroom.cli.progress import Bar
from strongroom.cli.reading import open_archive
from strongroom.cli.recipients import Recipients
from strongroom.errors import LimitError, UnsupportedError
from strongroom.formats import FORMATS
from strongroom.output import unchanged
from strongroom.source import LocalFile, local_tree

if TYPE_CHECKING:
    from strongroom.limits import Limits
    from strongroom.room import CreateOptions, ReadRoom, WriteRoom

_OTHERS = "-r KEY and -R FILE say to whom it is sealed again; or --discard leaves it as it is"


class Again(NamedTuple):
    """How the archive is sealed again."""

    recipients: Recipients
    armor: bool

    def options(self, room: ReadRoom) -> CreateOptions:
        """Return the options of `create`. Raises `Failure` where it is not known with what keys, before any work."""
        row = FORMATS[room.format]
        self.recipients.check(PasswordOptions(None, None, None), row, stdin_is_data=False)
        to, _ = self.recipients.take(row)
        try:
            room.check_replaceable()
            known: CreateOptions = {"recipients": to} if to else room.as_sealed()
        except UnsupportedError as error:
            hint = _OTHERS if error.option else "`strongroom convert` makes one of it that can be"
            raise Failure(str(error), hint=hint) from error
        armor = self.armor or room.armored
        return {**known, "format": room.format, "compression": room.compression, "armor": armor}


class Held(NamedTuple):
    """An archive that no other strongroom works on meanwhile; `check` raises `OutputError` where it was changed."""

    archive: str
    check: Callable[[], None]


@contextmanager
def held(archive: str) -> Generator[Held]:
    """Keep others from working on an archive; raises `Failure` where one does, `Misuse` for what is no file."""
    if archive == STDIO:
        message = "an archive on standard input cannot be sealed again"
        raise Misuse(message, hint="name a file")
    descriptor = os.open(archive, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(os.lstat(archive).st_mode):
            message = f"{archive} is not a regular file, and cannot be replaced"
            raise Failure(message, hint="name the file itself")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another strongroom works on {archive}"
            raise Failure(message, hint="wait until it is done: what one of them does would be lost") from None
        except OSError:  # a file system without locks
            pass
        found = Held(archive, unchanged(archive, status))
        found.check()  # the other one may have been done just now
        yield found
    finally:
        os.close(descriptor)


@contextmanager
def opened(
    archive: str, reading: ReadingOptions, check: Callable[[ReadRoom], object], *doing: str, quiet: bool
) -> Generator[tuple[ReadRoom, Bar]]:
    """Open an archive to work on, with the bar for all that is to do, to be hidden while others use the screen."""
    with Bar(*doing, quiet=quiet) as bar, open_archive(archive, reading, bar, check) as room:
        yield room, bar


def bound(limits: Limits, room: ReadRoom) -> int:
    """Return how many bytes may be in the private folder; raises `LimitError` where the archive alone has more."""
    limit = min(limits.total_size, limits.memory_size)
    total = sum(entry.size for entry in room)
    if total > limit:
        message = f"{total} bytes are above the limit of {limit} (total_size, memory_size)"
        raise LimitError(message)
    return limit


@contextmanager
def sealed_again(held: Held, options: CreateOptions, bar: Bar, *, verify: bool) -> Generator[WriteRoom]:
    """Give the new archive, which takes the place of the old one at the end of the block."""
    finishing: CreateOptions = {**options, "overwrite": True, "verify": verify, "progress": bar}
    try:
        with strongroom.create(held.archive, **finishing) as room:
            room.before_it_appears(held.check)  # when it is on the disk, and verified, which can take long
            yield room
    except ValueError as error:  # how the library refuses names that no archive can have
        message = f"{error}; the archive is as it was"
        raise Failure(message, hint="what was made in the folder is lost") from error


def items_in(folder: str, room: ReadRoom) -> Iterator[LocalFile]:
    """Give the files of a tree with the permissions that `room` has for them, its folders, and empty ones."""
    before = {entry.name: entry for entry in room}
    names = sorted(os.listdir(folder))  # noqa: PTH208 - names
    items = [item for name in names for item in _top(f"{folder}/{name}", name)]
    for number, item in enumerate(items):
        entry = before.get(item.name)
        filled = any(other.name.startswith(f"{item.name}/") for other in items[number + 1 : number + 2])
        if item.folder and filled and entry is None:
            continue
        if entry is not None and entry.mode is not None and not (entry.mode ^ item.mode) & 0o100:
            yield replace(item, mode=entry.mode & 0o777)
        else:
            yield item


def _top(path: str, name: str) -> Iterator[LocalFile]:
    """Give what lies at the top of the tree, where `local_tree` would follow a link."""
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        yield from local_tree(path, name)
    else:
        warn(f"{name!r} is a symlink or a special file, and was left out")
