"""How a key comes from a password: the record that stands beside a token, as JSON, and the derivation itself."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, cast

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from strongroom.errors import FormatError, LimitError, UnsupportedError
from strongroom.memory.secret import SecretBuffer

if TYPE_CHECKING:
    from strongroom.limits import Limits
    from strongroom.memory.secret import Secret

SALT_SIZE: Final = 16
LONGEST: Final = 1024
"""What a record has at most, in bytes. Ours have some 110."""

_VERSION: Final = 1
_R: Final = 8
_P: Final = 1


class Derivation(Protocol):
    """A function with its salt and its cost."""

    NAME: ClassVar[str]

    @property
    def salt(self) -> bytes:
        """Random bytes that make each key another one."""
        ...

    def check(self, limits: Limits) -> None:
        """Raise `LimitError` for what would cost too much, `FormatError` for what has no meaning."""
        ...

    def fill(self, password: memoryview, key: memoryview) -> None:
        """Derive a key."""
        ...


@dataclass(frozen=True, slots=True)
class PBKDF2Derivation:
    """PBKDF2-HMAC-SHA256, which every library has. RFC 8018, 5.2.

    1,200,000 rounds are what Django 6.0 and the documentation of `cryptography` take; twice what OWASP asks. 0.3 s.
    """

    NAME: ClassVar[str] = "pbkdf2-hmac-sha256"
    salt: bytes
    iterations: int = 1_200_000

    def check(self, limits: Limits) -> None:
        """See `Derivation`."""
        if self.iterations < 1:
            message = f"PBKDF2 has {self.iterations} rounds"
            raise FormatError(message, spec="RFC 8018, 5.2")
        if self.iterations > limits.kdf_work:
            message = f"{self.iterations} rounds of PBKDF2 are above the kdf_work limit of {limits.kdf_work}"
            raise LimitError(message)

    def fill(self, password: memoryview, key: memoryview) -> None:
        """See `Derivation`."""
        PBKDF2HMAC(SHA256(), len(key), self.salt, self.iterations).derive_into(password, key)


@dataclass(frozen=True, slots=True)
class ScryptDerivation:
    """scrypt, which takes memory as well as time from whoever guesses. RFC 7914.

    2^17, 8, 1 is what OWASP puts first: 128 MiB, which a small virtual machine or a telephone has too, and 0.5 s. age
    takes twice as much. `r` and `p` are written for other readers; only these values are read.
    """

    NAME: ClassVar[str] = "scrypt"
    salt: bytes
    n: int = 1 << 17
    r: int = _R
    p: int = _P

    def check(self, limits: Limits) -> None:
        """See `Derivation`."""
        if (self.r, self.p) != (_R, _P):
            message = f"scrypt with r = {self.r} and p = {self.p}, not {_R} and {_P}"
            raise UnsupportedError(message)
        if self.n < 2 or self.n & self.n - 1:  # noqa: PLR2004 - the message says it
            message = f"scrypt has n = {self.n}, which is no power of two above 1"
            raise FormatError(message, spec="RFC 7914, 2")
        if (log_n := self.n.bit_length() - 1) > limits.scrypt_log_n:
            message = f"scrypt with n = 2^{log_n} is above the scrypt_log_n limit of {limits.scrypt_log_n}"
            raise LimitError(message)

    def fill(self, password: memoryview, key: memoryview) -> None:
        """See `Derivation`."""
        try:
            Scrypt(self.salt, len(key), self.n, self.r, self.p).derive_into(password, key)
        except MemoryError:
            message = f"there is no memory for scrypt with n = {self.n}, which takes {128 * self.r * self.n} bytes"
            raise LimitError(message) from None


KDFS: Final[dict[str, type[PBKDF2Derivation | ScryptDerivation]]] = {
    "pbkdf2": PBKDF2Derivation,
    "scrypt": ScryptDerivation,
}


def derive(derivation: Derivation, password: Secret, size: int) -> SecretBuffer:
    """Return the key of `size` bytes that `password` gives."""
    password.check_process()
    key = SecretBuffer(size)
    try:
        with memoryview(key) as view, memoryview(password) as secret:
            derivation.fill(secret, view)
    except BaseException:
        key.close()
        raise
    return key


def encode(derivation: PBKDF2Derivation | ScryptDerivation) -> bytes:
    """Return the record, one line of JSON."""
    fields = {**asdict(derivation), "salt": base64.b64encode(derivation.salt).decode()}
    return json.dumps({"version": _VERSION, "kdf": derivation.NAME, **fields}).encode() + b"\n"


def decode(record: bytes, name: str) -> PBKDF2Derivation | ScryptDerivation:
    """Read a record; one value has one encoding. Raises `FormatError`, `UnsupportedError`."""
    try:
        fields = cast("object", json.loads(record))
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise _fault(name) from None
    derivation: PBKDF2Derivation | ScryptDerivation
    match fields:
        case {"version": int(version)} if version != _VERSION:
            message = f"{name!r} has version {version}, not {_VERSION}"
            raise UnsupportedError(message)
        case {"kdf": PBKDF2Derivation.NAME, "salt": str(salt), "iterations": int(iterations)}:
            derivation = PBKDF2Derivation(_salt(salt, name), int(iterations))  # true is an int, and not written so
        case {"kdf": ScryptDerivation.NAME, "salt": str(salt), "n": int(n), "r": int(r), "p": int(p)}:
            derivation = ScryptDerivation(_salt(salt, name), int(n), int(r), int(p))
        case {"kdf": str(kdf)} if all(kdf != known.NAME for known in KDFS.values()):
            message = f"{name!r} names the key derivation {kdf!r}"
            raise UnsupportedError(message)
        case _:
            raise _fault(name)
    if encode(derivation) != record:
        raise _fault(name)
    return derivation


def _salt(text: str, name: str) -> bytes:
    try:
        salt = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # also for text that is not ASCII
        raise _fault(name) from None
    if len(salt) != SALT_SIZE:
        raise _fault(name)
    return salt


def _fault(name: str) -> FormatError:
    return FormatError(f"{name!r} is no record of a key derivation as FernetLayer writes it")
