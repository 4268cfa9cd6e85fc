"""Which format a file has, or is to get, and how what is in it is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from strongroom.errors import FormatError, StrongroomError
from strongroom.formats import FORMATS, Format, ReaderOptions
from strongroom.limits import KIB
from strongroom.names import fault
from strongroom.source import read

if TYPE_CHECKING:
    from strongroom.limits import Limits
    from strongroom.source import Source

_PROGRAMS: Final = b"MZ", b"\x7fELF", b"#!"  # which a self-extracting archive starts with
_HEAD: Final = 4 * KIB
_TAIL: Final = 65 * KIB  # a ZIP's comment, and its last record
_SUFFIX: Final = ".age"
_NAMELESS: Final = "data"
_IDENTITY: Final = b"AGE-SECRET-KEY-1", b"AGE-SECRET-KEY-PQ-1"
_PRIVATE_KEY: Final = b"-----BEGIN ", b"PRIVATE KEY-----"


def format_for(path: object, name: str | None) -> Format:
    """Return the format that `name` or else the suffix of `path` names; raises `ValueError` where there is none."""
    if name is not None:
        return known(name)
    if not isinstance(path, (str, os.PathLike)):
        message = 'a stream has no suffix: name the format, such as format="zip"'
        raise ValueError(message)  # noqa: TRY004 - the type is right, an argument is missing
    text = os.fsdecode(cast("str | os.PathLike[str]", path))
    if row := by_suffix(text):
        return row
    suffixes = ", ".join(suffix for row in FORMATS.values() for suffix in row.suffixes)
    message = f"the suffix of {text!r} names no format (there are: {suffixes}); name the format"
    raise ValueError(message)


def by_suffix(path: object) -> Format | None:
    """Return the format that the suffix of `path` names, if it is a path and names one."""
    name = (_text(path) or "").lower()
    return next((row for row in FORMATS.values() if name.endswith(row.suffixes)), None)


def known(name: str) -> Format:
    """Return a format by name; raises `ValueError`."""
    if name not in FORMATS:
        message = f"no format {name!r} (there are: {', '.join(FORMATS)})"
        raise ValueError(message)
    return FORMATS[name]


def detect(source: Source, path: object) -> Format:
    """Find a format in the content of a file. Only the path says that what is in an envelope is an archive, too."""
    head = read(source, 0, min(source.size, _HEAD)).lstrip(b" \t\r\n")  # which may stand before armor
    name = (_text(path) or "").lower()
    for row in FORMATS.values():
        if head.startswith(row.magic) and (not row.inside or row.carries or name.endswith(row.suffixes)):
            return row
    if head.startswith(_PROGRAMS):
        for row in FORMATS.values():
            if row.is_behind_program(source):
                return row
    if _is_identity(head):
        message = "this is an identity file, a secret key, and no archive"
        error = FormatError(message)
        error.add_note("-i FILE names the identity, and the archive that it opens stands by itself")
        raise error
    row = next(row for row in FORMATS.values() if row.from_end)
    tail = max(source.size - _TAIL, 0)
    if not any(mark in read(source, tail, source.size - tail) for mark in row.magic):
        message = f"it is {'' if source.size else 'empty, and '}no archive: neither a ZIP, nor a 7z, nor age is in it"
        error = FormatError(message)
        error.add_note("check the name: an archive mostly ends in .zip, .7z or .age")
        raise error
    return row


def check_content(source: Source, row: Format, limits: Limits) -> None:
    """Raise `FormatError` where `source` is no archive of the format that `detect` fell back on."""
    options = ReaderOptions(password=None, legacy=False, allow_plaintext=False, limits=limits, threads=1)
    try:
        row.reader(source, options).close()
    except FormatError:
        raise
    except StrongroomError:  # it is one, and takes a key or more than is done here
        pass


def name_kept(path: object, name: str | None) -> str | None:
    """Return the name that an entry has anyway in a format that keeps none, which is the file's less .age; else None.

    `name` is that of the format, as for `format_for`.
    """
    try:
        row = format_for(path, name)
    except ValueError:
        return None
    if not row.single:
        return None
    name = name_of(path)
    return (name[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name) or _NAMELESS


def name_of(path: object) -> str:
    """Return the name of a file, by path or as a stream knows it; nothing where an entry cannot be called so."""
    name = Path(_text(path) or _text(getattr(path, "name", None)) or "").name
    stem = name[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name
    return "" if fault(stem) else name


def _is_identity(head: bytes) -> bool:
    start, end = _PRIVATE_KEY
    first = head.split(b"\n", 1)[0].rstrip()
    if first.startswith(start) and first.endswith(end):
        return True
    lines = (line for line in head.splitlines() if line.strip() and not line.startswith(b"#"))
    return next(lines, b"").upper().startswith(_IDENTITY)


def _text(path: object) -> str | None:
    if isinstance(path, str):
        return path
    return os.fsdecode(cast("os.PathLike[str]", path)) if isinstance(path, os.PathLike) else None
