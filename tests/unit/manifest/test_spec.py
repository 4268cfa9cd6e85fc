from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import FormatError
from strongroom.manifest.spec import RECORD_SIZE, TAIL_SIZE, Record, Tail, decode_field

RECORDS = st.builds(
    Record,
    st.integers(0, (1 << 32) - 1),
    st.binary(min_size=16, max_size=16),
    st.tuples(*[st.binary(min_size=4, max_size=4)] * 5),
)
TAILS = st.builds(
    Tail,
    st.binary(min_size=10, max_size=10),
    st.integers(1, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
)


def test_bytes_by_hand() -> None:
    """The layouts, as docs/design.md has them."""
    record = Record(0x01020304, b"T" * 16, (b"name", b"time", b"attr", b"pack", b"data"))
    assert record.encode() == b"\x04\x03\x02\x01" + b"T" * 16 + b"nametimeattrpackdata"
    tail = Tail(b"s" * 10, 100_000, 3, b"c" * 16, b"w" * 16)
    assert tail.encode() == b"s" * 10 + b"\xa0\x86\x01\x00" + b"\x03\x00\x00\x00" + b"c" * 16 + b"w" * 16
    assert (RECORD_SIZE, TAIL_SIZE) == (40, 50)


@given(record=st.none() | RECORDS, tail=st.none() | TAILS)
def test_encode_then_decode(record: Record | None, tail: Tail | None) -> None:
    """What was encoded is what is decoded."""
    field = (record.encode() if record else b"") + (tail.encode() if tail else b"")
    if field:
        assert decode_field(field) == (record, tail)


@given(size=st.sampled_from([40, 50, 90]), data=st.data())
def test_decode_then_encode(size: int, data: st.DataObject) -> None:
    """Any bytes of the right length give back the same bytes, unless they name no rounds."""
    field = data.draw(st.binary(min_size=size, max_size=size))
    if size > 40 and not any(field[-40:-36]):
        with pytest.raises(FormatError):
            decode_field(field)
        return
    assert b"".join(part.encode() for part in decode_field(field) if part) == field


@given(field=st.binary(max_size=200))
def test_any_other_length_is_refused(field: bytes) -> None:
    """No length is read in two ways."""
    expected: Any = [40, 50, 90]
    if len(field) not in expected:
        with pytest.raises(FormatError):
            decode_field(field)
