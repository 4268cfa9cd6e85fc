"""7z archives. Their CRC-32s are mended first, which an attacker would do as well: else nothing behind is reached."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final

from fuzz.reading import PASSWORD, corpus, read_all
from strongroom.formats.sevenzip import spec
from tests import sevenzipcraft

SIGNATURE: Final = 32
NUMBERS: Final = Struct("<2Q")
NUMBERS_AT: Final = 12


def seeds() -> Iterator[bytes]:
    """Give a folder of each method, plain and encrypted, with plain and packed headers, and the corpus."""
    files = {"a": b"alpha" * 50, "folder/b": b"beta"}
    for method in sevenzipcraft.CODERS:
        for secret in (False, True):
            yield sevenzipcraft.archive(files, method=method, secret=secret, solid=secret, hidden=False)
    yield sevenzipcraft.archive(files, hidden=True)
    for folder in ("sevenzip", "hostile"):
        yield from corpus(folder, "*.7z")


def one(data: bytes) -> None:
    """Read it with all that is refused unless asked for."""
    read_all(_mended(data), format="7z", password=PASSWORD, allow_plaintext=True)


def _mended(data: bytes) -> bytes:
    if len(data) < SIGNATURE:
        return data
    place, length = NUMBERS.unpack_from(data, NUMBERS_AT)
    header = data[SIGNATURE + place :][:length]
    return spec.SignatureHeader(place, length, zlib.crc32(header)).encode() + data[SIGNATURE:]
