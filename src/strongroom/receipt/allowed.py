"""Who may sign: the file that ssh-keygen calls allowed_signers. ssh-keygen(1), "ALLOWED SIGNERS"."""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from strongroom.errors import FormatError
from strongroom.limits import MIB
from strongroom.receipt.sshsig import NAMESPACE
from strongroom.sshkey import key_type

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST: Final = 1 * MIB
"""Of the file, in bytes: 10,000 keys."""
_FIELD: Final = re.compile(r'[ \t]*((?:[^ \t"]|"[^"]*")+)(?=[ \t]|$)')
_MOST_FIELDS: Final = 4  # of which the last one is a key, or the beginning of a comment
_OPTION: Final = re.compile(r'([a-z-]+)(?:="([^"]*)")?(?:,|$)')
_TIMES: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class Allowed(NamedTuple):
    """A line: who, with which key, for which purposes (patterns; any where empty), and from when until when."""

    principals: str
    wire: bytes
    namespaces: str = ""
    after: datetime | None = None
    before: datetime | None = None


def decode(data: bytes) -> list[Allowed]:
    """Read the file; lines that are a public key and no more, as in a `.pub` file, are taken as well.

    Certificate authorities are passed over. Raises `FormatError` that names the line.
    """
    if len(data) > LARGEST:
        message = f"the file of signers has more than {LARGEST} bytes"
        raise FormatError(message)
    try:
        lines = data.decode().split("\n")  # as ssh-keygen: a comment may have what else Unicode takes for an end
    except UnicodeDecodeError:
        message = "the file of signers is not text in UTF-8"
        raise FormatError(message) from None
    found: list[Allowed] = []
    for number, line in enumerate(lines, 1):
        text = line.strip(" \t\r")
        if text and not text.startswith("#"):
            one = _line(text, number)
            if one is not None:
                found.append(one)
    return found


def judge(signers: Iterable[Allowed], wire: bytes, name: str | None, now: datetime) -> tuple[str, str | None]:
    """Return who signed with a key, and why that does not count, or None where it does."""
    reason = "the key that signed it is none of the allowed signers'"
    for one in signers:
        if one.wire != wire:
            continue
        who = one.principals
        if name is not None and not matches(name, one.principals):
            reason = f"the key that signed it is not {name!r}'s, but {who!r}'s"
        elif one.namespaces and not matches(NAMESPACE, one.namespaces):
            reason = f"the key that signed it is allowed for {one.namespaces!r} only, and not for {NAMESPACE!r}"
        elif one.after is not None and now < one.after:
            reason = "the key that signed it is not valid yet"
        elif one.before is not None and now >= one.before:
            reason = "the key that signed it is no longer valid"
        else:
            return who, None
    return "", reason


def matches(text: str, patterns: str) -> bool:
    """Whether a list of patterns has `text`. ssh_config(5), "PATTERNS": * and ?, and ! before what is left out."""
    found = False
    for pattern in patterns.split(","):
        wanted = pattern.removeprefix("!")
        if _matches(text, wanted):
            if wanted != pattern:
                return False
            found = True
    return found


def _matches(text: str, pattern: str) -> bool:
    """As `fnmatch`, without its brackets; linear in each star, whatever the pattern."""
    place, start, star, mark = 0, 0, -1, 0
    while start < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, mark = place, start
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[start]):
            place, start = place + 1, start + 1
        elif star >= 0:
            mark += 1
            place, start = star + 1, mark
        else:
            return False
    return not pattern[place:].strip("*")


def _line(line: str, number: int) -> Allowed | None:
    fields = _fields(line)
    if key_type(" ".join(fields[:2])) is not None:
        return Allowed("", _wire(fields[1]))
    principals = fields[0].strip('"') if fields else ""
    options: dict[str, str | None] = {}
    if len(fields) > 2 and key_type(" ".join(fields[1:3])) is None:  # noqa: PLR2004 - principals, options, type, key
        options = _options(fields.pop(1), number)
    if key_type(" ".join(fields[1:3])) is None:
        raise _fault(number, "is not a name, options if there are any, a type of key and a key")
    if "cert-authority" in options:
        return None
    after, before = (_time(options.get(f"valid-{which}"), number) for which in ("after", "before"))
    return Allowed(principals, _wire(fields[2]), options.get("namespaces") or "", after, before)


def _fields(line: str) -> list[str]:
    """Cut a line at blanks outside of quotes; what follows a quote that does not end is nothing."""
    found: list[str] = []
    place = 0
    while len(found) < _MOST_FIELDS and (field := _FIELD.match(line, place)):
        found.append(field[1])
        place = field.end()
    return found


def _options(text: str, number: int) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    place = 0
    while place < len(text):
        option = _OPTION.match(text, place)
        if option is None or option[1] in found:
            raise _fault(number, "has options that cannot be read")
        if option[1] not in ("cert-authority", "namespaces", "valid-after", "valid-before"):
            raise _fault(number, f"has an option {option[1]!r}, which is not known here")
        if (option[1] != "cert-authority") is not bool(option[2]):  # a limit that says nothing is none
            raise _fault(number, f"has an option {option[1]!r} with no value, or one too many")
        found[option[1]] = option[2]
        place = option.end()
    return found


def _time(text: str | None, number: int) -> datetime | None:
    """Read a time, in the time zone of this machine unless it ends in Z, as ssh-keygen does."""
    if text is None:
        return None
    digits = text.removesuffix("Z")
    try:
        moment = datetime.strptime(digits, _TIMES[len(digits)])  # noqa: DTZ007 - the zone comes below
        return moment.replace(tzinfo=UTC) if digits != text else moment.astimezone()
    except (KeyError, ValueError, OverflowError, OSError):
        raise _fault(number, f"has a time {text!r} that is none") from None


def _wire(text: str) -> bytes:
    return binascii.a2b_base64(text)


def _fault(number: int, what: str) -> FormatError:
    return FormatError(f"the file of signers, line {number}: {what}")
