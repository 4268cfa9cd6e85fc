"""Archives that ask for more than they are worth: time, memory, names, numbers."""

from __future__ import annotations

import base64
import io
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import strongroom
from strongroom.formats.sevenzip import crypto
from strongroom.formats.sevenzip import spec as seven
from strongroom.formats.sevenzip.files import File
from strongroom.formats.sevenzip.streams import Coder, Folder, Stream, Streams
from strongroom.formats.zip import spec
from strongroom.manifest.spec import RECORD_SIZE, Tail
from tests import agecraft, sevenzipcraft, zipcraft, zipedit

PASSWORD: Final = "a made-up password"
MIB: Final = 1 << 20
ZEROS: Final = 16 * MIB
HUGE: Final = 1 << 62
_DEFLATE_RAW: Final = -15
_LAYERS: Final = 5
_COPIES: Final = 16
_STORED: Final = struct.Struct("<BHH")  # a block of deflate that is stored and not the last (RFC 1951, 3.2.4)

Made = tuple[str, bytes, dict[str, Any]]
"""What it is, the file, and what it is opened with."""


def deflated(data: bytes) -> bytes:
    """Deflate without a header, as small as it gets."""
    stream = zlib.compressobj(9, zlib.DEFLATED, _DEFLATE_RAW)
    return stream.compress(data) + stream.flush()


def zips() -> Iterator[Made]:
    """ZIP files."""
    plain = {"format": "zip", "password": PASSWORD, "allow_plaintext": True, "legacy": True}
    zeros = bytes(ZEROS)
    for method in ("deflate", "bzip2", "lzma", "xz", "zstd"):
        packed = deflated(zeros) if method == "deflate" else zipcraft.PACKERS[method](zeros)
        honest = zipcraft.plain("a", b"", method).but(body=packed, crc=zlib.crc32(zeros))
        sealed = zipcraft.aes("a", b"", method, packed=packed)
        for item, how in ((honest, "plain"), (sealed, "encrypted")):
            yield f"16 MiB of zeros, {method}, {how}, that say they are 1000", zipcraft.join(item.but(size=1000)), plain
            yield f"zeros, {method}, {how}, that say they are 3 GiB", zipcraft.join(item.but(size=3 << 30)), plain
    yield "42.zip: 16 copies in 16 copies, of zeros", nested(), plain
    yield "entries that all are the same bytes", zipcraft.join(*same_bytes(1000)), plain
    yield "entries that quote each other (Fifield)", quoted(1000), plain
    yield "a name of 64 KiB", zipcraft.join(zipcraft.plain("n" * 65000, b"")), plain
    yield "a name 2,000 folders deep", zipcraft.join(zipcraft.plain("/".join("d" * 2000), b"")), plain
    for count in (1 << 63, (1 << 64) - 1, 1 << 32):
        yield (
            f"{count} entries (ZIP64)",
            zipcraft.join(between=zipcraft.zip64_end(count, count * 46 % (1 << 64), 0)),
            plain,
        )
    yield "a directory of 2^62 bytes", zipcraft.join(between=zipcraft.zip64_end(1, HUGE, 0)), plain
    yield "a dictionary of 4 GiB, lzma, for 5 bytes", zipcraft.join(_lzma(0xFFFF_FFFF)), plain
    large = _lzma(0xFFFF_FFFF)
    yield (
        "a dictionary of 4 GiB, lzma, for 1 GiB",
        zipcraft.join(large.but(size=1 << 30, body=large.body + bytes(MIB))),
        plain,
    )
    yield "a dictionary of 1.5 GiB, xz", zipcraft.join(_item("xz", _xz(37))), plain
    yield "a window of 2 GiB, zstd", zipcraft.join(_item("zstd", bytes.fromhex("28b52ffd00a8090000") + b"x")), plain
    yield "256 MiB for PPMd", zipcraft.join(_item("ppmd", struct.pack("<H", 63 | 255 << 4) + bytes(100))), plain
    yield "a manifest of 2^32 rounds", _rounds((1 << 32) - 1), {"password": PASSWORD}
    yield "64 KiB of signatures of an end record", zipcraft.join(comment=spec.END * 16000), plain
    yield (
        "an extra field of 16,000 records",
        zipcraft.join(zipcraft.plain("a", b"").but(extra=b"\xfe\xca\0\0" * 16000)),
        plain,
    )


def _item(method: str, body: bytes) -> zipcraft.Item:
    return zipcraft.plain("a", b"", "store").but(method=zipcraft.METHODS[method], body=body, size=1, crc=1)


def _lzma(dictionary: int) -> zipcraft.Item:
    item = zipcraft.plain("a", b"alpha", "lzma")
    return item.but(body=item.body[:5] + struct.pack("<I", dictionary) + item.body[9:])


def _xz(bits: int) -> bytes:
    """An xz block whose LZMA2 filter wants a dictionary of that code; the header's CRC-32 fits."""
    data = bytearray(lzma.compress(b"alpha", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]))
    start, size = 12, (data[12] + 1) * 4
    place = data.index(b"\x21\x01", start) + 2
    data[place] = bits
    data[start + size - 4 : start + size] = struct.pack("<I", zlib.crc32(data[start : start + size - 4]))
    return bytes(data)


def nested() -> bytes:
    """Sixteen ZIP files in each ZIP file, and at the bottom zeros."""
    inner = bytes(ZEROS)
    for _ in range(_LAYERS):
        body = deflated(inner)
        item = zipcraft.plain("0", b"", "deflate").but(body=body, size=len(inner), crc=zlib.crc32(inner))
        inner = zipcraft.join(*(item.but(name=b"%x" % number) for number in range(_COPIES)))
    return inner


def same_bytes(count: int) -> Iterator[zipcraft.Item]:
    """Entries of one name's length that all stand at the start of the file."""
    zeros = bytes(MIB)
    item = zipcraft.plain("0000", b"", "deflate").but(body=deflated(zeros), size=len(zeros), crc=zlib.crc32(zeros))
    yield item
    for number in range(1, count):
        yield item.but(name=b"%04d" % number, offset=0)


def quoted(count: int) -> bytes:
    """Each entry is a stored block with the next entry's header in it, and goes on with that entry. No byte is free."""
    packed, size = deflated(bytes(MIB)), MIB
    found: list[tuple[int, spec.LocalHeader]] = []
    data = b""
    for number in reversed(range(count)):
        name = b"%04d" % number
        header = spec.LocalHeader(
            20, spec.UTF8, zipcraft.METHODS["deflate"], zipcraft.TIME, 0, len(packed), size, name, b""
        )
        local = header.encode()
        data = local + packed
        found.append((len(data), header))
        packed = _STORED.pack(0, len(local), len(local) ^ 0xFFFF) + data
        size += len(local)
    directory = bytearray()
    for left, header in reversed(found):
        more = {"made_by": 0, "disk": 0, "internal": 0, "external": 0, "offset": len(data) - left}
        directory += spec.CentralHeader(**header._asdict(), **more).encode()
    return data + directory + spec.EndRecord(0, 0, count, count, len(directory), len(data), 0).encode()


def _rounds(rounds: int) -> bytes:
    stream = io.BytesIO()
    strongroom.seal({"a": b"1"}, stream, format="zip", password=PASSWORD)
    apart = zipedit.apart(stream.getvalue())
    last = apart.parts[-1]
    field = last.manifest
    tail = Tail.decode(field[RECORD_SIZE:])._replace(rounds=rounds)
    apart.parts[-1] = last.with_manifest(field[:RECORD_SIZE] + tail.encode())
    return apart.together()


def sevens() -> Iterator[Made]:
    """7z files."""
    plain = {"format": "7z", "password": sevenzipcraft.PASSWORD, "allow_plaintext": True}
    zeros = bytes(ZEROS)
    for method in ("lzma2", "deflate", "bzip2"):
        packed = sevenzipcraft.packed(method, zeros)
        for secret in (False, True):
            how = "encrypted" if secret else "plain"
            for said, size in (("1000", 1000), ("2^40", 1 << 40)):
                yield (
                    f"16 MiB of zeros, {method}, {how}, that say they are {said}",
                    _one(method, packed, size, secret),
                    plain,
                )
    for power in (25, 40, 62, 63):
        coder = Coder(seven.AES, crypto.AesProperties(power, b"salt", b"iv").encode())
        yield f"keys of 2^{power} rounds", _coded(coder, bytes(16), 16), plain
    yield "a dictionary of 4 GiB, lzma2", _coded(Coder(seven.LZMA2, b"\x28"), b"\x01\0\0x\0", 1), plain
    yield "a dictionary of 4 GiB, lzma", _coded(Coder(seven.LZMA, b"]\xff\xff\xff\xff"), bytes(20), 1), plain
    yield "4 GiB for PPMd", _coded(Coder(seven.PPMD, struct.pack("<BI", 6, (1 << 32) - 37)), bytes(100), 1), plain
    header = lzma.compress(zeros, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}])
    for said, size in (("16 MiB", ZEROS), ("2^40 bytes", 1 << 40)):
        yield f"a header of zeros, {said}", _header(header, size), plain
    yield "a header in a header, 50 times", _headers(50), plain
    yield "a name of 64 KiB", sevenzipcraft.archive({"n" * 65000: b"x"}, secret=False), plain
    yield from _numbers(plain)


def _coded(coder: Coder, body: bytes, size: int) -> bytes:
    folder = Folder((coder,), (), (0,), (size,))
    streams = Streams(0, (Stream(len(body)),), (folder,), ((Stream(size, 1),),))
    return sevenzipcraft.join(body, seven.Header(streams, (File("a", modified=1 << 56),)).encode())


def _one(method: str, packed: bytes, size: int, secret: bool) -> bytes:  # noqa: FBT001 - of the table above
    if not secret:
        return _coded(sevenzipcraft.CODERS[method], packed, size)
    folder, _ = sevenzipcraft.folder(method, b"", secret=True)
    body = sevenzipcraft.encrypted(packed)
    streams = Streams(0, (Stream(len(body)),), (folder._replace(sizes=(size, len(packed))),), ((Stream(size, 1),),))
    return sevenzipcraft.join(body, seven.Header(streams, (File("a", modified=1 << 56),)).encode())


def _header(packed: bytes, size: int) -> bytes:
    folder = Folder((sevenzipcraft.CODERS["lzma2"],), (), (0,), (size,))
    streams = Streams(0, (Stream(len(packed)),), (folder,), ((Stream(size, 1),),))
    return sevenzipcraft.join(packed, seven.EncodedHeader(streams).encode())


def _headers(count: int) -> bytes:
    body, header = b"", seven.Header(Streams(0, (), (), ()), ()).encode()
    for _ in range(count):
        packed = sevenzipcraft.packed("lzma2", header)
        folder = Folder((sevenzipcraft.CODERS["lzma2"],), (), (0,), (len(header),))
        stream = Stream(len(header), zlib.crc32(header))
        header = seven.EncodedHeader(Streams(len(body), (Stream(len(packed)),), (folder,), ((stream,),))).encode()
        body += packed
    return sevenzipcraft.join(body, header)


def _numbers(plain: dict[str, Any]) -> Iterator[Made]:
    """Headers in which one byte is a number of nine instead, of 2^63 and more."""
    archive = sevenzipcraft.archive({"a": b"alpha", "b": b"beta"}, secret=False, solid=True)
    start = seven.SignatureHeader.decode(archive[:32])
    body, header = archive[32 : 32 + start.offset], archive[32 + start.offset :]
    for place in range(len(header)):
        for number in (1 << 63, (1 << 64) - 1):
            wide = b"\xff" + number.to_bytes(8, "little")
            yield f"{number} at {place}", sevenzipcraft.join(body, header[:place] + wide + header[place + 1 :]), plain


def ages() -> Iterator[Made]:
    """Files of age."""
    own = {"format": "age", "identities": [agecraft.X25519]}
    mac = b"--- " + _base64(bytes(32)) + b"\n"
    start = b"age-encryption.org/v1\n"
    stanza = b"-> X a\n\n"
    end = mac + bytes(16 + 16)
    yield "millions of stanzas, 64 MiB", start + stanza * (64 * MIB // len(stanza)) + end, own
    line = _base64(bytes(48)) + b"\n"
    yield "a stanza of 64 MiB", start + b"-> X a\n" + line * MIB + b"\n" + end, own
    yield "a stanza of a line of 64 MiB", start + b"-> X " + b"a" * (64 * MIB) + b"\n\n" + end, own
    yield "a stanza of 500,000 arguments", start + b"-> X" + b" a" * 500_000 + b"\n\n" + end, own
    share = b"-> X25519 " + _base64(bytes(31) + b"\x09") + b"\n" + _base64(bytes(32)) + b"\n"
    many = {"format": "age", "identities": [agecraft.X25519] * 10}
    yield "20,000 recipients, ten identities", start + share * 20_000 + end, many
    for factor in ("21", "22", "63", "999", "8" * 1000):
        header = b"-> scrypt " + _base64(bytes(16)) + b" " + factor.encode() + b"\n" + _base64(bytes(32)) + b"\n"
        yield f"scrypt of 2^{factor[:3]}", start + header + end, {"format": "age", "password": PASSWORD}
    begin = b"-----BEGIN AGE ENCRYPTED FILE-----\n"
    yield "armor behind 64 MiB of white space", b"\n" * (64 * MIB) + begin, own
    yield "armor before 64 MiB of white space", begin + b"-----END AGE ENCRYPTED FILE-----\n" + b" " * (64 * MIB), own
    yield "armor of a line of 64 MiB", begin + b"A" * (64 * MIB), own
    yield "armor of a million lines of one column", begin + b"A\n" * MIB, own


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")
