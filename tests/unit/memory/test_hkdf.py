"""HKDF, by its test vectors and beside the library's own."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.memory import hkdf


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """What is derived."""
    key = bytearray(hkdf.SIZE)
    hkdf.derive_into(memoryview(key), secret, salt, info)
    return bytes(key)


@pytest.mark.parametrize(
    ("secret", "salt", "info", "front"),
    [
        (
            "0b" * 22,
            bytes(range(13)).hex(),
            bytes(range(0xF0, 0xFA)).hex(),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        ),
        ("0b" * 22, "", "", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
    ],
)
def test_vectors(secret: str, salt: str, info: str, front: str) -> None:
    """RFC 5869, A.1 and A.3, of which a key is the first 32 bytes."""
    assert derive(*map(bytes.fromhex, (secret, salt, info))).hex() == front


@pytest.mark.parametrize("salt", [b"", b"s", b"s" * 32, b"s" * 200])
def test_as_the_library(salt: bytes) -> None:
    """With salts of any length."""
    assert derive(b"secret", salt, b"info") == HKDF(SHA256(), hkdf.SIZE, salt, b"info").derive(b"secret")
