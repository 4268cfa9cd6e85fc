"""What age derives and wraps keys with, in memory that is wiped."""

from __future__ import annotations

import hmac
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256

from strongroom.errors import FormatError, TamperedError
from strongroom.formats.age.spec import FILE_KEY_SIZE, MAC_SIZE, WRAPPED_SIZE, Header, authenticated, decode_base64
from strongroom.memory import hkdf
from strongroom.memory.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Generator

    from strongroom.formats.age.spec import Stanza

KEY_SIZE: Final = hkdf.SIZE
"""All keys that are derived have it."""
SLOT: Final = 96
"""The longest secret in a slot: what a hybrid identity expands to."""
_ZERO_NONCE: Final = bytes(12)  # of a key that is used once


@contextmanager
def slot(slots: Slots, size: int) -> Generator[memoryview]:
    """Give memory for a secret, and wipe it at the end."""
    whole = slots.take()
    view = whole[:size]
    try:
        yield view
    finally:
        view.release()
        slots.give_back(whole)


@contextmanager
def slots() -> Generator[Slots]:
    """Give the slots of one operation."""
    given = Slots(SLOT)
    try:
        yield given
    finally:
        given.close()


def derive(secret: memoryview | bytes, salt: bytes, info: bytes, key: memoryview) -> None:
    """HKDF-SHA-256. age, "Conventions used in this document"; RFC 5869."""
    hkdf.derive_into(key, secret, salt, info)


def wrap(key: memoryview, file_key: memoryview) -> bytes:
    """Return the file key under a key that is used this one time: the body of a stanza."""
    return ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, file_key, None)


def unwrap(key: memoryview, body: bytes, file_key: memoryview) -> bool:
    """Put the file key in `body` into `file_key`; False where the key does not fit."""
    try:
        ChaCha20Poly1305(key).decrypt_into(_ZERO_NONCE, body, None, file_key)
    except InvalidTag:
        return False
    return True


def header_mac(stanzas: tuple[Stanza, ...], file_key: memoryview) -> bytes:
    """Return the MAC of a header. age, "Header MAC"."""
    with slots() as given, slot(given, KEY_SIZE) as key:
        derive(file_key, b"", b"header", key)
        return hmac.digest(key, authenticated(stanzas), "sha256")


def check_mac(header: Header, file_key: memoryview) -> None:
    """Raise `TamperedError` where the header's MAC does not hold."""
    if not hmac.compare_digest(header_mac(header.stanzas, file_key), header.mac):
        message = "the MAC of the header does not hold"
        raise TamperedError(message)


def derive_payload_key(file_key: memoryview, nonce: bytes, key: memoryview) -> None:
    """See age, "Payload"."""
    derive(file_key, nonce, b"payload", key)


def argument(stanza: Stanza, number: int, size: int) -> bytes:
    """Return an argument of a stanza, decoded; raises `FormatError` where it has not `size` bytes."""
    try:
        data = decode_base64(stanza.arguments[number])
    except ValueError:
        data = b""
    if len(data) != size:
        raise fault(stanza, f"argument {number + 1} is no canonical base64 of {size} bytes")
    return data


def check_shape(stanza: Stanza, arguments: int, body: int = WRAPPED_SIZE) -> None:
    """Raise `FormatError` where a stanza has other numbers of arguments and bytes.

    The body's size is checked before anything is decrypted: a longer one could be made to fit many keys (partitioning
    oracles).
    """
    if len(stanza.arguments) != arguments:
        raise fault(stanza, f"has {len(stanza.arguments)} arguments, expected {arguments}")
    if len(stanza.body) != body:
        raise fault(stanza, f"has a body of {len(stanza.body)} bytes, expected {body}")


def fault(stanza: Stanza, what: str) -> FormatError:
    """Return the error for a stanza that breaks the rules of its kind."""
    return FormatError(f"stanza of {stanza.kind}: {what}", spec=f"age, {stanza.kind} recipient stanza")


assert KEY_SIZE >= FILE_KEY_SIZE  # noqa: S101 - one slot takes either
assert SHA256.digest_size == MAC_SIZE  # noqa: S101 - the MAC is not cut
