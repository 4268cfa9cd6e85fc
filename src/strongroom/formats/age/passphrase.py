"""A passphrase as recipient and as identity. age, "The scrypt recipient type"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from strongroom.errors import FormatError, LimitError
from strongroom.formats.age import keys
from strongroom.formats.age.spec import Stanza, encode_base64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.limits import Limits
    from strongroom.memory.secret import Secret
    from strongroom.memory.slots import Slots

KIND: Final = "scrypt"
LOG_N: Final = 18
"""What age itself writes: 256 MiB and a second, on every machine, so that what one writes the others open."""
_LABEL: Final = b"age-encryption.org/v1/scrypt"
_SALT: Final = 16
_R: Final = 8
_P: Final = 1
_DECIMAL: Final = re.compile(r"[1-9][0-9]*", re.ASCII)
_LONGEST: Final = 3  # digits; beyond that no number is one that a machine could work off


class ScryptRecipient:
    """A passphrase, which stays the caller's. `log_n` is the work factor, as a power of two."""

    post_quantum = False

    def __init__(self, password: Secret, log_n: int = LOG_N) -> None:
        self._password = password
        self._log_n = log_n

    def wrap(self, file_key: memoryview, random: Callable[[int], bytes]) -> Stanza:
        """See `recipients.Recipient`. age, "scrypt recipient stanza"."""
        salt = random(_SALT)
        with keys.slots() as slots, keys.slot(slots, keys.KEY_SIZE) as key:
            _derive(self._password, salt, self._log_n, key)
            return Stanza(KIND, (encode_base64(salt), str(self._log_n)), keys.wrap(key, file_key))


class ScryptIdentity:
    """A passphrase, which stays the caller's. `limits` bounds the work factor."""

    kind = KIND

    def __init__(self, password: Secret, limits: Limits) -> None:
        self._password = password
        self._limits = limits

    @property
    def recipient(self) -> str:
        """See `identities.Identity`."""
        message = "a passphrase has no recipient that could be shown"
        raise ValueError(message)

    def unwrap(self, stanzas: Sequence[Stanza], file_key: memoryview, slots: Slots) -> bool:
        """See `identities.Identity`. age, "scrypt recipient stanza". Raises `LimitError` before any work."""
        return any(self._unwrap(stanza, file_key, slots) for stanza in stanzas)

    def close(self) -> None:
        """See `identities.Identity`; the passphrase is the caller's."""

    def _unwrap(self, stanza: Stanza, file_key: memoryview, slots: Slots) -> bool:
        salt, log_n = parameters(stanza, self._limits)
        with keys.slot(slots, keys.KEY_SIZE) as key:
            _derive(self._password, salt, log_n, key)
            return keys.unwrap(key, stanza.body, file_key)


def parameters(stanza: Stanza, limits: Limits) -> tuple[bytes, int]:
    """Return the salt and the work factor, as a power of two, of a passphrase's stanza. Raises as `unwrap`."""
    keys.check_shape(stanza, 2)
    salt = keys.argument(stanza, 0, _SALT)
    factor = stanza.arguments[1]
    if not _DECIMAL.fullmatch(factor):
        raise keys.fault(stanza, "the work factor is no decimal number")
    if len(factor) > _LONGEST or int(factor) > limits.scrypt_log_n:
        message = f"scrypt's work factor of 2^{factor[:20]} is above the scrypt_log_n limit of {limits.scrypt_log_n}"
        raise LimitError(message)
    return salt, int(factor)


def check_alone(stanzas: tuple[Stanza, ...]) -> None:
    """Raise `FormatError` where a passphrase does not stand alone: whoever knows it vouches for the file."""
    if len(stanzas) > 1 and any(stanza.kind == KIND for stanza in stanzas):
        message = "a passphrase stands beside other recipients"
        raise FormatError(message, spec="age, scrypt recipient stanza")


def _derive(password: Secret, salt: bytes, log_n: int, key: memoryview) -> None:
    password.check_process()
    with memoryview(password) as secret:
        try:
            Scrypt(_LABEL + salt, len(key), 1 << log_n, _R, _P).derive_into(secret, key)
        except MemoryError:
            message = f"there is no memory for scrypt with a work factor of 2^{log_n}, which takes {1 << log_n} KiB"
            raise LimitError(message) from None
