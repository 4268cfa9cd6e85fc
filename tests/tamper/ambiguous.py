"""ZIP files that two readers read in two ways, of the 14 types that ZipDiff found.

You et al., "My ZIP isn't your ZIP: Identifying and Exploiting Semantic Gaps Between ZIP Parsers", USENIX Security 2025:
A is redundant metadata, B is how paths are treated, C is where the structures stand. Each archive is made twice, once
with files that are not encrypted and once under AES, since a reader could be strict with one and not with the other.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import islice, product
from typing import Final, NamedTuple

from strongroom.formats.zip import extras, spec
from tests import zipcraft
from tests.zipcraft import Item, join, zip64_end

Make = Callable[..., Item]
DATA: Final = b"some data, " * 8
_DOS, _UNIX, _OSX = 63, 3 << 8 | 63, 19 << 8 | 63
_BAD_NAMES: Final = [byte for byte in range(256) if not (chr(byte).isascii() and chr(byte).isalnum())]


class Case(NamedTuple):
    """An archive: its type, what is odd about it."""

    kind: str
    label: str
    archive: bytes


def cases(make: Make, kind: str, step: int) -> Iterator[Case]:
    """The archives of a type, whose entries `make` makes; of the two types that have thousands every `step`th."""
    build = TYPES[kind]
    found = build(make, step) if kind in (_SIZES, _CHARACTERS) else build(make)
    for label, archive in found:
        yield Case(kind, label, archive)


Cases = Iterator[tuple[str, bytes]]


def _header(item: Item, offset: int, **changes: object) -> bytes:
    """The central directory header that belongs to an item."""
    archive = join(item.but(offset=offset, central=changes))
    place = archive.rindex(spec.CENTRAL)
    return archive[place : archive.rindex(spec.END)]


def _local(item: Item) -> bytes:
    """The item as it stands in an archive, without its directory."""
    archive = join(item)
    return archive[: archive.rindex(spec.CENTRAL)]


def _end(count: int, size: int, start: int, **changes: int) -> bytes:
    """An end record."""
    return spec.EndRecord(0, 0, count, count, size, start)._replace(**changes).encode()


def _path(name: str, of: bytes, version: int = 1, crc: int | None = None) -> bytes:
    """A Unicode Path record. APPNOTE 4.6.9."""
    data = struct.pack("<BI", version, zlib.crc32(of) if crc is None else crc) + name.encode()
    return extras.encode_extra(extras.UNICODE_PATH_ID, data)


# Group A: redundant metadata


def _method(make: Make) -> Cases:
    item = make("a", DATA, "deflate")
    if item.method == spec.AES_METHOD:
        other = item.extra.replace(extras.AesExtra(2, 3, 8).encode(), extras.AesExtra(2, 3, 0).encode())
        assert other != item.extra
        changes = [{"extra": other}, {"extra": other, "size": len(item.body) - 28}, {"method": 0}, {"method": 8}]
    else:
        changes = [{"method": 0}, {"method": 0, "packed_size": item.size}, {"method": 0, "size": len(item.body)}]
    for change in changes:
        yield f"local {sorted(change)}", join(item.but(local=change))
        yield f"central {sorted(change)}", join(item.but(central=change))
        if "size" in change:  # agreeing headers of which both are wrong are Kohno's attack, and no ambiguity
            yield f"central {sorted(change)}, CRC-32", join(item.but(central=change | {"crc": zlib.crc32(item.body)}))


def _sizes(make: Make, step: int) -> Cases:
    """Every combination of sizes that are 0 in either header or in the descriptor, and that stand in ZIP64 fields."""
    every = product((False, True), range(16), range(4), range(4), (*range(8), None))
    for deflated, zeros, wide_local, wide_central, descriptor in islice(every, 0, None, step):
        item = make("a", DATA, "deflate" if deflated else "store")
        sizes = [len(item.body), item.size]
        local = [0 if zeros & 1 << bit else sizes[bit] for bit in range(2)]
        central = [0 if zeros & 4 << bit else sizes[bit] for bit in range(2)]
        if descriptor is not None:
            shown = [0 if descriptor & 1 << bit else sizes[bit] for bit in range(2)]
            form = "<IQQ" if descriptor & 4 else "<III"
            gap = spec.DESCRIPTOR + struct.pack(form, item.crc, *shown)
            item = item.but(flags=item.flags | spec.STREAMED, gap=gap)
        item = item.but(local=_wide(item, local, wide_local), central=_wide(item, central, wide_central))
        yield f"{deflated=} {zeros=:04b} {wide_local=:02b} {wide_central=:02b} {descriptor=}", join(item)
    item = make("a", DATA)
    extra = item.extra + extras.encode_zip64(item.size, len(item.body)) + extras.encode_zip64(0, 0)
    full = {"size": spec.U32, "packed_size": spec.U32, "extra": extra}
    yield "two ZIP64 fields", join(item.but(local=full, central=full))


def _wide(item: Item, sizes: list[int], which: int) -> dict[str, object]:
    """Fields of a header whose sizes stand in a ZIP64 field where `which` says so."""
    values = [sizes[bit] for bit in (1, 0) if which & 1 << bit]
    packed_size, size = (spec.U32 if which & 1 << bit else sizes[bit] for bit in range(2))
    extra = extras.encode_zip64(*values) if values else b""
    return {"packed_size": packed_size, "size": size, "extra": item.extra + extra}


def _names(make: Make) -> Cases:
    item = make("name", DATA)
    old = item.but(flags=item.flags & ~spec.UTF8)
    yield "another in the local header", join(item.but(local={"name": b"else"}))
    for label, one in (("", old), (" beside UTF-8", item)):
        right, wrong = _path("path", b"name"), _path("other", b"name")

        def both(*records: bytes, of: Item = one) -> bytes:
            return join(of.but(extra=of.extra + b"".join(records)))

        yield f"Unicode Path{label}", both(right)
        yield f"the same Unicode Path{label}", both(_path("name", b"name"))
        yield (
            f"Unicode Paths of the headers differ{label}",
            join(one.but(local={"extra": one.extra + wrong}, central={"extra": one.extra + right})),
        )
        yield f"Unicode Path in the directory alone{label}", join(one.but(central={"extra": one.extra + right}))
        yield f"Unicode Path in the local header alone{label}", join(one.but(local={"extra": one.extra + right}))
        for version in (0, 2):
            yield f"Unicode Path of version {version}{label}", both(_path("path", b"name", version))
        yield f"Unicode Path with another CRC-32{label}", both(_path("path", b"name", crc=0))
        yield f"two Unicode Paths{label}", both(right, wrong)
        yield f"two Unicode Paths, one of the other{label}", both(right, _path("other", b"path"))
        yield f"two Unicode Paths, the second not valid{label}", both(right, _path("other", b"name", 2, 0))
        yield f"two Unicode Paths, the first not valid{label}", both(_path("other", b"name", 2, 0), right)
        yield f"a Unicode Path of nothing{label}", both(_path("", b"name"))
        yield f"a Unicode Path that leads out{label}", both(_path("../path", b"name"))
        yield f"a Unicode Path of a folder{label}", both(_path("path/", b"name"))


def _kinds(make: Make) -> Cases:
    for name, data in (("a/", DATA), ("a\\", DATA), ("a/", b""), ("a\\", b"")):
        for host in (_DOS, _UNIX):
            item = make(name, data)
            yield f"{name!r} of {len(data)} bytes, host {host >> 8}", join(item.but(made_by=host, external=0))
    for external, host in product((0x10, 0o040000 << 16, 0o120777 << 16, 0o060000 << 16), (_DOS, _UNIX, _OSX)):
        item = make("a", DATA).but(made_by=host, external=external)
        yield f"attributes {external:08x}, host {host >> 8}", join(item)
        yield (
            f"attributes {external:08x}, host {host >> 8}, empty",
            join(make("a", b"").but(made_by=host, external=external)),
        )


def _encrypted(make: Make) -> Cases:
    item = make("a", DATA)
    flags = item.flags ^ spec.ENCRYPTED
    yield "flag in the local header", join(item.but(local={"flags": flags}))
    yield "flag in the directory", join(item.but(central={"flags": flags}))
    yield "both flags", join(item.but(flags=flags))
    yield "flag of the first of two", join(item.but(local={"flags": flags}), make("b", DATA))
    yield "a plain one beside it", join(item, zipcraft.plain("b", DATA), zipcraft.aes("c", DATA))
    yield "ZipCrypto in the local header", join(zipcraft.zipcrypto("a", DATA).but(local={"flags": spec.UTF8}))


# Group B: how paths are treated


def _duplicates(make: Make) -> Cases:
    yield "the same twice", join(make("a", b"1"), make("a", b"2"))
    yield "a file and a folder", join(make("a", b"1"), zipcraft.folder("a"))
    yield "a file and one below it", join(make("a", b"1"), make("a/b", b"2"))
    yield "composed and not", join(make("\u00e9", b"1"), make("e\u0301", b"2"))


def _characters(make: Make, step: int) -> Cases:
    def named(byte: int, host: int = _DOS, data: bytes = b"1") -> Item:
        item = make(f"a_{byte:02x}", data)
        return item.but(name=bytes((97, byte, 98)), made_by=host, flags=item.flags & ~spec.UTF8)

    for byte in _BAD_NAMES[:: -(-step // 8)]:
        for host in (_DOS, _UNIX):
            yield f"byte {byte:02x}, host {host >> 8}", join(named(byte, host))
        yield f"byte {byte:02x} of both hosts", join(named(byte), named(byte, _UNIX, b"2"))
        raw = make("a", b"1").but(name=bytes((97, byte, 98)))
        yield f"byte {byte:02x} in UTF-8", join(raw)
    for host in (_DOS, _UNIX):
        wide = named(0, host).but(name="\u00e9".encode())
        yield f"UTF-8 without its flag, host {host >> 8}", join(wide)
    for first, second in islice(product(range(0, 256, 8), range(7, 256, 8)), 0, None, step):
        if first in _BAD_NAMES and second in _BAD_NAMES:
            yield f"bytes {first:02x} and {second:02x}", join(named(first), named(second, data=b"2"))


def _canonical(make: Make) -> Cases:
    for path in ("/a/b", "a//b", "a\\b", "./a/b", "a/./b", "a/b/.", "../a/b", ".../a/b", "a/.../b", "c/../a/b", "a/b "):
        first, second = make("a/b", b"1"), make(path, b"2")
        for host in (_DOS, _UNIX):
            other = second.but(made_by=host)
            yield f"{path!r} second, host {host >> 8}", join(first, other)
            yield f"{path!r} first, host {host >> 8}", join(other, first)
            yield f"{path!r} alone, host {host >> 8}", join(other)


def _case(make: Make) -> Cases:
    yield "names", join(make("a.txt", b"1"), make("a.TXT", b"2"))
    yield "folders", join(make("a/b", b"1"), make("A/c", b"2"))


# Group C: where things stand


def _boundaries(make: Make) -> Cases:
    a, b, c = make("a", b"1"), make("b", b"2"), make("c", b"3")
    whole = join(a, b)
    start = whole.index(spec.CENTRAL)
    for kept, label in ((_header(a, 0), "second"), (_header(b, len(_local(a))), "first")):
        yield f"the {label} not in the directory", whole[:start] + kept + _end(1, len(kept), start)
    middle = join(a, b, c)
    both = _header(a, 0) + _header(c, len(_local(a) + _local(b)))
    place = middle.index(spec.CENTRAL)
    yield "one between them not in the directory", middle[:place] + both + _end(2, len(both), place)
    # Records that a reader from the front takes for the end
    fake = make("a", b"1" + _header(a, 0)), make("b", b"2" + _end(1, 47, 32))
    yield "a directory inside data", join(*fake, c)
    yield "an archive inside data", join(make("a", join(make("x", b"4"))), b)
    yield "a local header behind data", join(a.but(gap=_local(make("x", b"4"))), b)
    yield "a local header in front", join(a, b, prefix=_local(make("x", b"4")))
    yield "an entry in an entry's comment", _in_comment(a, b)
    yield "an entry in the archive comment", _behind(a, b)
    yield "a junk entry that holds another", _desync(make, overlap=False)
    yield "an entry inside another one", _desync(make, overlap=True)
    yield "zeros between entries", join(a.but(gap=bytes(16)), b)
    yield "a descriptor without its flag", join(a.but(gap=spec.DESCRIPTOR + bytes(12)), b)
    yield "bytes before the directory", join(a, b.but(gap=b"more"))
    yield "a program in front", join(a, b, prefix=b"#!/bin/sh\nexit\n")
    yield "a program in front, counted", b"#!/bin/sh\nexit\n" + join(a, b)
    for crc, sizes in product((b.crc, 0), ((b.size, b.size), (0, 0), (b.size, 0))):
        shown = spec.DESCRIPTOR + struct.pack("<III", crc, *sizes)
        streamed = a.but(flags=a.flags | spec.STREAMED, local={"crc": 0, "size": 0, "packed_size": 0}, gap=shown)
        yield f"a descriptor of its own, {crc=} {sizes=}", join(streamed, b)
    # A stored entry whose length only its descriptor says: a reader from the front ends at the first that fits
    inner = b"1" + spec.DESCRIPTOR + struct.pack("<III", zlib.crc32(b"1"), 1, 1) + _local(make("x", b"4"))
    outer = make("a", inner)
    gap = spec.DESCRIPTOR + struct.pack("<III", outer.crc, len(outer.body), outer.size)
    zero = {"crc": 0, "size": 0, "packed_size": 0}
    yield "a descriptor inside data", join(outer.but(flags=outer.flags | spec.STREAMED, local=zero, gap=gap))


def _in_comment(a: Item, b: Item) -> bytes:
    """The second entry stands in the comment of its own header."""
    first = _local(a)
    one = _header(a, 0)
    two = _header(b, 0, comment=_local(b))
    place = len(first + one + two) - len(_local(b))
    directory = one + _header(b, place, comment=_local(b))
    return first + directory + _end(2, len(directory), len(first))


def _behind(a: Item, b: Item) -> bytes:
    """The second entry stands in the archive comment."""
    first = _local(a)
    directory = _header(a, 0) + _header(b, len(first + _header(a, 0) + _header(b, 0)) + spec.END_SIZE)
    return first + directory + _end(2, len(directory), len(first), comment_length=len(_local(b))) + _local(b)


def _desync(make: Make, *, overlap: bool) -> bytes:
    """A second directory, in the comment, has an entry that stands inside of a junk entry's data."""
    inner = make("a", b"1")
    junk, b = zipcraft.plain("junk", _local(inner)), make("b", b"2")
    outer = join(junk, b)
    headers = _header(inner, len(_local(junk)) - len(_local(inner)))
    if overlap:
        headers += _header(junk, 0) + _header(b, len(_local(junk)))
    comment = headers + _end(3 if overlap else 1, len(headers), len(outer))
    return join(junk, b, comment=comment)


def _ends(make: Make) -> Cases:
    """Three archives, one behind the other, each of whose end records has the rest for its comment."""
    for label, longer in (("fits", 0), ("too long", 1), ("too short", -1), ("middle", 2)):
        parts = [bytearray(join(make(name, name.encode()), comment=b"\0")) for name in "abc"]
        size = len(parts[0])
        for number, part in enumerate(parts):
            whole = size * (2 - number) + 1 + (longer if number != 1 and longer < 2 else 0)
            record = spec.EndRecord.decode(bytes(part[-1 - spec.END_SIZE : -1]))
            record = record._replace(comment_length=whole, directory_offset=record.directory_offset + number * size)
            part[-1 - spec.END_SIZE : -1] = record.encode()
            if number and longer != 2:
                place = part.index(spec.CENTRAL)
                part[place + 42 : place + 46] = struct.pack("<I", number * size)
        yield f"three archives in one, the last comment {label}", b"".join(map(bytes, parts))
    inner = join(make("b", b"2"))
    yield "an archive in the archive comment", join(make("a", b"1"), comment=inner)
    yield "an archive in the archive comment, and bytes", join(make("a", b"1"), comment=inner + b"more")
    yield "two archives in one", join(make("a", b"1")) + inner
    for tail in (b"more", bytes(70000), spec.END, spec.END + bytes(18), spec.END + bytes(17)):
        yield f"{len(tail)} bytes behind the end, {tail[:4]!r}", join(make("a", b"1")) + tail
        if len(tail) <= 0xFFFF:
            yield f"a comment of {len(tail)} bytes, {tail[:4]!r}", join(make("a", b"1"), comment=tail)


def _counts(make: Make) -> Cases:
    a, b = make("a", b"1"), make("b", b"2")
    first = len(_header(a, 0))
    for here, total, size in product((0, 1), (0, 1), (0, 1)):
        end = {"entries_here": 2 - here, "entries": 2 - total} | ({"directory_size": first} if size else {})
        if here or total or size:
            yield f"end record {end}", join(a, b, end=end)
    yield "one entry more", join(a, b, end={"entries_here": 3, "entries": 3})
    if make is plain:
        many = (Item(name=f"{number:x}".encode(), body=b"", size=0) for number in range(65537))
        yield "65,537 entries", join(*many, end={"entries_here": 1, "entries": 1})


def _offsets(make: Make) -> Cases:
    pieces, directory = _two_directories(make)
    end = _end(1, len(directory), len(pieces[0]))
    yield "the end record names a directory that is not the next", b"".join(pieces) + end
    a, b = make("a", b"1"), make("b", b"2")
    for offset in (1, 30, len(_local(a))):
        yield f"the first entry at {offset}", join(a.but(offset=offset), b)
    yield "both entries at 0", join(a, b.but(offset=0))
    start = len(_local(a) + _local(b))
    for shift in (-1, 1, -start):
        yield f"a directory {shift} bytes away", join(a, b, end={"directory_offset": start + shift})
    yield "a gap behind the directory", join(a, b, between=b"more")


def _two_directories(make: Make) -> tuple[list[bytes], bytes]:
    """Two entries, each with a directory of one length behind it."""
    one, two = make("a", b"1"), make("b", b"2")
    first = [_local(one), _header(one, 0)]
    second = [_local(two), _header(two, len(b"".join(first)))]
    assert len(first[1]) == len(second[1])
    return first + second, second[1]


def _zip64(make: Make) -> Cases:
    a, b, c, d = (make(name, name.encode()) for name in "abcd")
    for flags in range(64):
        ours, theirs = ([a], [c, d]) if flags & 32 else ([a, b], [c])
        yield f"another directory by ZIP64, {flags=:06b}", _hidden_zip64(ours, theirs, flags)
    yield "two ZIP64 end records", _searched(a, b)
    for here, total, size in product((0, 1), (0, 1), (0, 1)):
        if here or total or size:
            length = len(_header(a, 0) + _header(b, 0))
            start = len(_local(a) + _local(b))
            changes = {"entries_here": 2 - here, "entries": 2 - total}
            changes |= {"directory_size": len(_header(a, 0))} if size else {}
            full = {"entries_here": spec.U16, "entries": spec.U16, "directory_size": spec.U32}
            record = zip64_end(2, length, start, **changes)
            yield f"ZIP64 end record {changes}", join(a, b, between=record, end=full | {"directory_offset": spec.U32})
    for where in (0, 1):
        pieces, directory = _two_directories(make)
        body = b"".join(pieces)
        start = len(pieces[0])
        locator = len(pieces[0] + pieces[1]) if where else len(body)
        record = zip64_end(1, len(directory), start, locator=locator)
        end = spec.EndRecord(0, 0, spec.U16, spec.U16, spec.U32, spec.U32).encode()
        yield f"ZIP64 names a directory that is not the next, {where=}", body + record + end


def _hidden_zip64(ours: list[Item], theirs: list[Item], flags: int) -> bytes:
    """A second archive with ZIP64 records stands in the comment of the last header; the end record asks for it."""
    front = b"".join(map(_local, ours))
    offsets = [len(b"".join(map(_local, ours[:number]))) for number in range(len(ours))]
    headers = b"".join(_header(item, offset) for item, offset in zip(ours, offsets, strict=True))
    place = len(front + headers)
    inner = b"".join(map(_local, theirs))
    starts = [place + len(b"".join(map(_local, theirs[:number]))) for number in range(len(theirs))]
    directory = b"".join(_header(item, start) for item, start in zip(theirs, starts, strict=True))
    inner += directory
    inner += zip64_end(len(theirs), len(directory), place + len(inner) - len(directory), locator=place + len(inner))
    inner += b"\0" if flags & 16 else b""
    *others, last = zip(ours, offsets, strict=True)
    headers = b"".join(_header(item, offset) for item, offset in others) + _header(last[0], last[1], comment=inner)
    record = spec.EndRecord(0, 0, len(ours), len(ours), len(headers), len(front))
    full = (
        {"disk": spec.U16, "directory_disk": spec.U16},
        {"entries_here": spec.U16, "entries": spec.U16},
        {"directory_size": spec.U32},
        {"directory_offset": spec.U32},
    )
    for bit, changes in enumerate(full):
        if flags & 1 << bit:
            record = record._replace(**changes)
    return front + headers + record.encode()


def _searched(a: Item, b: Item) -> bytes:
    """The locator names one ZIP64 end record, and another one stands right before it."""
    front, headers = _local(a), _header(a, 0)
    first = zip64_end(1, len(headers), len(front))[: spec.ZIP64_END_SIZE]
    place = len(front + headers + first)
    inner = _local(b) + _header(b, place)
    second = zip64_end(1, len(_header(b, place)), place + len(_local(b)))[: spec.ZIP64_END_SIZE]
    locator = spec.Zip64Locator(0, len(front + headers), 1).encode()
    end = spec.EndRecord(0, 0, spec.U16, spec.U16, spec.U32, spec.U32).encode()
    return front + headers + first + inner + second + locator + end


_SIZES, _CHARACTERS = "A2 sizes", "B2 characters"
TYPES: Final[dict[str, Callable[..., Cases]]] = {
    "A1 compression method": _method,
    _SIZES: _sizes,
    "A3 names": _names,
    "A4 kinds": _kinds,
    "A5 encryption": _encrypted,
    "B1 duplicate names": _duplicates,
    _CHARACTERS: _characters,
    "B3 forms of a path": _canonical,
    "B4 upper and lower case": _case,
    "C1 boundaries of entries": _boundaries,
    "C2 end records": _ends,
    "C3 counts": _counts,
    "C4 place of the directory": _offsets,
    "C5 ZIP64 records": _zip64,
}


def plain(name: str, data: bytes, method: str = "store") -> Item:
    """A file that is not encrypted."""
    return zipcraft.plain(name, data, method)


def aes(name: str, data: bytes, method: str = "store") -> Item:
    """A file under AES, whatever its name: one key does for all."""
    return replace(_aes(data, method), name=name.encode())


@cache
def _aes(data: bytes, method: str) -> Item:
    return zipcraft.aes("a", data, method)
