"""Receipts, their signatures, and files of signers. What is read as one of them has one encoding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fuzz.reading import LIMITS
from strongroom.errors import StrongroomError
from strongroom.memory.secret import Secret
from strongroom.receipt import Line, Receipt, Signer, allowed
from strongroom.receipt.sshsig import Signature

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def seeds() -> Iterator[bytes]:
    """Give receipts with entries and without, a signature, and files of signers."""
    lines = (Line("a", "file", 1, MOMENT), Line("ä/b", "directory", 0, MOMENT))
    for entries in (lines, (), None):
        yield Receipt("a.zip", "zip", 1, "ab" * 32, MOMENT, "strongroom 1", entries).encode()
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    with Secret(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())) as text, Signer(text) as signer:
        yield signer.sign(b"a receipt")
        named = f'lab@host,*@lab namespaces="strongroom-*",valid-before="20300101" {signer.public_key} comment\n'
        yield f"# signers\n{signer.public_key}\n{named}".encode()


def one(data: bytes) -> None:
    """Read it as each of the three."""
    with suppress(StrongroomError):
        assert Receipt.decode(data, LIMITS).encode() == data
    with suppress(StrongroomError):
        signature = Signature.decode(data)
        assert Signature.decode(signature.encode()) == signature
        signature.check(b"another receipt")
    with suppress(StrongroomError):
        signers = allowed.decode(data)
        allowed.judge(signers, signers[0].wire if signers else b"", "lab@host", MOMENT)
