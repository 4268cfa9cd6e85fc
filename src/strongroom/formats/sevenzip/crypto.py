"""7zAES: AES-256-CBC under a key of many rounds of SHA-256. It has no authentication code.

The only specification is the source: "7zAes" is CPP/7zip/Crypto/7zAes.cpp of 7-Zip 18.06 and later, cited by
function.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from strongroom.errors import FormatError, LimitError
from strongroom.memory.secret import SecretBuffer

if TYPE_CHECKING:
    from strongroom.limits import Limits
    from strongroom.memory.secret import Secret

BLOCK: Final = 16
SLACK: Final = BLOCK - 1
"""How much longer than its data OpenSSL wants the output of `update_into` to be."""
KEY_SIZE: Final = 32
SALT_SIZE: Final = 16  # the longest; other writers have none, so that one table of keys serves all their archives
IV_SIZE: Final = 16
CYCLES_POWER: Final = 19  # of all writers; 18 ms for a password of 16 characters
_NO_HASH: Final = 0x3F
_POWER, _HAS_IV, _HAS_SALT = 0x3F, 0x40, 0x80
_COUNTER_SIZE: Final = 8
_ROW: Final = 256
_FILLS: Final = [bytes((value,)) * _ROW for value in range(256)]
_BYTES_HEADER: Final = bytes.__basicsize__ - 1  # of a bytes object, before its data, to which a NUL belongs


class AesProperties(NamedTuple):
    """The properties of the 7zAES coder. 7zAes, CEncoder::WriteCoderProperties and CDecoder::SetDecoderProperties2.

    offset  size  field
    0       1     bits 0 to 5: the logarithm of the number of rounds, or 63 for none; bit 6 an IV, bit 7 a salt follows
    1       1     size of the salt less one in the high half, of the IV in the low; left out where there is neither
    2       0-16  salt
    -       0-16  IV; zeros are missing at its end
    """

    cycles_power: int
    salt: bytes
    iv: bytes

    def encode(self) -> bytes:
        """Return the properties as bytes."""
        flags = self.cycles_power | (_HAS_SALT if self.salt else 0) | (_HAS_IV if self.iv else 0)
        if not self.salt and not self.iv:
            return bytes((flags,))
        sizes = max(len(self.salt) - 1, 0) << 4 | max(len(self.iv) - 1, 0)
        return bytes((flags, sizes)) + self.salt + self.iv

    @classmethod
    def decode(cls, data: bytes) -> AesProperties:
        """Read the properties of a coder; raises `FormatError` where they have a size other than they say."""
        flags, sizes = (data + b"\0\0")[:2]
        salt_size = (sizes >> 4) + 1 if flags & _HAS_SALT else 0
        iv_size = (sizes & 0xF) + 1 if flags & _HAS_IV else 0
        properties = cls(flags & _POWER, data[2 : 2 + salt_size], data[2 + salt_size :])
        if len(properties.iv) != iv_size or properties.encode() != data:
            message = f"the AES properties have {len(data)} bytes, which are not those of a salt and an IV"
            raise FormatError(message, spec="7zAes, SetDecoderProperties2")
        return properties


def utf16(password: Secret) -> SecretBuffer:
    """Return a password, which a Secret holds in UTF-8, in UTF-16 as 7-Zip hashes it, without a copy that stays.

    Raises `ValueError` for bytes that are not UTF-8.
    """
    password.check_process()
    with memoryview(password) as view:
        # As many units as bytes that are not continuations, and one more for each character beyond U+FFFF.
        units = sum((byte & 0xC0 != 0x80) + (byte >= 0xF0) for byte in view)  # noqa: PLR2004 - RFC 3629, 3
        out = SecretBuffer(2 * max(units, 1))
        position = start = 0
        while start < len(view):
            end = start + 1
            while end < len(view) and view[end] & 0xC0 == 0x80:  # noqa: PLR2004
                end += 1
            unit = _character(view[start:end])
            if unit is None or position + len(unit) > len(out):
                out.close()
                message = "the password is not text in UTF-8, which 7z needs"
                raise ValueError(message)
            out[position : position + len(unit)] = unit
            position, start = position + len(unit), end
    return out


def _character(view: memoryview) -> bytes | None:
    """Return one character's UTF-16; None in place of an error, which would carry the character."""
    try:
        return str(view, "utf-8").encode("utf-16-le")
    except UnicodeDecodeError:
        return None


class Key:
    """An archive's key: SHA-256 over 2^n times salt, password and a counter. 7zAes, CKeyInfo::CalcKey.

    Raises `LimitError` for more rounds than `limits` allows, before any work. Wiped by `close()`; a context manager.
    """

    def __init__(self, password: Secret, salt: bytes, cycles_power: int, limits: Limits) -> None:
        if cycles_power != _NO_HASH and 1 << cycles_power > limits.kdf_work:
            message = f"the key takes 2^{cycles_power} rounds, above the kdf_work limit of {limits.kdf_work}"
            raise LimitError(message)
        self._buffer = SecretBuffer(KEY_SIZE)
        try:
            with utf16(password) as text:
                if cycles_power == _NO_HASH:
                    size = min(len(text), KEY_SIZE - len(salt))
                    self._buffer[: len(salt)] = salt
                    with memoryview(text) as view:
                        self._buffer[len(salt) : len(salt) + size] = view[:size]
                else:
                    _hash_rounds(salt, text, 1 << cycles_power, self._buffer)
        except BaseException:
            self._buffer.close()
            raise
        self._view = memoryview(self._buffer)

    @property
    def secret(self) -> SecretBuffer:
        """The key itself, for what else is derived from it."""
        return self._buffer

    def encryptor(self, iv: bytes) -> Any:  # noqa: ANN401 - cryptography's context has no public type of its own
        """Return the CBC encryptor of one stream."""
        return self._cipher(iv).encryptor()

    def decryptor(self, iv: bytes) -> Any:  # noqa: ANN401
        """Return a CBC decryptor; `iv` is the folder's, or the 16 bytes of ciphertext before the place to start at."""
        return self._cipher(iv).decryptor()

    def _cipher(self, iv: bytes) -> Cipher[modes.CBC]:
        self._buffer.check_process()
        return Cipher(algorithms.AES(self._view), modes.CBC(iv.ljust(IV_SIZE, b"\0")))

    def close(self) -> None:
        """Wipe the key, also under ciphers that are still around."""
        self._view.release()
        self._buffer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hash_rounds(salt: bytes, text: SecretBuffer, rounds: int, target: SecretBuffer) -> None:
    """Put the hash of all rounds into `target`.

    256 rounds stand in one buffer, 16 KiB for a password of 20 characters, in which only the lowest byte of the
    counters differs. The higher ones are the same for all of them, and are changed from one buffer to the next.
    """
    counter = len(salt) + len(text)
    width = counter + _COUNTER_SIZE
    digest = Hash(SHA256())
    with SecretBuffer(_ROW * width) as row, memoryview(row) as view, memoryview(text) as password:
        for number in range(_ROW):
            start = number * width
            view[start : start + len(salt)] = salt
            view[start + len(salt) : start + counter] = password
            view[start + counter] = number
        for high in range(max(rounds // _ROW, 1)):
            changed = high ^ (high - 1) if high else 0
            place = counter + 1
            while changed:
                view[place::width] = _FILLS[high >> 8 * (place - counter - 1) & 0xFF]
                changed, place = changed >> 8, place + 1
            digest.update(view[: min(rounds, _ROW) * width])
    result = digest.finalize()
    target[:] = result
    # The one copy that the library gave, and nobody else has seen: bytes are immutable for all but their owner.
    ctypes.memset(id(result) + _BYTES_HEADER, 0, len(result))
