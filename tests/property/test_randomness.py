"""Nothing random comes twice, and what is random looks it (P6)."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import pytest

import strongroom
from strongroom import FernetLayer, Limits
from strongroom.formats import FORMATS
from strongroom.formats.age import keys, writer
from strongroom.formats.age import spec as age
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.formats.sevenzip import crypto
from strongroom.formats.zip import spec as zipped
from strongroom.manifest import keys as manifest
from tests import agecraft
from tests.proof import Tried

PASSWORD: Final = "a made-up password"
HYBRID: Final = agecraft.identity(agecraft.HYBRID).recipient
ENTRIES: Final = 3
FRONT: Final = 10  # bytes of a ZIP's salts that are the archive's own (docs/design.md, "The manifest")
SHARE: Final = 32
SIGMAS: Final = 6.5


def sealed(format_name: str, **options: Any) -> bytes:  # noqa: ANN401 - those of `create`
    """An archive of entries that are all the same."""
    stream = io.BytesIO()
    with strongroom.create(stream, format=format_name, compression="store", threads=1, **options) as room:
        for number in range(1 if FORMATS[format_name].single else ENTRIES):
            room.write("data" if FORMATS[format_name].single else f"{number}", b"the same in each")
    return stream.getvalue()


def zips() -> Iterator[tuple[str, bytes]]:
    """What is random in a ZIP: the salt of each entry, of which the front is the archive's own."""
    data, place = sealed("zip", password=PASSWORD), 0
    salts = []
    for _ in range(ENTRIES):
        name, extra = struct.unpack_from("<26x2H", data, place)
        start = place + zipped.LOCAL_SIZE + name + extra
        salts.append(data[start : start + 16])
        place = data.find(zipped.LOCAL, start)
    assert len({salt[:FRONT] for salt in salts}) == 1
    yield "front of a ZIP's salts", salts[0][:FRONT]
    yield from (("salt of an entry", salt) for salt in salts)


def sevens() -> Iterator[tuple[str, bytes]]:
    """What is random in a 7z: the salt, and the IV of each folder and of the header."""
    seen: list[crypto.AesProperties] = []
    encode = crypto.AesProperties.encode

    def watch(properties: crypto.AesProperties) -> bytes:
        seen.append(properties)
        return encode(properties)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crypto.AesProperties, "encode", watch)
        patch.setattr(crypto, "CYCLES_POWER", 1)
        sealed("7z", password=PASSWORD)
    assert len({properties.salt for properties in seen}) == 1
    yield "salt of a 7z", seen[0].salt
    ivs = {properties.iv for properties in seen}  # one is encoded as often as its header is
    assert len(ivs) >= 2
    yield from (("IV of a 7z", iv) for iv in ivs)


def to_key(recipient: str) -> Iterator[tuple[str, bytes]]:
    """What is random in an age file to a key: the share, the file key, the nonce of the payload."""
    derive, file_keys = keys.derive_payload_key, []

    def watch(file_key: memoryview, nonce: bytes, key: memoryview) -> None:
        file_keys.append(bytes(file_key))
        derive(file_key, nonce, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "derive_payload_key", watch)
        data = sealed("age", recipients=[recipient])
    header, end = age.read_header(agecraft.source(data), Limits())
    (file_key,) = file_keys
    yield "file key", file_key
    yield "share", age.decode_base64(header.stanzas[0].arguments[-1])[-SHARE:]
    yield "nonce of a payload", data[end : end + 16]


def ages() -> Iterator[tuple[str, bytes]]:
    """Of an age file to X25519."""
    return to_key(agecraft.X25519_RECIPIENT)


def hybrids() -> Iterator[tuple[str, bytes]]:
    """Of an age file to ML-KEM and X25519: the end of the share is X25519's."""
    return to_key(HYBRID)


def phrases() -> Iterator[tuple[str, bytes]]:
    """Of a ZIP in an age file, with a passphrase: scrypt's salt, and the nonce of the payload."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "ScryptRecipient", partial(ScryptRecipient, log_n=1))
        data = sealed("zip.age", password=PASSWORD)
    header, end = age.read_header(agecraft.source(data), Limits())
    yield "salt of scrypt", age.decode_base64(header.stanzas[0].arguments[0])
    yield "nonce of a payload", data[end : end + 16]


def tokens() -> Iterator[tuple[str, bytes]]:
    """Of Fernet: the IV of a token, and the salt of a record."""
    with FernetLayer(key=base64.urlsafe_b64encode(bytes(32))) as layer:
        ((_, pieces),) = layer.wrap("a", b"the same")
        yield "IV of a Fernet token", base64.urlsafe_b64decode(b"".join(bytes(piece) for piece in pieces))[9:25]
    with FernetLayer(password=PASSWORD) as layer:
        (_, token), (_, record) = layer.wrap("a", b"the same")
        token.close()
        yield "salt of a Fernet key", base64.b64decode(json.loads(b"".join(bytes(piece) for piece in record))["salt"])


KINDS: Final = (zips, sevens, ages, hybrids, phrases, tokens)


@pytest.mark.parametrize("make", KINDS)
def test_nothing_comes_twice(
    make: Callable[[], Iterator[tuple[str, bytes]]],
    times: Callable[[int, int], int],
    monkeypatch: pytest.MonkeyPatch,
    tried: Tried,
) -> None:
    """Of so many archives of the same data no salt, IV, nonce, file key or share is there twice, and each bit is even.

    A bit that were 1 in 52% would be found, in 100,000; one that stands still is in 2,000.
    """
    monkeypatch.setattr(manifest, "ROUNDS", 1)  # what is random does not depend on it
    found: defaultdict[str, list[bytes]] = defaultdict(list)
    count = times(2_000, 100_000) // len(KINDS)
    for _ in range(count):
        for name, value in make():
            found[name].append(value)
    for name, values in found.items():
        assert len(values) >= count
        assert len(set(values)) == len(values), name
        bits = np.unpackbits(
            np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1), axis=1, bitorder="little"
        )
        if name == "share":
            bits = bits[:, :-1]  # RFC 7748, 5: the last bit of a coordinate is 0
        ones = bits.sum(axis=0)
        assert abs(ones - len(values) / 2).max() < SIGMAS * math.sqrt(len(values)) / 2, name
    what = f"what is random, of equal archives: {', '.join(found)}"
    tried("P6", what, "nothing twice, each bit even", count=count)


def test_the_test_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a source that repeats itself the salts are the same."""
    monkeypatch.setattr(manifest, "ROUNDS", 1)
    monkeypatch.setattr(os, "urandom", bytes)
    assert dict(zips()) == dict(zips())
