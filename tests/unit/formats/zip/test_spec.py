from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import FormatError, UnsupportedError
from strongroom.formats.zip import extras, spec
from strongroom.source import Cursor

u8, u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
short = st.binary(max_size=40)

locals_ = st.builds(spec.LocalHeader, u16, u16, u16, u32, u32, u32, u32, short, short)
centrals = st.builds(
    spec.CentralHeader, u16, u16, u16, u16, u32, u32, u32, u32, u16, u16, u32, u32, short, short, short
)
ends = st.builds(spec.EndRecord, u16, u16, u16, u16, u32, u32, u16)
zip64_ends = st.builds(spec.Zip64EndRecord, u16, u16, u32, u32, u64, u64, u64, u64)
locators = st.builds(spec.Zip64Locator, u32, u64, u32)
aes_extras = st.builds(extras.AesExtra, st.sampled_from([1, 2]), st.sampled_from([1, 2, 3]), u16)


@given(locals_, short)
def test_local_header(header: spec.LocalHeader, tail: bytes) -> None:
    """A local header decodes to what was encoded, takes no byte more, and is written in one way only."""
    encoded = header.encode()
    cursor = Cursor(encoded + tail)
    assert spec.LocalHeader.decode(cursor) == header
    assert cursor.left == len(tail)
    assert len(encoded) == spec.LOCAL_SIZE + len(header.name) + len(header.extra)


@given(centrals, short)
def test_central_header(header: spec.CentralHeader, tail: bytes) -> None:
    """So with a central directory header."""
    encoded = header.encode()
    cursor = Cursor(encoded + tail)
    assert spec.CentralHeader.decode(cursor) == header
    assert cursor.left == len(tail)
    assert len(encoded) == spec.CENTRAL_SIZE + len(header.name) + len(header.extra) + len(header.comment)


@given(st.one_of(ends, locators))
def test_end_records(record: spec.EndRecord | spec.Zip64Locator) -> None:
    """So with the end record and the ZIP64 locator."""
    assert type(record).decode(record.encode()) == record
    assert len(record.encode()) == {spec.EndRecord: 22, spec.Zip64Locator: 20}[type(record)]


@given(zip64_ends)
def test_zip64_end(record: spec.Zip64EndRecord) -> None:
    """So with the ZIP64 end record."""
    assert len(record.encode()) == 56
    assert spec.Zip64EndRecord.decode(record.encode(), 0) == record


@given(aes_extras)
def test_aes_extra(record: extras.AesExtra) -> None:
    """So with the AES extra field, inside an extra field."""
    records = extras.decode_extra(extras.encode_extra(0x1234, b"other") + record.encode(), 0)
    assert extras.AesExtra.decode(records[extras.AES_ID], 0) == record
    assert record.key_bits == {1: 128, 2: 192, 3: 256}[record.strength]


def test_bytes_of_the_specification() -> None:
    """Every field stands where the specification has it; the numbers are typed from its tables."""
    local = spec.LocalHeader(51, 0x0801, 99, 0x58217000, 0x11223344, 0x55667788, 0x99AABBCC, b"name", b"extra")
    assert local.encode().hex(" ") == (
        "50 4b 03 04 33 00 01 08 63 00 00 70 21 58 44 33 22 11 88 77 66 55 cc bb aa 99 04 00 05 00 "
        + b"nameextra".hex(" ")
    )
    central = spec.CentralHeader(0x033F, 51, 1, 99, 2, 3, 4, 5, 6, 7, 0x81800010, 8, b"n", b"ex", b"com")
    assert central.encode() == (
        b"PK\x01\x02"
        + struct.pack("<HHHHIIIIHHHHHII", 0x033F, 51, 1, 99, 2, 3, 4, 5, 1, 2, 3, 6, 7, 0x81800010, 8)
        + b"nexcom"
    )
    assert (
        spec.EndRecord(1, 2, 3, 4, 5, 6, 7).encode().hex() == "504b0506" + "0100020003000400" + "05000000060000000700"
    )
    assert spec.Zip64Locator(1, 2, 3).encode().hex() == "504b0607" + "01000000" + "0200000000000000" + "03000000"
    zip64 = spec.Zip64EndRecord(1, 2, 3, 4, 5, 6, 7, 8).encode()
    assert zip64.startswith(b"PK\x06\x06" + (44).to_bytes(8, "little"))
    assert extras.AesExtra(2, 3, 8).encode().hex() == "01990700" + "0200" + "4145" + "03" + "0800"
    assert extras.encode_zip64(1, 2).hex() == "01001000" + "0100000000000000" + "0200000000000000"
    assert spec.encode_descriptor(1, 2, 3).hex() == "504b0708" + "01000000" + "0200000000000000" + "0300000000000000"
    assert extras.encode_times(datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)).hex() == "55540500" + "01" + "00ca9a3b"


@pytest.mark.parametrize("kind", [spec.LocalHeader, spec.CentralHeader])
def test_headers_that_are_none(kind: type[spec.LocalHeader | spec.CentralHeader]) -> None:
    """Any other signature, and a header that is cut off anywhere, is a FormatError at its offset."""
    if kind is spec.LocalHeader:
        encoded = spec.LocalHeader(1, 2, 3, 4, 5, 6, 7, b"name", b"extra").encode()
    else:
        encoded = spec.CentralHeader(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, b"name", b"extra", b"note").encode()
    for length in range(len(encoded)):
        with pytest.raises(FormatError):
            kind.decode(Cursor(encoded[:length]))
    for position in range(4):
        changed = bytearray(encoded)
        changed[position] ^= 1
        with pytest.raises((FormatError, UnsupportedError)) as caught:
            kind.decode(Cursor(bytes(changed), origin=1000))
        assert isinstance(caught.value, UnsupportedError) or (
            isinstance(caught.value, FormatError) and caught.value.offset == 1000
        )


def test_zip64_ends_that_are_none() -> None:
    """A ZIP64 end record with another signature, or with an extensible data sector, is a FormatError."""
    encoded = spec.Zip64EndRecord(1, 2, 3, 4, 5, 6, 7, 8).encode()
    for position in range(12):
        changed = bytearray(encoded)
        changed[position] ^= 1
        with pytest.raises(FormatError):
            spec.Zip64EndRecord.decode(bytes(changed), 0)


@pytest.mark.parametrize(
    "data",
    [
        b"", bytes(6), bytes(7), bytes(8), b"\x02\x00AE\x03\x08\x00x",
        b"\x00\x00AE\x03\x08\x00", b"\x03\x00AE\x03\x08\x00", b"\x02\x00AF\x03\x08\x00",
        b"\x02\x00AE\x00\x08\x00", b"\x02\x00AE\x04\x08\x00",
    ],
)  # fmt: skip
def test_aes_extras_that_are_none(data: bytes) -> None:
    """A length, version, vendor or strength that does not exist is a FormatError."""
    with pytest.raises(FormatError):
        extras.AesExtra.decode(data, 5)


# Extra fields


@given(st.dictionaries(u16, short, max_size=8))
def test_extra_fields(records: dict[int, bytes]) -> None:
    """An extra field splits into the records that it was made of."""
    extra = b"".join(extras.encode_extra(header_id, data) for header_id, data in records.items())
    assert extras.decode_extra(extra, 0) == records


@pytest.mark.parametrize(
    "extra", [b"x", b"xxx", b"\x01\x00\x01\x00", b"\x01\x00\x00\x00\x02", b"\x34\x12\xff\xff" + bytes(99)]
)
def test_extra_fields_that_are_none(extra: bytes) -> None:
    """Bytes that are not whole records are a FormatError."""
    with pytest.raises(FormatError):
        extras.decode_extra(extra, 0)


@pytest.mark.parametrize("header_id", [extras.ZIP64_ID, extras.AES_ID, extras.UNICODE_PATH_ID])
def test_records_that_come_twice(header_id: int) -> None:
    """A record that decides how an entry is read must not be there twice; of others the first counts."""
    with pytest.raises(FormatError):
        extras.decode_extra(extras.encode_extra(header_id, b"a") + extras.encode_extra(header_id, b"b"), 0)
    assert extras.decode_extra(extras.encode_extra(7, b"a") + extras.encode_extra(7, b"b"), 0) == {7: b"a"}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1 << 60)), min_size=3, max_size=3))
def test_zip64_values(fields: list[tuple[bool, int]]) -> None:
    """Fields that are 0xFFFFFFFF are taken from the ZIP64 record in their order, and the others stay."""
    true = [value if wide else value % spec.U32 for wide, value in fields]
    short_ = tuple(spec.U32 if wide else value for (wide, _), value in zip(fields, true, strict=True))
    wide = [value for (is_wide, _), value in zip(fields, true, strict=True) if is_wide]
    records = extras.decode_extra(extras.encode_zip64(*wide), 0) if wide else {}
    assert extras.resolve_zip64(records, short_, 0) == true


@pytest.mark.parametrize(
    ("fields", "values"),
    [((spec.U32, spec.U32), (1,)), ((5, spec.U32), (6, 7)), ((5, 6), (1,)), ((spec.U32,), (1, 2, 3, 4, 5))],
)
def test_zip64_values_that_disagree(fields: tuple[int, ...], values: tuple[int, ...]) -> None:
    """Too few values, and values that contradict the header, are a FormatError."""
    with pytest.raises(FormatError):
        extras.resolve_zip64({extras.ZIP64_ID: b"".join(value.to_bytes(8, "little") for value in values)}, fields, 0)


def test_descriptors() -> None:
    """The forms of a data descriptor are with and without signature, in 8 and, where they fit, in 4 bytes."""
    forms = spec.descriptors(1, 2, 3)
    assert sorted(map(len, forms)) == [12, 16, 20, 24]
    assert forms == sorted(forms, key=len, reverse=True)
    assert spec.encode_descriptor(1, 2, 3) in forms
    assert all((b"PK\x07\x08" in form) == (len(form) in (16, 24)) for form in forms)
    assert sorted(map(len, spec.descriptors(1, 1 << 32, 3))) == [20, 24]


# Names and times


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_utf8_names(name: str) -> None:
    """With flag bit 11 a name is UTF-8."""
    assert extras.decode_name(name.encode(), spec.UTF8, {}, 0, unix=False) == name.replace("\\", "/")
    assert extras.decode_name(name.encode(), spec.UTF8, {}, 0, unix=True) == name


def test_other_names() -> None:
    """Without it a name is CP437, unless a Unicode Path record belongs to it."""
    raw = "Zo\x89.txt".encode("latin-1")
    assert extras.decode_name(raw, 0, {}, 0, unix=False) == "Zoë.txt"
    path = struct.pack("<BI", 1, zlib.crc32(raw)) + "Zoé.txt".encode()
    assert extras.decode_name(raw, 0, {extras.UNICODE_PATH_ID: path}, 0, unix=False) == "Zoé.txt"
    assert extras.decode_name(b"other", 0, {extras.UNICODE_PATH_ID: path}, 0, unix=False) == "other"
    with pytest.raises(FormatError):
        extras.decode_name(raw, 0, {extras.UNICODE_PATH_ID: b"\x02" + path[1:]}, 0, unix=False)
    with pytest.raises(FormatError):
        extras.decode_name(b"\xff", spec.UTF8, {}, 0, unix=True)
    with pytest.raises(FormatError):
        extras.decode_name(raw, 0, {extras.UNICODE_PATH_ID: path[:5] + b"\xff"}, 0, unix=True)


seconds = st.datetimes(datetime(1980, 1, 1), datetime(2107, 12, 31, 23, 59, 59)).map(  # noqa: DTZ001
    lambda moment: moment.replace(tzinfo=UTC, microsecond=0)
)


@given(seconds)
def test_dos_times(moment: datetime) -> None:
    """A DOS time comes back in steps of two seconds."""
    assert extras.decode_time(extras.encode_dos_time(moment), {}) == moment - timedelta(seconds=moment.second % 2)


@given(seconds)
def test_extended_times(moment: datetime) -> None:
    """The extended timestamp is exact, and left out where its 32 bits end; then the DOS time counts."""
    extra = extras.encode_times(moment)
    assert bool(extra) == (moment < datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC))
    found = extras.decode_time(extras.encode_dos_time(moment), extras.decode_extra(extra, 0))
    assert found == moment if extra else abs(found - moment) < timedelta(seconds=2)


@pytest.mark.parametrize("year", [1, 1901, 1979, 2108, 9999])
def test_times_beyond(year: int) -> None:
    """Years that the DOS time cannot hold become its first or last one, without an error."""
    moment = datetime(year, 6, 15, tzinfo=UTC)
    assert extras.decode_time(extras.encode_dos_time(moment), {}).year == (1980 if year < 1980 else 2107)


@given(u32)
def test_any_dos_time(value: int) -> None:
    """Any 32 bits give a time, impossible ones 1980."""
    assert 1980 <= extras.decode_time(value, {}).year <= 2107


@given(short)
def test_any_time_records(data: bytes) -> None:
    """Timestamp records of any bytes give a time."""
    for header_id in (extras.TIME_ID, extras.NTFS_ID):
        assert extras.decode_time(0, {header_id: data}).tzinfo is UTC


def test_ntfs_times() -> None:
    """An NTFS record counts tenths of microseconds from 1601, and yields to an extended timestamp."""
    ticks = (datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC) - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    ntfs = struct.pack("<IHHQQQ", 0, 1, 24, ticks * 10, 0, 0)
    assert extras.decode_time(0, {extras.NTFS_ID: ntfs}) == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    unix = extras.encode_times(datetime(2021, 1, 1, tzinfo=UTC))[4:]
    assert extras.decode_time(0, {extras.NTFS_ID: ntfs, extras.TIME_ID: unix}).year == 2021
