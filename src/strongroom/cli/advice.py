"""What the user can do about an error: the hint below it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.failure import Misuse
from strongroom.errors import (
    EntryNotFoundError,
    FormatError,
    LimitError,
    OutputError,
    OutputExistsError,
    StrongroomError,
    TamperedError,
    TruncatedError,
    UnsupportedError,
    WrongKeyError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_RIGHT: Final = "you have no right to that: its owner or root can give it to you, or do this for you"
_NO_ROOM: Final = "make room there, or choose another disk"
_ERRNO: Final = {
    errno.ENOENT: "check the name, and the folder that you are in",
    errno.ENOTDIR: "a part of that path is a file, and no folder: check the name",
    errno.EISDIR: "that is a folder: name a file",
    errno.EINVAL: "name a file or a pipe",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: "the file system, or `ulimit -f`, allows no larger files: choose another disk, or seal in parts",
    errno.EROFS: "nothing can be written there: choose another place",
    errno.EIO: "the disk may be failing: save what can still be read of it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "links there lead round in a circle: name the file itself",
    errno.ESTALE: "let nothing change the sources, and seal again",
}
_NO_ARGUMENT: Final = (
    "arguments can be read by every user of this machine: leave it out to be asked for the password, "
    "or use --password-file, --password-fd, --password-command or --password-keyring"
)
_MEANT: Final = {  # by the words and letters of 7-Zip, unzip, tar, age and the like
    "seal": ("a", "add", "c", "compress", "create", "encrypt", "pack", "zip"),
    "ls": ("l", "list", "dir"),
    "cat": ("print", "read", "show"),
    "extract": ("d", "decrypt", "e", "open", "unpack", "unseal", "unzip", "x"),
    "verify": ("check", "t", "test"),
    "inspect": ("i", "info"),
    "rekey": ("passwd", "password"),
    "keygen": ("key", "keys"),
}
_OTHERWISE: Final = {
    ("seal", "-i"): "`strongroom keygen -y -i FILE` shows the recipient of that identity, and -r seals to it",
    ("seal", "-o"): "the archive comes first: strongroom seal ARCHIVE SOURCE...",
    ("cat", "-o"): "`strongroom extract` writes files; here, > FILE is for the shell",
    ("extract", "-o"): "the folder follows the archive: strongroom extract ARCHIVE DIR",
    ("extract", "-C"): "the folder follows the archive: strongroom extract ARCHIVE DIR",
    ("extract", "--overwrite"): "existing files are never replaced: choose another folder",
}


def verb_for(word: str, verbs: Sequence[str]) -> str | None:
    """Return the verb that somebody may mean by a word that is none."""
    from difflib import get_close_matches  # noqa: PLC0415 - 3 ms, for mistakes alone

    close = get_close_matches(word, verbs, 1)
    return close[0] if close else next((verb for verb, words in _MEANT.items() if word in words), None)


def quoted(path: str) -> str:
    """Return a path as an argument for a shell, which any tool takes for a path."""
    import shlex  # noqa: PLC0415 - 2 ms, which few runs need

    path = f"./{path}" if path.startswith("-") else path
    if path.isprintable():
        return shlex.quote(path)
    text = path.replace("\\", r"\\").replace("'", r"\'")
    # As bash and zsh write what cannot be typed: as bytes, for to them \xa0 is one, and no character of that number.
    hidden = {one: "".join(f"\\x{byte:02x}" for byte in os.fsencode(one)) for one in text if not one.isprintable()}
    return "$'" + "".join(hidden.get(one, one) for one in text) + "'"


def for_system(failure: BaseException | None) -> str | None:
    """Say what can be done about what the system refused."""
    return _ERRNO.get(failure.errno or 0) if isinstance(failure, OSError) else None


def for_failure(failure: StrongroomError, verb: str | None, archive: str | None) -> str | None:
    """Say what can be done about an error of the library, which `verb` had with `archive`."""
    sealing = verb in ("seal", "convert", "rekey")
    match failure:
        case OutputExistsError() if verb == "keygen":
            return "an identity is never replaced, since what is sealed to it would be lost: choose another name"
        case OutputExistsError() if sealing:
            return "--overwrite replaces it, once the new archive is complete"
        case OutputExistsError():
            return "existing files are never replaced: choose another folder"
        case EntryNotFoundError():
            return f"`strongroom ls {quoted(archive or 'ARCHIVE')}` shows the names"
        case UnsupportedError():
            return for_unsupported(failure)
        case LimitError() if notes := getattr(failure, "__notes__", None):
            return str(notes[0])
        case LimitError():
            return "--limit NAME=VALUE changes a bound, for an archive that you trust"
        case WrongKeyError() if failure.identity:
            return "-i FILE opens it with the identity, the secret key, that belongs to one of its recipients"
        case WrongKeyError() if failure.password:
            return "--password-file, --password-fd or --password-command gives it; without -i it is asked for"
        case WrongKeyError():
            return (
                "capitals, spaces and the keyboard's layout count, and in a password file all but a newline at its end"
            )
        case TamperedError() if verb == "seal":
            return "that disk cannot be relied on: seal to another one; no archive was made"
        case TamperedError() if notes := getattr(failure, "__notes__", None):
            return str(notes[0])
        case TamperedError():
            return "do not use it: get the archive again from where it came, and compare"
        case TruncatedError():
            return "it is cut off, or no archive: get it again from where it came"
        case FormatError() if notes := getattr(failure, "__notes__", None):
            return str(notes[0])
        case FormatError():
            return "it is no archive, damaged, or made to do harm: get it again, and open it with no other tool either"
        case OutputError() if notes := getattr(failure, "__notes__", None):
            return str(notes[0])
        case _:
            return for_system(failure.__cause__)


def for_unsupported(failure: UnsupportedError) -> str:
    """Say what reads it all the same."""
    if failure.option is not None:
        return f"--{failure.option.replace('_', '-')} reads it, if it is as it should be"
    notes: list[str] = getattr(failure, "__notes__", [])
    return notes[0] if notes else "another tool may read it; if strongroom made the archive, it was changed since"


def for_misuse(mistake: click.UsageError, name: str, arguments: list[str]) -> str:
    """Say how the arguments should be."""
    if isinstance(mistake, Misuse) and mistake.hint:
        return mistake.hint
    if isinstance(mistake, click.NoSuchOption):
        if mistake.option_name in ("-p", "--password"):
            return _NO_ARGUMENT
        verb = mistake.ctx.info_name if mistake.ctx else None
        if (otherwise := _OTHERWISE.get((verb or "", mistake.option_name))) is not None:
            return otherwise
        dashed = next((one for one in arguments if one.startswith("-") and os.path.lexists(one)), None)
        if dashed is not None:
            return f"the file of that name is {quoted(dashed)}; or put -- before all names"
    return f"`{mistake.ctx.command_path if mistake.ctx else name} --help` shows what there is"
