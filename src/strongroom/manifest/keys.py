"""The manifest's key, what is made with it, and the mark that it leaves in the salts of entries."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from strongroom.manifest.spec import ASPECTS, HINT_SIZE, SALT_SIZE, TAG_SIZE, Record
from strongroom.memory import hkdf
from strongroom.memory.secret import SecretBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.memory.secret import Secret

ROUNDS: Final = 100_000
"""17 ms. More would buy nothing: who guesses passwords does so against the 1,000 rounds of the format's own keys."""

MARKED_SIZE: Final = 16
"""Only salts of this size carry the mark; those of AES-128 and -192 are shorter, and never ours."""
_COUNTER_BITS: Final = 48
OFFSET_BITS: Final = 24
_WINDOW: Final = 1 << OFFSET_BITS + 1
_KEY_SIZE: Final = 32
_STAMP: Final = b"strongroom manifest 1 salt"
_ASPECTS: Final = tuple(aspect.encode() for aspect in ASPECTS)


class Key:
    """The key of one archive's manifest. Wiped by `close()`.

    The mark: an entry's salt is the archive's 10 random bytes, then a 6-byte counter, whose start is a tag under this
    key plus 24 random bits. Since the 10 bytes are also the salt that the key is derived with, password and any one
    entry's salt are enough to recognise an archive of ours after its manifest was cut off (ADR 7).
    """

    def __init__(self, key: SecretBuffer, salt: bytes, rounds: int) -> None:
        """Take over 32 bytes that were derived with `salt` and `rounds`."""
        self._buffer = key
        self.salt = salt
        self.rounds = rounds
        self._start = int.from_bytes(self.tag(b"mark")[: _COUNTER_BITS // 8], "little")

    @classmethod
    def derive(cls, password: Secret, label: str, salt: bytes, rounds: int) -> Self:
        """Derive the key from a password: PBKDF2-HMAC-SHA256 (RFC 8018), its salt the label and `salt`."""
        password.check_process()
        key = SecretBuffer(_KEY_SIZE)
        with memoryview(key) as view, memoryview(password) as secret:
            PBKDF2HMAC(SHA256(), _KEY_SIZE, label.encode() + salt, rounds).derive_into(secret, view)
        return cls(key, salt, rounds)

    @classmethod
    def expand(cls, secret: SecretBuffer, label: str, salt: bytes, rounds: int) -> Self:
        """Expand the key from the archive's own, which `salt` and `rounds` gave."""
        return cls(expand(secret, label), salt, rounds)

    def tag(self, what: bytes, *parts: bytes) -> bytes:
        """Return the tag of `parts`, which are that kind of thing: HMAC-SHA256, cut to 16 bytes."""
        return self._tags(_encode(what, parts))[0]

    def record(self, number: int, parts: Sequence[bytes], aspects: Sequence[bytes]) -> Record:
        """Return the record of the entry that stands at `number`: the tag of that and of its raw parts, and the hints.

        A hint is the same wherever the entry stands; so it shows what was swapped.
        """
        messages = [_encode(b"record", (number.to_bytes(4, "little"), *parts))]
        messages += [_encode(b"hint", (what, aspect)) for what, aspect in zip(_ASPECTS, aspects, strict=True)]
        tag, *hints = self._tags(*messages)
        return Record(number, tag, tuple(hint[:HINT_SIZE] for hint in hints))

    def _tags(self, *messages: bytes) -> list[bytes]:
        """Return the tag of each message. OpenSSL's context has a copy of the key, so that it lives for one call."""
        with memoryview(self._buffer) as view:
            keyed = HMAC(view, SHA256())
        tags: list[bytes] = []
        for message in messages:
            context = keyed.copy()  # a quarter of the cost of a new one
            context.update(message)
            tags.append(context.finalize()[:TAG_SIZE])
        return tags

    @property
    def check(self) -> bytes:
        """Sixteen bytes that only this key gives; public, in the file."""
        return self.tag(b"check")

    def mark(self, index: int) -> bytes:
        """Return the salt that carries the mark and `index`."""
        counter = (self._start + index) % (1 << _COUNTER_BITS)
        return self.salt + counter.to_bytes(_COUNTER_BITS // 8, "little")

    def marked(self, salt: bytes) -> bool:
        """Whether a salt carries the mark, or the archive's is this one's, where all entries share it.

        One in 2^23 foreign salts does, where the key was made of it.
        """
        counter = int.from_bytes(salt[SALT_SIZE:], "little")
        distance = (counter - self._start) % (1 << _COUNTER_BITS)
        ours = len(salt) == MARKED_SIZE and salt.startswith(self.salt)
        return ours and (distance < _WINDOW or stamped(salt))

    def close(self) -> None:
        """Wipe the key."""
        self._buffer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def expand(secret: SecretBuffer, label: str) -> SecretBuffer:
    """Return 32 bytes made of another key: HKDF-SHA256 (RFC 5869), no salt. Each label gives a key of its own."""
    secret.check_process()
    key = SecretBuffer(_KEY_SIZE)
    with memoryview(key) as view, memoryview(secret) as own:
        hkdf.derive_into(view, own, b"", label.encode())
    return key


def stamp(front: bytes) -> bytes:
    """Return the salt of a format that derives one key an archive: `SALT_SIZE` random bytes, and six of their hash.

    It needs no key: whoever takes the stamp out of an archive has changed its key, and nothing decrypts (ADR 9).
    """
    return front + digest(_STAMP + front)[: MARKED_SIZE - SALT_SIZE]


def stamped(salt: bytes) -> bool:
    """Whether a salt is one of ours. So is one in 2^48 others."""
    return len(salt) == MARKED_SIZE and stamp(salt[:SALT_SIZE]) == salt


def digest(data: bytes) -> bytes:
    """Return the SHA-256 of `data`. The standard library's would load a second OpenSSL, in 4 ms."""
    hasher = Hash(SHA256())
    hasher.update(data)
    return hasher.finalize()


def _encode(what: bytes, parts: Sequence[bytes]) -> bytes:
    """Return what no other list of parts is encoded to: their number, their lengths, then all of them."""
    sizes = struct.pack(f"<{len(parts) + 2}Q", len(parts), len(what), *map(len, parts))
    return b"".join((sizes, what, *parts))
