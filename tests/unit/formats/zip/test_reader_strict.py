"""What the ZIP reader refuses, and what it accepts: archives made field by field."""

from __future__ import annotations

import hashlib
import io
import lzma
import stat
import struct
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import strongroom
from strongroom.errors import (
    FormatError,
    LimitError,
    StrongroomError,
    StrongroomWarning,
    TamperedError,
    UnsupportedError,
    WrongKeyError,
)
from strongroom.formats.zip import extras, spec
from strongroom.limits import MIB, Limits
from tests.helpers import noise, text
from tests.zipcraft import METHODS, PACKERS, PASSWORD, Item, aes, folder, join, lzma_zip, plain, symlink, zip64_end
from tests.zipcraft import zipcrypto as zipcrypto_item

DATA = text(600)


def open_(archive: bytes, **options: object) -> strongroom.ReadRoom:
    """Open an archive in memory, with the password that it has unless another is given."""
    return strongroom.open(io.BytesIO(archive), **{"password": PASSWORD, "threads": 1} | options)  # type: ignore[arg-type]


def read(archive: bytes, name: str = "a.txt", **options: object) -> bytes:
    """Open an archive and read one entry."""
    with open_(archive, **options) as room:
        return room.read(name)


def names(archive: bytes) -> list[str]:
    """The names of an archive that nothing else is wanted of."""
    with open_(archive, password=None) as room:
        return [entry.name for entry in room]


def refused(
    archive: bytes,
    error: type[StrongroomError] | tuple[type[StrongroomError], ...] = FormatError,
    **options: object,
) -> None:
    """Hold that an archive is refused, at the latest where its entries are read; and that `verify` knows it."""
    with pytest.raises(error):
        _read_what_verify_finds(archive, **options)


def _read_what_verify_finds(archive: bytes, **options: object) -> None:
    with open_(archive, **options) as room:
        report = room.verify()
        assert not report.ok
        for finding in report.findings:
            assert finding.entry is not None
            room.read(finding.entry)


def test_the_crafted_archive_is_sound() -> None:
    """What the tests below spoil opens as long as nothing is spoilt, under every method and key size."""
    items = [aes(f"{method}-{bits}", DATA, method, bits=bits) for method in METHODS for bits in (128, 192, 256)]
    with open_(join(*items, aes("ae-1", DATA, version=1), folder("folder"))) as room:
        assert room.verify().ok
        assert all(room.read(entry.name) == DATA for entry in room if entry.kind == "file")
        assert len(room) == 3 * len(METHODS) + 2


# The two headers


@pytest.mark.parametrize(
    "local",
    [
        {"flags": spec.ENCRYPTED},
        {"flags": spec.ENCRYPTED | spec.UTF8 | spec.STREAMED},
        {"flags": spec.UTF8},
        {"method": 8},
        {"dos_time": 0},
        {"crc": 1},
        {"packed_size": 1},
        {"size": len(DATA) - 1},
        {"size": 0},
        {"name": b"b.txt"},
        {"name": b"a.tx"},
        {"extra": b""},
        {"extra": extras.AesExtra(1, 3, 0).encode()},
        {"extra": extras.AesExtra(2, 2, 0).encode()},
        {"extra": extras.AesExtra(2, 3, 8).encode()},
        {"extra": extras.AesExtra(2, 3, 0).encode() * 2},
        {"extra": extras.AesExtra(2, 3, 0).encode() + b"\0"},
        {"extra": extras.AesExtra(2, 3, 0).encode() + extras.encode_zip64(len(DATA) + 1, 0)},
    ],
    ids=lambda local: "-".join(f"{key}={value}" for key, value in local.items()),
)
def test_local_header_differs(local: dict[str, object]) -> None:
    """A local header that differs from the central directory in anything that readers go by is refused."""
    refused(join(aes("a.txt", DATA).but(local=local)))


def test_local_header_differs_harmlessly() -> None:
    """The version, and times in the extra field, may differ: no reader goes by them."""
    item = aes("a.txt", DATA)
    assert read(join(item.but(local={"version": 20, "extra": item.extra + b"UT\5\0\1\0\0\0\0"}))) == DATA


def test_bit_3_taken_back() -> None:
    """Info-ZIP clears bit 3 in the local header alone; there is then no descriptor, and the local values count."""
    item = plain("a.txt", DATA)
    central = {"flags": item.flags | spec.STREAMED}
    assert read(join(item.but(central=central)), allow_plaintext=True) == DATA
    refused(join(item.but(central=central, local={"size": 0, "packed_size": 0})), allow_plaintext=True)


def _streamed(item: Item, descriptor: bytes) -> Item:
    flags = item.flags | spec.STREAMED
    return item.but(flags=flags, gap=descriptor, local={"crc": 0, "packed_size": 0, "size": 0})


def test_descriptors() -> None:
    """A data descriptor is found with and without signature, with 4 and with 8 bytes a size, and compared."""
    item = aes("a.txt", DATA)
    sizes = len(item.body), len(DATA)
    values = struct.pack("<III", 0, *sizes), struct.pack("<IQQ", 0, *sizes)
    for form in (signature + numbers for signature in (b"", spec.DESCRIPTOR) for numbers in values):
        assert read(join(_streamed(item, form), aes("b", b"b"))) == DATA
        for position in range(len(form)):
            wrong = bytearray(form)
            wrong[position] ^= 1
            refused(join(_streamed(item, bytes(wrong)), aes("b", b"b")))
    refused(join(_streamed(item, b"")))


# The directory


@pytest.mark.parametrize(
    "items",
    [
        (aes("a", b"1"), aes("a", b"2")),
        (aes("a", b"1"), folder("a")),
        (folder("a"), folder("a")),
        (aes("a", b"1"), aes("a/b", b"2")),
        (aes("a/b", b"1"), aes("a", b"2")),
        (aes("\xe9", b"1"), aes(unicodedata.normalize("NFD", "\xe9"), b"2")),
        (aes("a", b"1"), aes("x", b"2").but(name=b"", extra=aes("x", b"").extra), aes("-", b"3")),
    ],
    ids=["file-file", "file-folder", "folder-folder", "below-file", "file-above", "nfc-nfd", "nameless"],
)
def test_duplicate_names(items: tuple[Item, ...]) -> None:
    """Two entries of one name, or a file where a folder is, are refused when the archive is opened."""
    with pytest.raises(FormatError):
        open_(join(*items))


def test_overlapping_entries() -> None:
    """Entries that share bytes are refused: the same one twice, one inside another, and Fifield's quoted overlap."""
    a, b = aes("a.txt", DATA), aes("b.txt", DATA)
    with pytest.raises(FormatError):
        open_(join(a, b.but(offset=0)))
    inner = join(b)
    with pytest.raises(FormatError):
        open_(join(aes("a.txt", inner, packed=inner), b.but(offset=80)))
    header = spec.LocalHeader(20, 0, 0, 0, 0, 5, 5, b"b", b"").encode()
    quoting = Item(name=b"a", body=header + b"quote", size=len(header) + 5)
    with pytest.raises(FormatError):
        open_(join(quoting, Item(name=b"b", body=b"", size=5, offset=31, central={"packed_size": 5})))


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": 1 << 31},
        {"offset": spec.U32},
        {"offset": 700},
        {"central": {"packed_size": 1 << 31}},
        {"central": {"packed_size": spec.U32}},
        {"central": {"packed_size": len(DATA) + 29}, "local": {"packed_size": len(DATA) + 29}},
    ],
    ids=str,
)
def test_outside_the_file(changes: dict[str, object]) -> None:
    """An entry that begins or ends outside of the file, or inside of the directory, is refused."""
    refused(join(aes("a.txt", DATA).but(**changes)))


@pytest.mark.parametrize(
    "item",
    [
        plain("a.txt", DATA).but(size=len(DATA) + 1),
        plain("a.txt", DATA).but(size=1 << 31),
        aes("a.txt", DATA).but(size=len(DATA) - 1),
        aes("a.txt", DATA).but(size=1 << 20),
        aes("a.txt", DATA).but(body=bytes(27), size=0),
        aes("a.txt", DATA, "deflate").but(body=bytes(27)),
        zipcrypto_item("a.txt", DATA).but(body=bytes(11)),
        zipcrypto_item("a.txt", DATA).but(size=len(DATA) + 1),
        Item(name=b"a/", body=b"data", size=4),
        Item(name=b"a/", body=b"data", size=0),
        Item(name=b"a/", body=PACKERS["deflate"](b"data"), size=4, method=8),
        Item(name=b"a/", body=PACKERS["deflate"](b"data"), size=0, method=8),
        aes("a/", b"data"),
    ],
)
def test_impossible_sizes(item: Item) -> None:
    """Sizes that do not fit the method, the encryption or a folder are refused, also where both headers agree."""
    refused(join(item), legacy=True, allow_plaintext=True)


def test_folders_may_hold_an_empty_stream() -> None:
    """Archive Utility writes folders as an empty deflate stream of two bytes."""
    with open_(join(folder("a").but(body=b"\3\0", method=8))) as room:
        assert room.verify().ok
        assert room.entries[0].kind == "directory"


def test_hidden_entries() -> None:
    """An entry that only readers from the front would see is refused, at the front as in a gap."""
    a, b = aes("a.txt", DATA), aes("b.txt", b"")
    hidden = join(aes("hidden", b"!"))
    hidden = hidden[: hidden.index(spec.CENTRAL)]
    for junk in (b"", b"#", bytes(2 * MIB)):
        behind = junk + hidden
        for archive in (join(a.but(gap=behind), b), join(a, b.but(gap=behind)), join(a, prefix=behind)):
            refused(archive)
        with pytest.raises(FormatError):
            open_(behind + join())
    refused(join(a.but(gap=b"#"), b))


def test_a_type_of_unix_under_another_host() -> None:
    """A link or a folder that only the Unix type says, where the host has none, is refused: 7zz makes that link."""
    for kind in (stat.S_IFLNK, stat.S_IFDIR):
        with pytest.raises(FormatError):
            open_(join(aes("a", DATA).but(made_by=63, external=kind << 16)))
    assert read(join(aes("a.txt", DATA).but(made_by=63, external=stat.S_IFREG << 16))) == DATA


def test_a_kind_that_readers_disagree_about() -> None:
    """A file that its attributes call a folder, which other tools then make of it, is refused; so is the reverse."""
    item = aes("a.txt", DATA)
    refused(join(item.but(external=stat.S_IFDIR << 16)))
    refused(join(item.but(external=0x10, made_by=63)))
    refused(join(folder("a").but(external=(stat.S_IFREG | 0o600) << 16)))
    assert read(join(item.but(external=(stat.S_IFIFO | 0o600) << 16))) == DATA  # as Info-ZIP has what came by a pipe


@pytest.mark.parametrize("method", [method for method in METHODS if method != "store"])
def test_a_size_that_cuts_data_short(method: str) -> None:
    """A lowered size, which no authentication code covers, is an error also for who reads no further than that."""
    archive = join(aes("a.txt", DATA, method).but(size=len(DATA) - 1))
    refused(archive)
    with open_(archive) as room, pytest.raises(FormatError):
        room.open("a.txt", "rb").read()


def test_a_crc_at_the_end_of_a_long_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CRC-32 of an entry that is not held back whole is compared before its last piece is given out."""
    monkeypatch.setattr("strongroom.formats.zip.reader._WHOLE", MIB)
    data = noise(2 * MIB)
    archive = join(plain("a.txt", data).but(crc=1))
    with open_(archive, allow_plaintext=True) as room, room.open("a.txt", "rb") as file:
        assert file.read(MIB) == data[:MIB]
        with pytest.raises(FormatError):
            file.read()


def test_two_archives_in_one_file() -> None:
    """Of two archives one behind the other, some readers take the first, some the second: refused."""
    refused(join(aes("a.txt", b"first")) + join(aes("a.txt", b"second")))


def test_prepended_data() -> None:
    """An archive behind a program is read, whether its offsets count from the file's start or the archive's."""
    program = b"#!/bin/sh\nexit 0\n"
    item = aes("a.txt", DATA)
    assert read(join(item, prefix=program)) == DATA
    start = len(program) + len(join(item)) - 22 - 46 - 5 - len(item.extra)
    assert read(join(item.but(offset=len(program)), prefix=program, end={"directory_offset": start})) == DATA


@pytest.mark.parametrize("position", [0, 1, 40])
def test_second_end_record(position: int) -> None:
    """An end record inside the comment of another is refused: readers that search from the other side take it."""
    inner = join()
    comment = bytes(position) + inner
    with pytest.raises(FormatError):
        open_(join(aes("a.txt", DATA), comment=comment))
    with pytest.raises(FormatError):
        open_(join(aes("a.txt", DATA), comment=comment[:-1]))
    with pytest.raises(FormatError):
        open_(join(aes("a.txt", DATA), prefix=b"a program", comment=comment))


def test_comment() -> None:
    """An archive comment is accepted, up to its longest, and bytes behind it; a comment that is cut off is refused."""
    item = aes("a.txt", DATA)
    for comment in (b"x", b"PK", bytes(0xFFFF)):
        assert read(join(item, comment=comment)) == DATA
        refused(join(item, comment=comment)[:-1])
    assert read(join(item) + b"\n") == DATA


@pytest.mark.parametrize(
    "end",
    [
        {"disk": 1},
        {"directory_disk": 1},
        {"entries_here": 0},
        {"entries": 2},
        {"entries": 2, "entries_here": 2},
        {"entries": 0, "entries_here": 0},
        {"entries": spec.U16, "entries_here": spec.U16},
        {"directory_size": 0},
        {"directory_size": spec.U32},
        {"directory_size": 60},
        {"directory_offset": spec.U32},
        {"directory_offset": 1 << 20},
        {"directory_offset": 1},
        {"comment_length": 1},
    ],
    ids=str,
)
def test_end_record(end: dict[str, int]) -> None:
    """An end record with another count, size or place than the directory has is refused."""
    archive = join(aes("a.txt", DATA), end=end)
    multi_disk = {"disk", "directory_disk"} & set(end) or end.get("entries", 1) != end.get("entries_here", 1)
    refused(archive, UnsupportedError if multi_disk else FormatError)


def test_what_follows_the_directory() -> None:
    """Bytes between the directory and its end record are refused, a digital signature as unsupported."""
    item = aes("a.txt", DATA)
    size = spec.CENTRAL_SIZE + len(item.name) + len(item.extra)
    for record, error in (
        (spec.SIGNATURE + b"\0\0", UnsupportedError),
        (b"PK\x06\x08" + bytes(4), FormatError),  # an archive extra data record, APPNOTE 4.3.11
        (b"?", FormatError),
    ):
        refused(join(item, between=record, end={"directory_size": size + len(record)}), error)
        refused(join(item, between=record))


# ZIP64


def _zip64(item: Item, end: dict[str, int] | None = None, /, **changes: int) -> bytes:
    """An archive of one entry with a ZIP64 end record, which `changes` applies to."""
    start = len(join(item)) - 22 - 46 - len(item.name) - len(item.central.get("extra", item.extra))
    size = len(join(item)) - 22 - start
    return join(item, between=zip64_end(1, size, start, **changes), end=end)


def test_zip64_is_read() -> None:
    """ZIP64 end records and extra fields are read where they are needed, and where they are not but agree."""
    item = aes("a.txt", DATA)
    sentinels = {
        "entries": spec.U16,
        "entries_here": spec.U16,
        "directory_size": spec.U32,
        "directory_offset": spec.U32,
    }
    assert read(_zip64(item)) == DATA
    assert read(_zip64(item, sentinels)) == DATA
    sizes = len(DATA), len(item.body)
    wide = {"size": spec.U32, "packed_size": spec.U32}
    extra = extras.encode_zip64(*sizes) + item.extra
    assert read(_zip64(item.but(extra=extra, local=wide, central=wide))) == DATA
    assert read(_zip64(item.but(extra=extra))) == DATA
    everything = extras.encode_extra(extras.ZIP64_ID, struct.pack("<QQQI", *sizes, 0, 0)) + item.extra
    all_wide = wide | {"offset": spec.U32, "disk": spec.U16}
    assert read(_zip64(item.but(extra=everything, local=wide, central=all_wide))) == DATA
    only_size = extras.encode_zip64(len(DATA)) + item.extra
    assert read(_zip64(item.but(central={"extra": only_size, "size": spec.U32}))) == DATA
    with open_(b"a program" + _zip64(item, sentinels)) as room:
        assert room.read("a.txt") == DATA


@pytest.mark.parametrize(
    ("end", "changes"),
    [
        ({"entries": 2, "entries_here": 2}, {}),
        ({"directory_size": 1}, {}),
        ({"directory_offset": 1}, {}),
        ({}, {"entries": 2, "entries_here": 2}),
        ({}, {"entries": 1 << 60, "entries_here": 1 << 60}),
        ({"entries": spec.U16, "entries_here": spec.U16}, {"entries": 1 << 60, "entries_here": 1 << 60}),
        ({}, {"directory_size": 1 << 60}),
        ({}, {"directory_offset": 1 << 60}),
        ({}, {"directory_offset": 0}),
        ({}, {"locator": 1 << 60}),
        ({}, {"locator": 0}),
        ({"directory_offset": spec.U32}, {"directory_offset": 0}),
        ({"directory_size": spec.U32}, {"directory_size": 0}),
    ],
    ids=str,
)
def test_zip64_end_disagrees(end: dict[str, int], changes: dict[str, int]) -> None:
    """The end record and the ZIP64 one must agree, with each other and with the place where they stand."""
    refused(_zip64(aes("a.txt", DATA), end, **changes))


def test_zip64_end_size() -> None:
    """A ZIP64 end record of another version or with an extensible data sector, which has another size, is refused."""
    archive = _zip64(aes("a.txt", DATA))
    place = archive.index(spec.ZIP64_END) + 4
    for size in (0, 43, 45, 1 << 63):
        refused(archive[:place] + struct.pack("<Q", size) + archive[place + 8 :])


def test_zip64_disks() -> None:
    """An archive of several disks is refused also where only the ZIP64 records say so."""
    for changes in ({"disk": 1}, {"directory_disk": 1}, {"entries_here": 0}):
        refused(_zip64(aes("a.txt", DATA), None, **changes), UnsupportedError)
    refused(_zip64(aes("a.txt", DATA).but(central={"disk": 1})), UnsupportedError)


@pytest.mark.parametrize(
    "values",
    [(), (600,), (601, 628), (600, 629), (600, 628, 1), (600, 628, 0, 0), (1 << 63, 628), (600, 1 << 63)],
    ids=str,
)
def test_zip64_extra_disagrees(values: tuple[int, ...]) -> None:
    """A ZIP64 extra field with other values, too few or too many of them is refused; in either header."""
    item = aes("a.txt", DATA)
    assert (item.size, len(item.body)) == (600, 628)
    wide = {"size": spec.U32, "packed_size": spec.U32, "extra": extras.encode_zip64(*values) + item.extra}
    right = {"size": spec.U32, "packed_size": spec.U32, "extra": extras.encode_zip64(600, 628) + item.extra}
    refused(join(item.but(local=right, central=wide)), (FormatError, LimitError))
    if values != (600, 628, 1):  # an offset in a local header, where it says nothing
        refused(join(item.but(local=wide, central=right)))


def test_zip64_extra_without_need() -> None:
    """A ZIP64 extra field beside complete values must agree with them, and be one."""
    item = aes("a.txt", DATA, "deflate")
    packed = len(item.body)
    assert read(join(item.but(extra=item.extra + extras.encode_zip64(600, packed)))) == DATA
    refused(join(item.but(size=599, extra=item.extra + extras.encode_zip64(600, packed))))
    refused(join(item.but(extra=item.extra + extras.encode_extra(extras.ZIP64_ID, b"abc"))))


# Downgrades


def test_smuggled_plaintext(tmp_path: Path) -> None:
    """An unencrypted file or link in an encrypted archive is refused, and nothing is extracted beside it."""
    for item in (plain("b.txt", b"evil"), plain("b.txt", b"evil", "deflate"), symlink(plain("b.txt", b"/etc/passwd"))):
        archive = join(aes("a.txt", DATA), item)
        with open_(archive) as room:
            assert room.read("a.txt") == DATA
            assert [finding.entry for finding in room.verify().findings] == ["b.txt"]
            with pytest.raises(UnsupportedError):
                room.read("b.txt")
            with pytest.raises(UnsupportedError):
                room.open("b.txt", "rb")
            with pytest.raises(UnsupportedError):
                room.extract(tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert read(archive, "b.txt", allow_plaintext=True) in (b"evil", b"/etc/passwd")


def test_smuggled_zipcrypto() -> None:
    """An entry under ZipCrypto in an archive under AES is refused unless `legacy` asks for it."""
    archive = join(aes("a.txt", DATA), zipcrypto_item("b.txt", b"evil"))
    refused(archive, UnsupportedError)
    assert read(archive, "b.txt", legacy=True) == b"evil"
    refused(archive, UnsupportedError, allow_plaintext=True)


def test_zipcrypto_passwords() -> None:
    """ZipCrypto: a wrong password is told by the check byte, or by the CRC where that fits by chance."""
    archive = join(zipcrypto_item("a.txt", DATA, "deflate"))
    assert read(archive, legacy=True) == DATA
    kinds = set()
    for number in range(600):
        with pytest.raises((WrongKeyError, TamperedError, FormatError)) as caught:
            read(archive, legacy=True, password=f"wrong {number}")
        kinds.add(caught.type)
    assert WrongKeyError in kinds


def test_encryption_flag_removed() -> None:
    """An AES entry whose encryption flag was cleared in both headers is refused, not handed out as it is."""
    item = aes("a.txt", DATA)
    refused(join(item.but(flags=spec.UTF8)), allow_plaintext=True)
    refused(join(item.but(flags=spec.UTF8, method=0, size=len(item.body))), UnsupportedError)


def test_method_changed() -> None:
    """Kohno's attack, the first half: another method alone, or another size alone, is refused."""
    packed = aes("a.txt", DATA, "deflate")
    for number in (0, 12, 14, 93, 95, 98):
        refused(join(packed.but(extra=extras.AesExtra(2, 3, number).encode())))
    for method in METHODS:
        item = aes("a.txt", DATA, method)
        for size in (0, 1, len(DATA) - 1, len(DATA) + 1, 2 * len(DATA)):
            refused(join(item.but(size=size)))
    unmarked = aes("a.txt", DATA, "lzma", packed=lzma_zip(DATA, end_mark=False))
    unmarked = unmarked.but(flags=unmarked.flags & ~spec.LZMA_END_MARK)
    assert read(join(unmarked)) == DATA
    for size in (0, 1, len(DATA) - 1, len(DATA) + 1, 2 * len(DATA)):
        refused(join(unmarked.but(size=size)))


def test_method_and_size_changed() -> None:
    """Kohno's attack whole: AE-2 authenticates neither, so changed together they give the packed bytes.

    A listed limit of the format, and the reason for the manifest.
    """
    packed = PACKERS["deflate"](DATA)
    item = aes("a.txt", DATA, "deflate")
    assert read(join(item.but(size=len(packed), extra=extras.AesExtra(2, 3, 0).encode()))) == packed


def test_ae1_checks_its_crc() -> None:
    """AE-1 has a CRC-32 of the plaintext beside the authentication code, and a wrong one is refused."""
    item = aes("a.txt", DATA, "deflate", version=1)
    assert read(join(item)) == DATA
    refused(join(item.but(crc=item.crc ^ 1)), TamperedError)


def test_ae2_downgraded() -> None:
    """AE-2 that is made AE-1 to learn the CRC of the plaintext is refused."""
    item = aes("a.txt", DATA)
    refused(join(item.but(extra=extras.AesExtra(1, 3, 0).encode())), TamperedError)


def test_empty_entries_are_authenticated() -> None:
    """The authentication code of an entry without data is checked as well."""
    item = aes("a.txt", b"")
    assert read(join(item)) == b""
    refused(join(item.but(body=item.body[:-1] + b"\xff")), TamperedError)


@pytest.mark.parametrize("extra", [b"AE\3\0\0", b"XX\3\0\0", b"AE\0\0\0", b"AE\4\0\0"], ids=repr)
@pytest.mark.parametrize("version", [0, 3])
def test_aes_extra(extra: bytes, version: int) -> None:
    """An AES extra field with a vendor, version or strength that does not exist, or of another length, is refused."""
    record = extras.encode_extra(extras.AES_ID, struct.pack("<H", version) + extra)
    refused(join(aes("a.txt", DATA).but(extra=record)))
    refused(
        join(aes("a.txt", DATA).but(extra=extras.encode_extra(extras.AES_ID, struct.pack("<H", 2) + extra + b"\0")))
    )
    refused(join(aes("a.txt", DATA).but(extra=b"")))


def test_strong_encryption() -> None:
    """PKWARE's strong encryption, and a masked directory, are refused as unsupported."""
    item = aes("a.txt", DATA)
    refused(join(item.but(flags=item.flags | spec.STRONG)), UnsupportedError)
    refused(join(item.but(flags=item.flags | spec.PATCH_DATA)), UnsupportedError)
    refused(join(item.but(flags=item.flags | spec.MASKED)), UnsupportedError)
    refused(join(item.but(extra=extras.AesExtra(2, 3, 97).encode())), UnsupportedError)


def test_long_password_has_a_twin() -> None:
    """The SHA-1 digest of a password of more than 64 bytes opens the archive as well: HMAC's doing, and documented."""
    long = "long enough " * 6
    twin = hashlib.sha1(long.encode()).digest()  # noqa: S324 - HMAC's
    archive = join(aes("a.txt", DATA, password=long))
    assert len(twin) == 20
    assert read(archive, password=long) == DATA
    assert read(archive, password=twin) == DATA


def test_wrong_password() -> None:
    """A wrong password is told when the archive is opened; without one the names are listed, and nothing is read."""
    archive = join(aes("a.txt", DATA))
    with pytest.raises(WrongKeyError):
        open_(archive, password="another")
    assert names(archive) == ["a.txt"]
    with pytest.raises(WrongKeyError):
        read(archive, password=None)


# Streams that are longer or shorter than they say


def _spoilt(packed: bytes, empty: bytes = b"") -> Iterator[tuple[str, bytes]]:
    if empty:
        yield "an empty stream more", packed + empty
    yield "a byte more", packed + b"\0"
    yield "many bytes more", packed + noise(5000)
    yield "the same again", packed + packed
    yield "a byte less", packed[:-1]
    yield "half of it", packed[: len(packed) // 2]
    yield "nothing", b""


@pytest.mark.parametrize("method", METHODS)
def test_streams_end_where_they_say(method: str) -> None:
    """Authenticated data that its method does not use up exactly, or that ends too early, is refused."""
    empty = b"" if method == "zstd" else PACKERS[method](b"")  # Zstandard alone has frames: RFC 8878, 3
    for what, packed in _spoilt(PACKERS[method](DATA), empty):
        with pytest.raises(FormatError):
            print(what, read(join(aes("a.txt", DATA, method, packed=packed))))


def test_lzma_ends_where_it_says() -> None:
    """The same for LZMA without an end mark, and with one that its flag does not announce."""
    packed = lzma_zip(DATA, end_mark=False)
    for what, spoilt in _spoilt(packed):
        item = aes("a.txt", DATA, "lzma", packed=spoilt)
        with pytest.raises(FormatError):
            print(what, read(join(item.but(flags=item.flags & ~spec.LZMA_END_MARK))))
    item = aes("a.txt", DATA, "lzma", packed=packed)
    with pytest.raises(FormatError):
        read(join(item))
    item = aes("a.txt", DATA, "lzma")
    assert read(join(item.but(flags=item.flags & ~spec.LZMA_END_MARK))) == DATA


@pytest.mark.parametrize("method", METHODS)
def test_damaged_streams(method: str) -> None:
    """Data that a decoder cannot read is a `FormatError`, whichever library finds out; unencrypted, a CRC watches."""
    item = plain("a.txt", DATA, method)
    errors = 0
    for position in range(len(item.body)):
        spoilt = bytearray(item.body)
        spoilt[position] ^= 0x55
        try:
            assert read(join(item.but(body=bytes(spoilt))), allow_plaintext=True) == DATA
        except (FormatError, LimitError):
            errors += 1
    assert errors > 0.9 * len(item.body)  # the rest is versions, reserved bits, and what fills up the last byte


@pytest.mark.parametrize(
    ("method", "front"),
    [
        ("lzma", b"\t\4\6\0"),
        ("lzma", b"\t\4\0\0"),
        ("lzma", b"\t\4\5\0\xff"),
        ("ppmd", b"\0\0"),
        ("ppmd", b"\5\x20"),
        ("ppmd", b"\5\xf0"),
    ],
)
def test_parameters_out_of_range(method: str, front: bytes) -> None:
    """Parameters of LZMA and PPMd that do not exist are refused."""
    packed = PACKERS[method](DATA)
    with pytest.raises(FormatError):
        read(join(aes("a.txt", DATA, method, packed=front + packed[len(front) :])))


@pytest.mark.parametrize(("method", "library"), [("deflate64", "inflate64"), ("ppmd", "pyppmd")])
def test_without_the_extra(method: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without strongroom[codecs] its methods are refused as unsupported, and the others are read."""
    archive = join(aes("a.txt", DATA, method), aes("b.txt", DATA, "deflate"))
    monkeypatch.setitem(sys.modules, library, None)
    assert read(archive, "b.txt") == DATA
    with pytest.raises(UnsupportedError):
        read(archive)


# Bombs


def test_ratio_limit() -> None:
    """An entry that would unpack to more than 1,100 times its size is refused when the archive is opened."""
    item = aes("a.txt", bytes(65 * MIB), "zstd")
    assert len(item.body) < 65 * MIB // 1100
    with pytest.raises(LimitError):
        open_(join(item))
    with open_(join(item), limits=Limits(ratio=1 << 20)) as room:
        assert room.verify().ok


@pytest.mark.parametrize("method", [method for method in METHODS if method != "store"])
def test_declared_size_is_a_lie(method: str) -> None:
    """A bomb that declares a small size costs no more than that: the decoder is not asked for more."""
    with pytest.raises(FormatError):
        read(join(aes("a.txt", bytes(4 * MIB), method).but(size=1000)))


def test_total_size_limit(tmp_path: Path) -> None:
    """What is extracted at once is bounded by `total_size`, what is read at once by `memory_size`; streams are not."""
    archive = join(*(aes(name, DATA) for name in "abc"))
    with open_(archive, limits=Limits(total_size=len(DATA), memory_size=len(DATA))) as room:
        assert room.read("a") == DATA
        with pytest.raises(LimitError):
            room.extract(tmp_path / "out")
    with open_(archive, limits=Limits(memory_size=len(DATA) - 1)) as room:
        with pytest.raises(LimitError):
            room.read("a")
        with room.open("a", "rb") as file:
            assert file.read(10) + file.read(len(DATA) - 10) == DATA


def test_deep_names() -> None:
    """A name that would make thousands of folders is refused, and folders that names imply count as entries."""
    with pytest.raises(FormatError):
        open_(join(aes("a/" * 1000 + "x", b"")))
    deep = join(*(aes(f"{name}/" * 100 + "x", b"") for name in "abc"))
    assert len(open_(deep, limits=Limits(entries=303))) == 3
    with pytest.raises(LimitError):
        open_(deep, limits=Limits(entries=302))


def test_many_small_bombs() -> None:
    """Entries that are each too small to be a bomb are one together."""
    archive = join(*(aes(f"{number}", bytes(16 * MIB), "bzip2") for number in range(5)))
    with pytest.raises(LimitError):
        open_(archive)


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nb", "a\x7f", "\x85"])
def test_control_characters(name: str) -> None:
    """Names with control characters are refused: a terminal would obey them."""
    with pytest.raises(FormatError):
        open_(join(aes(name, b"")))


@pytest.mark.parametrize(
    "limits",
    [Limits(entries=2), Limits(header_size=100), Limits(name_length=4)],
    ids=["entries", "header_size", "name_length"],
)
def test_directory_limits(limits: Limits) -> None:
    """Too many entries, too large a directory or too long a name is refused when the archive is opened."""
    archive = join(*(aes(f"{name}.txt", b"") for name in "abc"))
    with open_(archive) as room:
        assert len(room) == 3
    with pytest.raises(LimitError):
        open_(archive, limits=limits)


@pytest.mark.parametrize("method", ["lzma", "xz", "zstd", "ppmd"])
def test_dictionary_limit(method: str) -> None:
    """A window above `dictionary` is refused before it is allocated, with the limit's own error."""
    data = text(3 * MIB)
    packed = {
        "lzma": lambda: lzma_zip(data, dictionary=8 * MIB),
        "xz": lambda: lzma.compress(data, preset=6),
        "zstd": lambda: PACKERS["zstd"](data),
        "ppmd": lambda: PACKERS["ppmd"](DATA),
    }[method]()
    item = aes("a.txt", DATA if method == "ppmd" else data, method, packed=packed)
    assert len(read(join(item))) == item.size
    with pytest.raises(LimitError):
        read(join(item), limits=Limits(dictionary=MIB // 2))


def test_huge_window() -> None:
    """A window of 2 GiB in an entry of a few bytes: Zstandard and PPMd refuse it, LZMA needs no more than the entry."""
    frame = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\1\0\0"  # RFC 8878, 3.1.1: window of 2 GiB, an empty last block
    with pytest.raises(LimitError):
        read(join(aes("a.txt", b"x", "zstd", packed=frame)))
    packed = PACKERS["ppmd"](DATA)
    with pytest.raises(LimitError):
        read(join(aes("a.txt", DATA, "ppmd", packed=b"\xf7\x0f" + packed[2:])), limits=Limits(dictionary=64 * MIB))
    packed = lzma_zip(DATA)
    packed = packed[:5] + struct.pack("<I", spec.U32) + packed[9:]
    assert read(join(aes("a.txt", DATA, "lzma", packed=packed))) == DATA


def test_file_changes_while_it_is_read(tmp_path: Path) -> None:
    """What changes between the check and the reading of a long entry is noticed before it is given out."""
    path = tmp_path / "long.zip"
    path.write_bytes(join(aes("a.txt", noise(20 * MIB), "store")))
    with strongroom.open(path, password=PASSWORD, threads=1) as room:
        chunks = room.chunks("a.txt")
        assert next(chunks)[:8] == noise(20 * MIB)[:8]
        with path.open("r+b") as file:
            file.seek(-MIB, 2)
            file.write(b"evil")
        pieces: list[int] = []
        with pytest.raises(TamperedError):
            pieces.extend(map(len, chunks))
        assert sum(pieces) < 20 * MIB


# Names


@pytest.mark.parametrize(
    "name",
    [
        "../a",
        "a/../b",
        "..",
        "/a",
        "//a",
        "C:/a",
        "c:a",
        "a\0b",
        "a//b",
        "./a",
        "a/.",
        "..\\a",
        "\\a",
        "C:\\a",
        "a\\..\\b",
    ],
)
def test_unsafe_names(name: str) -> None:
    """Names that could lead out of the folder, on any system, are refused when the archive is opened."""
    for item in (aes(name, DATA), aes(name, DATA).but(flags=spec.ENCRYPTED), folder(name)):
        with pytest.raises(FormatError):
            open_(join(item))


def test_backslashes() -> None:
    """The backslashes of DOS writers separate folders; in a name of Unix nobody knows what they are."""
    items = aes("a\\b.txt", b""), folder("c\\d")
    assert names(join(*(item.but(made_by=63, external=0) for item in items))) == ["a/b.txt", "c/d"]
    for item in items:
        with pytest.raises(FormatError):
            names(join(item))


def test_cp437() -> None:
    """Names without the UTF-8 flag are CP437, or UTF-8 of Unix; with it, what is not UTF-8 is refused."""
    item = aes("x", DATA).but(name=b"\x81ber", flags=spec.ENCRYPTED)
    assert names(join(item)) == ["\xfcber"]
    utf8 = item.but(name="\xfcber".encode())
    assert names(join(utf8)) == ["\xfcber"], "Archive Utility"
    assert names(join(utf8.but(made_by=63, external=0))) == ["\u251c\u255dber"]
    refused(join(item.but(flags=spec.ENCRYPTED | spec.UTF8)))


def _unicode_path(raw: bytes, path: bytes, *, version: int = 1, crc: int | None = None) -> bytes:
    data = struct.pack("<BI", version, zlib.crc32(raw) if crc is None else crc) + path
    return extras.encode_extra(extras.UNICODE_PATH_ID, data)


def test_unicode_path() -> None:
    """The Unicode Path record names an entry where it belongs to the name beside it, and is ignored elsewhere."""
    plain_flags = aes("x", b"").but(name=b"?.txt", flags=spec.ENCRYPTED)
    path = "\u0436.txt".encode()

    def named(extra: bytes) -> list[str]:
        return names(join(plain_flags.but(extra=plain_flags.extra + extra)))

    assert named(_unicode_path(b"?.txt", path)) == ["\u0436.txt"]
    assert named(_unicode_path(b"other", path)) == ["?.txt"]
    for extra in (
        _unicode_path(b"?.txt", path, version=2),  # which 7zz takes all the same
        _unicode_path(b"?.txt", b""),
        _unicode_path(b"?.txt", b"\xff"),
        _unicode_path(b"?.txt", b"../evil"),
        _unicode_path(b"?.txt", path) * 2,
    ):
        with pytest.raises(FormatError):
            named(extra)


def test_unicode_path_disagrees() -> None:
    """Two names for one entry are refused: UTF-8 beside another Unicode Path, or different ones in the two headers."""
    item = aes("a.txt", DATA)
    same, other = (_unicode_path(b"a.txt", path) for path in (b"a.txt", b"b.txt"))
    assert read(join(item.but(extra=item.extra + same))) == DATA
    refused(join(item.but(extra=item.extra + other)))
    old = item.but(flags=spec.ENCRYPTED)
    third = _unicode_path(b"a.txt", b"c.txt")
    assert read(join(old.but(extra=item.extra + other)), "b.txt") == DATA
    refused(join(old.but(local={"extra": item.extra + third}, central={"extra": item.extra + other})))
    refused(join(old.but(local={"extra": item.extra + third})))


def test_nameless_entry() -> None:
    """An entry without a name, as 7-Zip makes one of what it reads from a pipe, goes under Info-ZIP's word for that."""
    assert read(join(aes("x", DATA).but(name=b"")), "-") == DATA


def test_times() -> None:
    """An entry's time is its extended timestamp's, else NTFS's, else DOS's; impossible ones are 1980."""
    item = aes("a.txt", b"")
    unix = extras.encode_extra(extras.TIME_ID, struct.pack("<Bi", 1, 1_600_000_000))
    ntfs = extras.encode_extra(extras.NTFS_ID, struct.pack("<4xHHQ16x", 1, 24, 133_000_000_000_000_000))
    expected = datetime.fromtimestamp(1_600_000_000, UTC), datetime(2022, 6, 18, 4, 26, 40, tzinfo=UTC)
    for extra, moment in ((unix + ntfs, expected[0]), (ntfs + unix, expected[0]), (ntfs, expected[1])):
        with open_(join(item.but(extra=item.extra + extra))) as room:
            assert room.entries[0].modified == moment
    for dos, moment in ((0, datetime(1980, 1, 1, tzinfo=UTC)), (0x5A21_6000, datetime(2025, 1, 1, 12, tzinfo=UTC))):
        both = {"dos_time": dos}
        with open_(join(item.but(local=both, central=both))) as room:
            assert room.entries[0].modified == moment


# Symlinks


def test_symlinks_are_reported(tmp_path: Path) -> None:
    """A symlink entry is reported as one, gives its target as data, and is neither made nor followed."""
    items = (
        symlink(aes("link", b"..")),
        symlink(aes("absolute", b"/etc")),
        aes("a.txt", DATA),
    )
    with open_(join(*items)) as room:
        assert [entry.kind for entry in room] == ["symlink", "symlink", "file"]
        assert room.read("link") == b".."
        with pytest.warns(StrongroomWarning) as warned:
            room.extract(tmp_path / "out")
        assert len(warned) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.txt"]
    with pytest.raises(FormatError):
        open_(join(*items, aes("link/evil", b"!")))


def test_symlinks_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    """A link that stands in the folder already is not entered."""
    (tmp_path / "out").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "outside")
    with open_(join(aes("link/evil", b"!"))) as room, pytest.raises(strongroom.OutputError):
        room.extract(tmp_path / "out")
    assert not list((tmp_path / "outside").iterdir())


# Every byte

SMALL = {"a.csv": text(300), "b": b"12", "empty": b""}
LONG = {"long.csv": text(MIB + 100)}


class Pipe(io.BytesIO):
    """Takes bytes, and cannot seek."""

    def seekable(self) -> bool:
        """As a pipe would."""
        return False


def _sealed(data: dict[str, bytes], *, seekable: bool) -> bytes:
    """What strongroom writes, with a folder, into a file or into a pipe."""
    file = io.BytesIO() if seekable else Pipe()
    with strongroom.create(file, password=PASSWORD, format="zip") as room:
        for name, value in data.items():
            room.write(name, value)
        room.mkdir("folder")
    return file.getvalue()


_BOTH = [("version", 2), ("flags", 2), ("method", 2), ("time", 4), ("crc", 4), ("packed size", 4), ("size", 4)]
_LOCAL = [("signature", 4), *_BOTH, ("length", 4)]
_CENTRAL = [("signature", 4), ("made by", 2), *_BOTH, ("length", 6), ("disk", 2), ("internal", 2), ("external", 4)]
_EXTRA = {extras.ZIP64_ID: "ZIP64", extras.AES_ID: "AES", extras.TIME_ID: "timestamp", extras.MANIFEST_ID: "manifest"}


def _fields(archive: bytes, room: strongroom.ReadRoom) -> dict[int, str]:
    """Name the field that each byte of the headers and end records belongs to; the bytes of data have no name."""
    found: dict[int, str] = {}

    def take(start: int, record: str, layout: list[tuple[str, int]]) -> int:
        for name, length in layout:
            found.update(dict.fromkeys(range(start, start + length), f"{record} {name}"))
            start += length
        return start

    records = room._reader._directory.records  # type: ignore[attr-defined]
    place = records[-1].limit
    for record in records:
        name = [("name", len(record.header.name))]
        extra = _extra_layout(record.header.extra)
        place = take(place, "central", [*_CENTRAL, ("offset", 4), *name, *extra])
        end = take(record.offset, "local", [*_LOCAL, *name])
        extra = _extra_layout(archive[end : end + int.from_bytes(archive[record.offset + 28 :][:2], "little")])
        end = take(end, "local", extra) + record.entry.packed_size
        take(end, "descriptor", [("byte", record.limit - end)])
    take(place, "end", [("record", len(archive) - place)])
    return found


def _extra_layout(extra: bytes) -> list[tuple[str, int]]:
    layout: list[tuple[str, int]] = []
    while extra:
        header_id, length = struct.unpack_from("<HH", extra)
        layout += [(f"{_EXTRA[header_id]} header", 4), (f"{_EXTRA[header_id]} record", length)]
        extra = extra[4 + length :]
    return layout


UNAUTHENTICATED = {
    "local version",  # says nothing that readers go by
    "local timestamp header",
    "local timestamp record",
    "central made by",
    "central version",
    "central flags",  # of those, bit 3 alone
    "central internal",
    "central external",  # the mode: whether it is a symlink, too
    "central timestamp header",
    "central timestamp record",
    "central manifest header",
    "central manifest record",
}
"""What WinZip AES leaves open, and no second place contradicts: modes and dates may change, data and names not."""


def _outcome(archive: bytes, manifest: str = "auto") -> dict[str, bytes] | None:
    """The data of all entries, or None for an error of ours; anything else escapes."""
    try:
        with open_(archive, manifest=manifest, limits=Limits(kdf_work=1000)) as room:
            data = {entry.name: room.read(entry.name) for entry in room}
            assert room.verify().ok
    except StrongroomError:
        return None
    return data


@pytest.mark.parametrize("data", [SMALL, LONG], ids=["small", "long"])
@pytest.mark.parametrize("seekable", [True, False], ids=["file", "pipe"])
@pytest.mark.parametrize("manifest", ["auto", "ignore"])
@pytest.mark.filterwarnings("ignore::strongroom.StrongroomWarning")
@pytest.mark.usefixtures("_few_rounds")
def test_every_flip(data: dict[str, bytes], manifest: str, *, seekable: bool) -> None:
    """A change of any byte is refused: with the manifest, none goes unnoticed.

    Where that is ignored, a change leaves names and data as they were, and where that is, is a closed list. Of a long
    entry's ciphertext only some bytes are tried.
    """
    archive = _sealed(data, seekable=seekable)
    expected = data | {"folder": b""}
    assert _outcome(archive, manifest) == expected
    with open_(archive) as room:
        fields = _fields(archive, room)
    inside = [position for position in range(len(archive)) if position not in fields]
    unnoticed = set()
    for position in [*fields, *inside[:: len(inside) // 600 + 1], *inside[:18], *inside[-10:]]:
        for change in (0x01, 0x08, 0x80, 0xFF) if position in fields else (0x01, 0xFF):
            flipped = bytearray(archive)
            flipped[position] ^= change
            outcome = _outcome(bytes(flipped), manifest)
            if outcome is not None:
                assert outcome == expected, fields.get(position)
                unnoticed.add(fields.get(position, "data"))
    assert unnoticed == (UNAUTHENTICATED if manifest == "ignore" else set())


@pytest.fixture
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests that cost little."""
    monkeypatch.setattr("strongroom.manifest.keys.ROUNDS", 2)


@pytest.mark.usefixtures("_few_rounds")
def test_every_cut() -> None:
    """An archive that was cut off anywhere, at its end or its start, is refused."""
    archive = _sealed(SMALL, seekable=True)
    for length in range(len(archive)):
        assert _outcome(archive[:length]) is None
        assert _outcome(archive[length + 1 :]) is None


@pytest.mark.usefixtures("_few_rounds")
def test_every_byte_lost_or_gained() -> None:
    """So is one that lost or gained a byte inside."""
    archive = _sealed(SMALL, seekable=True)
    for position in range(1, len(archive)):
        assert _outcome(archive[: position - 1] + archive[position:]) is None
        assert _outcome(archive[:position] + b"\xaa" + archive[position:]) is None
