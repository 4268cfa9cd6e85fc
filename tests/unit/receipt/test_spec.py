from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from strongroom.errors import FormatError, LimitError, StrongroomError
from strongroom.formats import Entry
from strongroom.limits import Limits
from strongroom.receipt import Line, Receipt
from tests.docs import pages

TIME = datetime(2026, 11, 25, 2, 26, 46, tzinfo=UTC)
NAMES = ["patients.csv", "Zoë/größe.txt", "\U0001f4a9.bin", 'quote"back\\slash\n\x1b[31m', "\ud800", "\u202egpj.exe"]


def receipt(*names: str, **changes: object) -> Receipt:
    """A receipt of an archive that is not there."""
    lines = tuple(Line(name, "file", number, TIME) for number, name in enumerate(names))
    values = {"archive": "case.zip", "format": "zip", "size": 1234, "sha256": "ab" * 32, "sealed": TIME, "tool": "t 1"}
    return Receipt(**values | {"entries": lines} | changes)


def entry(line: Line, **changes: object) -> Entry:
    """The entry that a line is of."""
    values = {"name": line.name, "kind": line.kind, "size": line.size, "modified": line.modified}
    return Entry(packed_size=0, mode=None, method="store", encryption=None, **values | changes)


@pytest.mark.parametrize(
    "one", [receipt(*NAMES), receipt(), receipt(entries=None), receipt("a", archive="Fälle.7z", format="7z")], ids=str
)
def test_round_trip(one: Receipt) -> None:
    """What is read is what was written, as ASCII that any JSON parser reads, without control codes of names."""
    data = one.encode()
    assert Receipt.decode(data, Limits()) == one
    assert data.isascii()
    assert set(data) & set(range(32)) == {10}
    assert json.loads(data)["sha256"] == one.sha256


@pytest.mark.parametrize("entries", [2, 0, None])
def test_every_flip_is_noticed_or_says_something_else(entries: int | None) -> None:
    """No change of a byte goes unseen: it is an error of ours, or another receipt, which no signature would fit."""
    one = receipt(*NAMES[:entries]) if entries is not None else receipt(entries=None)
    data = one.encode()
    for position in range(len(data)):
        for mask in (1, 32, 128):
            changed = bytearray(data)
            changed[position] ^= mask
            try:
                assert Receipt.decode(bytes(changed), Limits()) != one
            except StrongroomError:
                continue


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"size": 1234', b'"size": 1234, "size": 1'),
        (b'"size": 1234', b'"size":  1234'),
        (b'"size": 1234', b'"size": 1234.0'),
        (b'"size": 1234', b'"size": true'),
        (b'"size": 1234', b'"size": -1'),
        (b'"size": 1234', b'"size": ' + b"9" * 5000),
        (b'"size": 1234', b'"size": 1e400'),
        (b'"size": 1234', b'"size": NaN'),
        (b'"size": 1234', b'"size": null'),
        (b'"size": 1234', b'"size": ' + b"[" * 10_000),
        (b'"strongroom 1"', b'"strongroom 2"'),
        (b'"zip"', b'""'),
        (b'"zip"', b"7"),
        (b"abab", b"ABAB"),
        (b"abab", b"ab"),
        (b'"case.zip"', b'"' + b"x" * 1025 + b'"'),
        (b"46Z", b"46+00:00"),
        (b"46Z", b"46.5Z"),
        (b"2026-11", b"2026-13"),
        (b'"file"', b'"fifo"'),
        (b'"a"', b"null"),
        (b'{"name": "a"', b'{"name": "a", "name": "b"'),
        (b'{"name": "a"', b'["name", "a"'),
        (b'"a"', b'"\xc3\xa4"'),
        (b'"a"', b'"\xff"'),
        (b'"a"', b'"\x00"'),
        (b"  ]\n}\n", b"  ]\n}\n\n"),
        (b"  ]\n}\n", b"  ]\n}"),
        (b"  ]\n}\n", b'  ],\n  "more": 1\n}\n'),
        (b'  "entries": [', b'  "others": ['),
    ],
)
def test_bad_receipts(old: bytes, new: bytes) -> None:
    """What is not exactly as strongroom writes it is refused: it has one reading."""
    data = receipt("a", "b").encode()
    assert old in data
    with pytest.raises(FormatError):
        Receipt.decode(data.replace(old, new, 1), Limits())


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]\n", b"[" * 1_000_000, b"\xff" * 1000, b"\0" * 1000])
def test_other_files(data: bytes) -> None:
    """Other files are no receipts."""
    with pytest.raises(FormatError):
        Receipt.decode(data, Limits())


def test_any_bytes() -> None:
    """Whatever is put in place of a part of a receipt, it is an error of ours or a receipt."""
    chance = random.Random(1)
    data = receipt(*NAMES).encode()
    for _ in range(2000):
        start = chance.randrange(len(data))
        end = min(start + chance.randrange(40), len(data))
        noise = bytes(chance.choices(b'{}[]",:\\nul0e-\n \xff\x00z', k=chance.randrange(12)))
        try:
            found = Receipt.decode(data[:start] + noise + data[end:], Limits())
        except StrongroomError:
            continue
        assert found.encode() == data[:start] + noise + data[end:]


def test_limits() -> None:
    """Entries and names are bounded, before anything is parsed."""
    with pytest.raises(LimitError):
        Receipt.decode(receipt(*"abc").encode(), Limits(entries=2))
    with pytest.raises(LimitError):
        Receipt.decode(receipt("n" * 1000).encode(), Limits(name_length=10))
    with pytest.raises(FormatError):
        Receipt.decode(receipt().encode().replace(b"zip", b"[" * 100_000, 1), Limits())
    with pytest.raises(LimitError):
        Receipt.decode(receipt("a").encode().replace(b"[\n", b"[\n" + b"\n" * 1_000_001), Limits())


def test_differences() -> None:
    """Entries that are missing, added, or changed are named, and many of them counted."""
    one = receipt("a", "b", "c")
    a, b, c = (entry(line) for line in one.entries or ())
    assert one.differences([a, b, c]) == ()
    assert one.differences([c, a, b]) == ()
    assert len(one.differences([a, b])) == 1
    assert len(one.differences([a, b, c, entry(Line("d", "file", 0, TIME))])) == 1
    for changes in ({"size": 99}, {"kind": "directory"}, {"modified": TIME + timedelta(seconds=2)}, {"name": "B"}):
        found = one.differences([a, entry((one.entries or ())[1], **changes), c])
        assert found
        assert all("'b'" in problem or "'B'" in problem for problem in found)
    assert one.differences([a, entry((one.entries or ())[1], modified=TIME + timedelta(seconds=1)), c]) == ()
    assert len(receipt(*map(str, range(100))).differences([])) == 11
    assert receipt(entries=None).differences([a]) == ()


def test_a_plain_age_file_may_have_another_name() -> None:
    """It keeps neither the name nor the time of its entry: only the size is compared."""
    one = receipt("report.csv", format="age")
    line = Line("copy.csv", "file", 0, TIME - timedelta(days=1))
    assert one.differences([entry(line)]) == ()
    assert one.differences([entry(line, size=5)])


def test_the_receipt_that_the_docs_show() -> None:
    """It is one, to the byte."""
    (shown,) = (block.code for block in pages.blocks(pages.ROOT / "docs/evidence.md") if block.language == "json")
    assert len(Receipt.decode(shown.encode(), Limits()).entries or ()) == 3


@pytest.mark.parametrize(
    "one", [receipt("a", "b", "a"), receipt("a", "b", format="age"), receipt(format="age")], ids=str
)
def test_each_entry_is_named_once(one: Receipt) -> None:
    """Of two lines with one name, and of several for a format that holds one entry, only one would be compared."""
    with pytest.raises(FormatError):
        Receipt.decode(one.encode(), Limits())
