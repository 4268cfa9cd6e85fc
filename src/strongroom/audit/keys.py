"""The keys of an archive, derived by the standard library: the process that made it could not hand out its own.

Handing them out would leave copies. And who shares no code with the writer shares no mistake with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import strongroom
from strongroom.audit.needles import identity_key, of_aes_key, of_fernet_key, of_hmac_key
from strongroom.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strongroom.audit.needles import Needle

_LOCAL: Final = b"PK\x03\x04"
_LENGTHS: Final = Struct("<26x2H")  # of an entry's name and extra fields (APPNOTE 4.3.7)
_SALT: Final = 16  # of AES-256 (WinZip AES, II.C)
_KEY: Final = 32

_MANIFEST: Final = b"strongroom manifest 1 "  # and the format's name (docs/design.md, "The manifest")
_MANIFEST_SALT: Final = 10
_MANIFEST_ROUNDS: Final = 100_000

_START: Final = Struct("<12x2Q")  # where the last header of a 7z stands, behind the first one, and its size
_START_SIZE: Final = 32
_AES: Final = b"\x24\x06\xf1\x07\x01"  # a coder with properties and an ID of 4 bytes (7zFormat, "Folder"), and the ID
_SIZES: Final = 2
_COUNTERS: Final = 1 << 12  # rounds that are hashed at once

_AGE: Final = b"age-encryption.org/v1"
_NONCE: Final = 16

_RECORD: Final = ".fernet.json"
_SCRYPT_MEMORY: Final = 256 * MIB


def of_zip(archive: Path, password: bytes) -> Iterator[Needle]:
    """Give the keys of all entries with AES-256, also of an archive that was never finished, and of the manifest.

    WinZip AES, II.G. The manifest's key has the front of the entries' salts for its own.
    """
    data = archive.read_bytes()
    place = data.find(_LOCAL)
    fronts: set[bytes] = set()
    while 0 <= place <= len(data) - _LENGTHS.size:
        name, extra = _LENGTHS.unpack_from(data, place)
        start = place + _LENGTHS.size + name + extra
        if salt := data[start : start + _SALT]:
            keys = hashlib.pbkdf2_hmac("sha1", password, salt, 1000, 2 * _KEY)
            yield from of_aes_key(f"AES key of an entry in {archive.name}", keys[:_KEY])
            yield from of_hmac_key(f"HMAC key of an entry in {archive.name}", keys[_KEY:])
            fronts.add(salt[:_MANIFEST_SALT])
        place = data.find(_LOCAL, place + 1)
    for front in fronts:
        yield from of_hmac_key(f"key of the manifest of {archive.name}", _zip_manifest(password, front))


def of_7z(archive: Path, password: bytes) -> Iterator[Needle]:
    """Give the one key of an archive with those of its manifest; nothing for one that was never finished.

    That has its salt nowhere: it comes with the headers, at the end.
    """
    data = archive.read_bytes()
    if len(data) < _START_SIZE:
        return
    offset, size = _START.unpack_from(data)
    header = data[_START_SIZE + offset : _START_SIZE + offset + size]
    properties = header.partition(_AES)[2][1:]
    if len(properties) < _SIZES:
        return
    # 7zAes.cpp, SetDecoderProperties2: rounds and whether there is a salt, sizes of salt and IV, the salt.
    flags, sizes = properties[:_SIZES]
    salt = properties[_SIZES:][: (flags >> 7) + (sizes >> 4)]
    yield from of_7z_salt(archive.name, password, salt, flags & 0x3F)


def of_7z_salt(name: str, password: bytes, salt: bytes, power: int) -> Iterator[Needle]:
    """Give the keys of the 7z called `name`, with that salt and 2^`power` rounds."""
    key = _7z_key(password, salt, power)
    yield from of_aes_key(f"AES key of {name}", key)
    # HKDF (RFC 5869, 2.2 and 2.3) without a salt, to one block each.
    middle = hmac.digest(bytes(_KEY), key, "sha256")
    yield from of_hmac_key(f"what the keys of the manifest of {name} are expanded from", middle)
    yield from of_hmac_key(f"key of the manifest of {name}", hmac.digest(middle, _MANIFEST + b"7z\x01", "sha256"))
    yield from of_aes_key(f"key of the tags of {name}", hmac.digest(middle, _MANIFEST + b"7z tags\x01", "sha256"))


def of_fernet(archive: Path, password: bytes) -> Iterator[Needle]:
    """Give the keys of the Fernet tokens in an archive that come from a password (docs/design.md, "Layers")."""
    with strongroom.open(archive, password=password) as room:
        for entry in room:
            if entry.name.endswith(_RECORD):
                key = _fernet_key(password, room.read(entry.name))
                yield from of_fernet_key(f"Fernet key of {entry.name} in {archive.name}", key)


def of_age(archive: Path, password: bytes) -> Iterator[Needle]:
    """Give the keys of an age file that has a passphrase, also of one that was never finished. age, "scrypt"."""
    header, nonce = _age_parts(archive.read_bytes())
    for arguments, body in _stanzas(header, b"scrypt"):
        key = _age_scrypt(password, _unpadded(arguments[0]), int(arguments[1]))
        yield from _of_wrapped(archive.name, key, body, nonce)


def of_age_to_key(archive: Path, identity: bytes) -> Iterator[Needle]:
    """Give the keys of an age file that an X25519 identity opens, whose text this is. age, "X25519"."""
    header, nonce = _age_parts(archive.read_bytes())
    for arguments, body in _stanzas(header, b"X25519"):
        share, private = _unpadded(arguments[0]), X25519PrivateKey.from_private_bytes(identity_key(identity))
        shared = private.exchange(X25519PublicKey.from_public_bytes(share))
        yield from of_hmac_key(f"secret that the key around that of {archive.name} comes from", shared)
        key = _hkdf(shared, share + private.public_key().public_bytes_raw(), _AGE + b"/X25519")
        yield from _of_wrapped(archive.name, key, body, nonce)


def _of_wrapped(name: str, key: bytes, body: bytes, nonce: bytes) -> Iterator[Needle]:
    """Give the key around a file key, the file key, and what comes from it. age, "Header MAC" and "Payload"."""
    yield from of_aes_key(f"key around that of {name}", key)  # ChaCha20's is found in the same forms
    file_key = ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    yield from of_hmac_key(f"file key of {name}", file_key)
    yield from of_hmac_key(f"key of the header of {name}", _hkdf(file_key, b"", b"header"))
    if nonce:
        yield from of_aes_key(f"key of the payload of {name}", _hkdf(file_key, nonce, b"payload"))


def _age_parts(data: bytes) -> tuple[bytes, bytes]:
    """Return a header and the nonce behind it, each empty where it is not all there."""
    header, mark, rest = data.partition(b"\n--- ")
    _, line, payload = rest.partition(b"\n")
    nonce = payload[:_NONCE] if line and len(payload) >= _NONCE else b""
    return (header if mark else b""), nonce


def _stanzas(header: bytes, kind: bytes) -> Iterator[tuple[list[bytes], bytes]]:
    """Give arguments and bodies of the stanzas of a kind, whose bodies are a line each."""
    lines = header.split(b"\n")
    for line, body in pairwise(lines):
        if line.startswith(b"-> " + kind + b" "):
            yield line.split(b" ")[2:], _unpadded(body)


def _unpadded(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Return a single block. RFC 5869, 2.2 and 2.3."""
    return hmac.digest(hmac.digest(salt or bytes(_KEY), secret, "sha256"), info + b"\x01", "sha256")


# What an audit asks for again after each step.


@lru_cache
def _zip_manifest(password: bytes, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password, _MANIFEST + b"zip" + salt, _MANIFEST_ROUNDS, _KEY)


@lru_cache
def _7z_key(password: bytes, salt: bytes, power: int) -> bytes:
    """Return SHA-256 over salt, password and a counter, again and again. 7zAes.cpp, CKeyInfo::CalcKey."""
    front = salt + password.decode().encode("utf-16-le")
    key = hashlib.sha256()
    for start in range(0, 1 << power, _COUNTERS):
        numbers = range(start, min(start + _COUNTERS, 1 << power))
        key.update(b"".join(front + number.to_bytes(8, "little") for number in numbers))
    return key.digest()


@lru_cache
def _fernet_key(password: bytes, record: bytes) -> bytes:
    how = json.loads(record)
    salt = base64.b64decode(how["salt"])
    if how["kdf"] == "scrypt":
        return hashlib.scrypt(
            password, salt=salt, n=how["n"], r=how["r"], p=how["p"], maxmem=_SCRYPT_MEMORY, dklen=_KEY
        )
    return hashlib.pbkdf2_hmac("sha256", password, salt, how["iterations"])


@lru_cache
def _age_scrypt(password: bytes, salt: bytes, log_n: int) -> bytes:
    return hashlib.scrypt(
        password, salt=_AGE + b"/scrypt" + salt, n=1 << log_n, r=8, p=1, maxmem=2 * _SCRYPT_MEMORY, dklen=_KEY
    )


KEYS: Final[dict[str, Callable[[Path, bytes], Iterator[Needle]]]] = {"zip": of_zip, "7z": of_7z, "age": of_age}
"""By the last suffix of a file."""
