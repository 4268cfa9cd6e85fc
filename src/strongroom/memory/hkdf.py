"""HKDF-SHA256 that leaves nothing behind. RFC 5869.

By its two steps, since the library's own leaves the key that it derives in freed memory, as `bytes`.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from strongroom.memory.returned import move_into
from strongroom.memory.secret import SecretBuffer

SIZE: Final = 32
"""Of a key in bytes: one block of HMAC-SHA256."""


def derive_into(key: memoryview, secret: memoryview | bytes, salt: bytes, info: bytes) -> None:
    """Put a key of `SIZE` bytes, made of `secret`, into `key`; no `salt` is one of zeros. RFC 5869, 2.2 and 2.3."""
    with SecretBuffer(SIZE) as middle, memoryview(middle) as pseudorandom:
        _hmac_into(pseudorandom, salt or bytes(SIZE), secret)
        _hmac_into(key, pseudorandom, info + b"\1")


def _hmac_into(target: memoryview, key: bytes | memoryview, message: bytes | memoryview) -> None:
    context = HMAC(key, SHA256())
    context.update(message)
    move_into(context.finalize(), target)
