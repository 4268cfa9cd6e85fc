"""What is looked for: secrets, and the forms in which libraries keep them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Subject = Literal["plaintext", "password", "key"]
SUBJECTS: Final[tuple[Subject, ...]] = ("plaintext", "password", "key")

_HALF: Final = 16
_INNER, _OUTER = 0x36, 0x5C  # RFC 2104, section 2: ipad and opad
_HMAC_BLOCK: Final = 64
_BECH32: Final = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM: Final = 6


@dataclass(frozen=True, slots=True)
class Needle:
    """Bytes to look for; `form` says what of the `subject` they are."""

    subject: Subject
    form: str
    value: bytes = field(repr=False)


def of_plaintext(canary: bytes) -> Iterator[Needle]:
    """Give the forms of a canary that stands all over a plaintext."""
    yield Needle("plaintext", "bytes", canary)
    yield Needle("plaintext", "UTF-16", canary.decode("latin-1").encode("utf-16-le"))


def of_password(password: bytes) -> Iterator[Needle]:
    """Give the forms of a password in ASCII: HMAC, and so PBKDF2, works on it XORed with two constants."""
    yield Needle("password", "bytes", password)
    yield Needle("password", "UTF-16", password.decode("ascii").encode("utf-16-le"))
    yield from _hmac_forms("password", "", password)


def of_aes_key(name: str, key: bytes) -> Iterator[Needle]:
    """Give the halves of an AES key, and its base64.

    An encryption key schedule begins with the key itself (FIPS 197, 5.2). A decryption schedule of OpenSSL with AES-NI
    has the round keys in reverse order, all but the outermost two transformed: there only the first half is found.
    """
    yield from _halves(name, key)
    yield from _base64(name, key)


def of_hmac_key(name: str, key: bytes) -> Iterator[Needle]:
    """Give the halves of an HMAC key, its base64, and what HMAC makes of it first."""
    yield from _halves(name, key)
    yield from _base64(name, key)
    yield from _hmac_forms("key", f"{name}, ", key)


def of_fernet_key(name: str, key: bytes) -> Iterator[Needle]:
    """Give the parts of a Fernet key of 32 bytes: it is passed around in base64 (Fernet Spec, "Key Format")."""
    yield from _base64(name, key)
    yield from of_hmac_key(f"{name}, signing", key[:_HALF])
    yield from of_aes_key(f"{name}, encryption", key[_HALF:])


def of_identity(text: bytes) -> Iterator[Needle]:
    """Give the parts of an age identity: its key, and half of its text, in capital and in small letters."""
    yield from _halves("age identity", identity_key(text))
    end = text[-_HALF * 2 :]
    yield Needle("key", "age identity, text", end)
    yield Needle("key", "age identity, small letters", end.lower())


def identity_key(text: bytes) -> bytes:
    """Return the key that an X25519 identity's text is of: groups of five bits behind the last "1". BIP 173."""
    digits = text.rpartition(b"1")[2][:-_CHECKSUM].lower()
    number = 0
    for digit in digits:
        number = number << 5 | _BECH32.index(digit)
    return (number >> len(digits) * 5 % 8).to_bytes(len(digits) * 5 // 8)


def _halves(name: str, key: bytes) -> Iterator[Needle]:
    for start in range(0, len(key), _HALF):
        yield Needle("key", f"{name}, from byte {start}", key[start : start + _HALF])


def _base64(name: str, key: bytes) -> Iterator[Needle]:
    # Whole groups only, so that no padding is part of the needle.
    text = base64.b64encode(key[: len(key) // 3 * 3])
    yield Needle("key", f"{name}, base64", text)
    if (url := text.translate(bytes.maketrans(b"+/", b"-_"))) != text:
        yield Needle("key", f"{name}, base64 for URLs", url)


def _hmac_forms(subject: Subject, name: str, key: bytes) -> Iterator[Needle]:
    for what, pad in (("inner", _INNER), ("outer", _OUTER)):
        form = bytes(byte ^ pad for byte in key.ljust(_HMAC_BLOCK, b"\0"))
        yield Needle(subject, f"{name}HMAC's {what} block", form[: max(len(key), _HALF)])
