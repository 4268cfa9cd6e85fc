"""Where a new archive goes: what is checked before anyone types a password, and what is said of it afterwards."""

from __future__ import annotations

import errno
import os
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from strongroom.cli.advice import for_system, quoted
from strongroom.cli.failure import Failure, Misuse
from strongroom.cli.handover import how_to_open
from strongroom.cli.messages import STDOUT, say
from strongroom.cli.options import STDIO
from strongroom.cli.units import size
from strongroom.errors import OutputExistsError
from strongroom.formats import FORMATS, Format
from strongroom.room.finding import format_for

if TYPE_CHECKING:
    from strongroom.memory.secret import Secret

_STDOUT: Final = 1


def check_target(archive: str, *, overwrite: bool, what: str = "archive") -> None:
    """Refuse what cannot become the archive, or `what` else it is, before anyone types a password."""
    folder = Path(archive).parent
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        message = f"the folder {str(folder)!r} for the {what} cannot be opened: {error.strerror}"
        missing = isinstance(error, FileNotFoundError)
        hint = f"make it first: mkdir -p {quoted(str(folder))}" if missing else for_system(error)
        raise Failure(message, hint=hint) from error
    try:
        mode = os.lstat(archive).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        message = f"{archive} is a folder"
        raise Failure(message, hint="name a file in it, such as case-42.zip")
    if not overwrite:
        message = f"{archive} is there already"
        raise OutputExistsError(message)
    if not stat.S_ISREG(mode):
        message = f"{archive} is not a regular file, and is not replaced"
        raise Failure(message, hint="choose another name, or remove it yourself")


def format_of(archive: str, name: str | None, option: str) -> Format:
    """Return the format of a new archive: `name`, which `option` gives, or what its suffix says."""
    if archive == STDIO and name is None:
        message = "an archive on standard output has no suffix that names a format"
        raise Misuse(message, hint=f"{option} names it: {', '.join(FORMATS)}")
    try:
        return format_for(archive, name)
    except ValueError as error:
        raise Misuse(str(error), hint=f"{option} names it: {', '.join(FORMATS)}") from error


def check_stdout(*, verify: bool, force: bool, as_json: bool) -> None:
    """Refuse what does not go with an archive on standard output."""
    if verify or as_json:
        message = f"--{'verify' if verify else 'json'} does not go with an archive on standard output"
        raise Misuse(message)
    if os.isatty(_STDOUT) and not force:
        message = "standard output is a terminal, and an archive is binary data"
        raise Failure(message, hint="send it to a file or a program, or use --force")


def stdout() -> BinaryIO:
    """Return standard output, for an archive."""
    return os.fdopen(_STDOUT, "wb", buffering=0, closefd=False)


def check_password(row: Format, password: Secret) -> None:
    """Raise `Misuse` for one that the format's tools cannot use. Warnings come later, when it is used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row.check_password(password)
    except ValueError as error:
        raise Misuse(
            str(error), hint="choose another password: six random words are strong, and short enough"
        ) from None


def into(archive: str) -> str:
    """Say where the archive is, and how large."""
    return f"into {STDOUT}" if archive == STDIO else f"into {archive} of {size(Path(archive).stat().st_size)}"


def say_how_it_opens(archive: str, row: Format, single: str | None, *, post_quantum: bool | None) -> None:
    """Say what opens the archive, and what anyone can read of it.

    `single` is the name of the one entry in a format that keeps none; `post_quantum` says it of the recipients, where
    there are some.
    """
    for line in how_to_open(archive, row, by_key=post_quantum is not None, post_quantum=bool(post_quantum)):
        say(line)
    if single is not None and archive != STDIO and Path(archive).name[: -len(row.suffixes[0])] != single:
        say(f"the name {single!r} is not kept: an age file is called as it is, without .age")
    if row.readable:
        say(f"{row.readable} can be read without the password")
