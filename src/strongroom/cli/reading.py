"""Opens the archive that a verb reads, and gets its password."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import strongroom
from strongroom.cli.messages import STDIN
from strongroom.cli.options import STDIO, ReadingOptions
from strongroom.cli.passwords import TRIES
from strongroom.cli.terminal import Terminal
from strongroom.cli.units import count
from strongroom.errors import LimitError, WrongKeyError
from strongroom.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from strongroom.cli.passwords import PasswordOptions
    from strongroom.limits import Limits
    from strongroom.memory.secret import Secret
    from strongroom.room import ReadRoom


def open_listed(archive: str, password: PasswordOptions, limits: Limits) -> ReadRoom:
    """Open an archive for its list of entries; a password is asked for only where the names are encrypted."""
    options = ReadingOptions(password, legacy=False, allow_plaintext=False, manifest="auto", limits=limits)
    return open_archive(archive, options, data=False)


def open_archive(
    archive: str,
    options: ReadingOptions,
    progress: Callable[[int, int | None], object] | None = None,
    check: Callable[[ReadRoom], object] = lambda _: None,
    *,
    data: bool = True,
) -> ReadRoom:
    """Open an archive to read its data. On a terminal the password is asked for up to three times.

    `check` raises where the list of entries shows that there is nothing to do, before anyone types a password.
    """
    options.password.check(stdin_is_data=archive == STDIO)

    def opened(place: str | BinaryIO, password: Secret | None) -> ReadRoom:
        return strongroom.open(
            place,
            password=password,
            legacy=options.legacy,
            allow_plaintext=options.allow_plaintext,
            manifest="auto" if password is None else options.manifest,
            limits=options.limits,
            progress=progress,
        )

    if options.password.given:
        with options.password.take() as password:
            return _checked(opened(_place(archive), password), check)
    place = _place_to_reopen(archive, options.limits)
    with suppress(WrongKeyError):  # the names are encrypted as well
        room = _checked(opened(place, None), check)
        if not data or (options.manifest != "required" and not any(entry.encrypted for entry in room)):
            return room
        room.close()
    return _asked(archive, lambda password: _checked(opened(place, password), check))


def _checked(room: ReadRoom, check: Callable[[ReadRoom], object]) -> ReadRoom:
    try:
        check(room)
    except BaseException:
        room.close()
        raise
    return room


def _asked(archive: str, opened: Callable[[Secret], ReadRoom]) -> ReadRoom:
    place = f"the archive on {STDIN}" if archive == STDIO else archive
    with Terminal() as terminal:
        for left in reversed(range(TRIES)):
            password = terminal.ask(f"Password for {place}: ")
            if password is not None:
                try:
                    with password:
                        return opened(password)
                except WrongKeyError:
                    pass
            if left:
                terminal.say(f"That is not the password; {count(left, 'try', 'tries')} left.")
    message = f"none of {TRIES} passwords fits"
    raise WrongKeyError(message)


def _place(archive: str) -> str | BinaryIO:
    return _stdin() if archive == STDIO else archive


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), STDIN)
    return sys.stdin.buffer


def _place_to_reopen(archive: str, limits: Limits) -> str | BinaryIO:
    """Give what can be opened once for each try: a pipe is taken into memory."""
    if archive == STDIO:
        return _stdin() if _stdin().seekable() else _taken(_stdin(), limits)
    if not stat.S_ISFIFO(Path(archive).stat().st_mode):
        return archive
    with Path(archive).open("rb") as pipe:
        return _taken(pipe, limits)


def _taken(pipe: BinaryIO, limits: Limits) -> BinaryIO:
    kept = io.BytesIO()
    while data := pipe.read(MIB):
        if kept.tell() + len(data) > limits.memory_size:
            message = f"the pipe gives more than the memory_size limit of {limits.memory_size} bytes"
            raise LimitError(message)
        kept.write(data)
    return kept
