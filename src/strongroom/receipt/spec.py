"""A receipt, as bytes: one JSON object in one form, so that the same receipt is the same bytes, and has one reading.

    {
      "receipt": "strongroom 1",
      "archive": "case-42.zip",
      "format": "zip",
      "size": 1234,
      "sha256": "7f83…",
      "sealed": "2026-11-25T02:26:46Z",
      "tool": "strongroom 0.1.0",
      "entries": [
        {"name": "patients.csv", "kind": "file", "size": 512, "modified": "2026-11-24T17:03:11Z"}
      ]
    }

ASCII, whatever is in names, so that none of them reaches a terminal that shows the file. `entries` is null where the
list was left out. There are no digests of entries: those of short or guessable data would tell outsiders what it is,
and the archive's own digest stands for its contents, since these are authenticated under its password.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast, get_args

from strongroom.errors import FormatError, LimitError
from strongroom.formats import FORMATS, Kind
from strongroom.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strongroom.formats import Entry
    from strongroom.limits import Limits

_VERSION: Final = "strongroom 1"
_BEFORE_ENTRIES: Final = b',\n  "entries": '
_LARGEST_HEAD: Final = 16 * KIB
_ESCAPED: Final = 6  # bytes of JSON for one of a name
_LINE_ROOM: Final = 256  # for what else is in a line
_LONGEST_TEXT: Final = 1 * KIB
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_HEAD_KEYS: Final = ["receipt", "archive", "format", "size", "sha256", "sealed", "tool"]
_LINE_KEYS: Final = ["name", "kind", "size", "modified"]
_PRECISION: Final = timedelta(seconds=2)  # of DOS times
_KEPT: Final = range(1980, 2108)  # years that every format keeps
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Line:
    """What a receipt says of an entry; `size` in bytes, `modified` aware, in whole seconds."""

    name: str
    kind: Kind
    size: int
    modified: datetime

    def encode(self) -> str:
        """Return the entry as JSON."""
        values = (self.name, self.kind, self.size, _encode_time(self.modified))
        return json.dumps(dict(zip(_LINE_KEYS, values, strict=True)))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an archive was when it was sealed: file name, format, size in bytes, SHA-256 in hexadecimal, and entries.

    `sealed` is when, aware and in UTC, by the clock of the machine that sealed it; `tool` is the program with its
    version. `entries` is None where the receipt was made without them.
    """

    archive: str
    format: str
    size: int
    sha256: str
    sealed: datetime
    tool: str
    entries: tuple[Line, ...] | None

    @classmethod
    def of(  # noqa: PLR0913 - a receipt has as many parts
        cls, archive: str, row: str, size: int, digest: bytes, entries: Iterable[Entry] | None, *, now: datetime
    ) -> Receipt:
        """Make the receipt of an archive of this version of strongroom."""
        from importlib.metadata import version  # noqa: PLC0415 - few runs need it

        listed = None
        if entries is not None:
            listed = tuple(Line(one.name, one.kind, one.size, one.modified.replace(microsecond=0)) for one in entries)
        tool = f"strongroom {version('strongroom')}"
        return cls(archive, row, size, digest.hex(), now.replace(microsecond=0), tool, listed)

    def encode(self) -> bytes:
        """Return the receipt as bytes."""
        values = (_VERSION, self.archive, self.format, self.size, self.sha256, _encode_time(self.sealed), self.tool)
        head = json.dumps(dict(zip(_HEAD_KEYS, values, strict=True)), indent=2).removesuffix("\n}").encode()
        if self.entries is None:
            listed = b"null"
        else:
            lines = ",\n".join(f"    {line.encode()}" for line in self.entries)
            listed = f"[\n{lines}\n  ]".encode() if lines else b"[]"
        return b"".join((head, _BEFORE_ENTRIES, listed, b"\n}\n"))

    @classmethod
    def decode(cls, data: bytes, limits: Limits) -> Receipt:
        """Read a receipt. Raises `FormatError` for all that `encode` would not write, `LimitError`.

        Nothing is given to the JSON parser but the head, of bounded length, and one entry at a time.
        """
        head, found, listed = data.partition(_BEFORE_ENTRIES)
        if not found:
            raise _fault("has no list of entries")
        if len(head) > _LARGEST_HEAD:
            raise _fault(f"has {len(head)} bytes before its entries, and {_LARGEST_HEAD} at most are sound")
        values = _object(head + b"\n}", _HEAD_KEYS)
        if values[0] != _VERSION:
            raise _fault("is of a version that is not known here")
        _, archive, row, size, sha256, sealed, tool = values
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise _fault("has no SHA-256")
        receipt = cls(
            archive=_text(archive, "archive"),
            format=_text(row, "format"),
            size=_size(size),
            sha256=sha256,
            sealed=_decode_time(sealed),
            tool=_text(tool, "tool"),
            entries=_lines(listed, limits),
        )
        if receipt.encode() != data:
            raise _fault("is not written as strongroom writes it")
        if receipt.entries is not None:
            if len({line.name for line in receipt.entries}) != len(receipt.entries):
                raise _fault("has an entry twice")
            if receipt._single and len(receipt.entries) != 1:
                raise _fault(f"has {len(receipt.entries)} entries, and {receipt.format} holds one")
        return receipt

    @property
    def _single(self) -> bool:
        """Whether the format holds a single entry, without its name."""
        row = FORMATS.get(self.format)
        return row is not None and row.single

    def differences(self, entries: Iterable[Entry]) -> tuple[str, ...]:
        """Say in which entries an archive differs from the receipt; nothing where it does not, or has no list.

        A plain age file has neither name nor time of its entry.
        """
        if self.entries is None:
            return ()
        single = self._single
        mine = {"" if single else line.name: line for line in self.entries}
        theirs = {"" if single else entry.name: entry for entry in entries}
        found = [f"{name!r} is missing" for name in mine if name not in theirs]
        found += [f"{name!r} is not in the receipt" for name in theirs if name not in mine]
        found += [
            f"{mine[name].name!r} has another {what}"
            for name, entry in theirs.items()
            if name in mine and (what := _difference(mine[name], entry, timeless=single))
        ]
        if len(found) > _SHOWN:
            found = [*found[:_SHOWN], f"{len(found) - _SHOWN} more entries differ"]
        return tuple(found)


def _difference(line: Line, entry: Entry, *, timeless: bool) -> str | None:
    if line.kind != entry.kind:
        return "kind"
    if line.size != entry.size:
        return "size"
    if timeless or line.modified.year not in _KEPT or abs(line.modified - entry.modified) < _PRECISION:
        return None
    return "time"


def _lines(listed: bytes, limits: Limits) -> tuple[Line, ...] | None:
    if listed == b"null\n}\n":
        return None
    if listed == b"[]\n}\n":
        return ()
    start, end = b"[\n", b"\n  ]\n}\n"
    if not (listed.startswith(start) and listed.endswith(end)):
        raise _fault("has no list of entries")
    count = listed.count(b"\n") - 3
    if count > limits.entries:
        message = f"the receipt has {count} entries, above the entries limit of {limits.entries}"
        raise LimitError(message)
    return tuple(_line(line, limits) for line in listed[len(start) : -len(end)].split(b"\n"))


def _line(data: bytes, limits: Limits) -> Line:
    if len(data) > _ESCAPED * limits.name_length + _LINE_ROOM:
        message = f"a line of the receipt has {len(data)} bytes, more than the name_length limit allows"
        raise LimitError(message)
    name, kind, size, modified = _object(data.strip().removesuffix(b","), _LINE_KEYS)
    if not isinstance(name, str) or kind not in get_args(Kind):
        raise _fault("has an entry without a name or a kind")
    return Line(name, cast("Kind", kind), _size(size), _decode_time(modified))


def _object(data: bytes, keys: list[str]) -> list[object]:
    """Return the values of a JSON object that has exactly these keys, in this order."""
    try:
        pairs = json.loads(data.decode("ascii"), object_pairs_hook=list)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise _fault("is not JSON in ASCII") from None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in cast("list[object]", pairs)):
        raise _fault("has something else where an object belongs")
    found = cast("list[tuple[str, object]]", pairs)
    if [key for key, _ in found] != keys:
        raise _fault(f"has not the keys that it should: {', '.join(keys)}")
    return [value for _, value in found]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        raise _fault(f"has no {what}")
    return value


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise _fault("has a size that is none")
    return value


def _encode_time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _decode_time(value: object) -> datetime:
    try:
        if isinstance(value, str) and value.endswith("Z"):
            moment = datetime.fromisoformat(value)
            if moment.utcoffset() == timedelta(0):
                return moment.astimezone(UTC)
    except ValueError:
        pass
    raise _fault("has a time that is none")


def _fault(what: str) -> FormatError:
    return FormatError(f"the receipt {what}")
