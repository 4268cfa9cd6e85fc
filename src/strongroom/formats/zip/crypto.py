"""WinZip AES (AES-CTR and HMAC-SHA1 under PBKDF2 keys), and, for reading only, PKWARE's traditional encryption.

"AES" is WinZip's "AES Encryption Information", version 1.04.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

from cryptography.exceptions import AlreadyFinalized
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from strongroom.memory.secret import SecretBuffer

if TYPE_CHECKING:
    from strongroom.memory.secret import Secret
    from strongroom.memory.slots import Slots

ROUNDS: Final = 1000  # AES II.G; fixed by the format
VERIFIER_SIZE: Final = 2
TAG_SIZE: Final = 10
KEYS_SIZE: Final = 2 * 32 + VERIFIER_SIZE
"""What the keys of an entry take at most."""
_BLOCK: Final = 16
SLACK: Final = 2 * _BLOCK
"""How much longer than its data a buffer for `Keystream.apply` is: whole blocks, and what OpenSSL asks beside them."""
_FIRST_BLOCKS: Final = 1 << 8
_few_blocks = 1 << 14  # as many, block by block (0.6 us each), before it pays to load numpy (65 ms, once)


def salt_size(key_bits: int) -> int:
    """Return the length of an entry's salt, half the key's. AES II.C."""
    return key_bits // 16


def overhead(key_bits: int) -> int:
    """Return what encryption adds to an entry: salt, password verifier and authentication code. AES II.A."""
    return salt_size(key_bits) + VERIFIER_SIZE + TAG_SIZE


class Keys:
    """An entry's keys: PBKDF2-HMAC-SHA1, 1000 rounds, of password and salt. AES II.G.

    They live in one of `slots`, which have `KEYS_SIZE`. Wiped by `close()`; a context manager.
    """

    def __init__(self, password: Secret, salt: bytes, key_bits: int, slots: Slots) -> None:
        password.check_process()
        self._size = key_bits // 8
        self._slots = slots
        self._closed = False
        self._slot = slots.take()
        self._keys = self._slot[: 2 * self._size + VERIFIER_SIZE]
        self._streams: set[Keystream] = set()
        self._authenticators: list[HMAC] = []
        try:
            with memoryview(password) as secret:
                PBKDF2HMAC(SHA1(), len(self._keys), salt, ROUNDS).derive_into(secret, self._keys)  # noqa: S303 - the format's
        except BaseException:
            self.close()
            raise

    @property
    def verifier(self) -> bytes:
        """The two bytes that tell a wrong password quickly; they are public, in the file."""
        return bytes(self._keys[2 * self._size :])

    def keystream(self, block: int = 0) -> Keystream:
        """Return the cipher, `block` blocks into the entry; a context manager, for those of which there are many."""
        return Keystream(self._keys[: self._size], block, self._streams)

    def authenticator(self) -> HMAC:
        """Return the HMAC-SHA1 over the ciphertext, of which `tag` takes the front. AES II.F."""
        authenticator = HMAC(self._keys[self._size : 2 * self._size], SHA1())  # noqa: S303 - the format's
        self._authenticators.append(authenticator)
        return authenticator

    def close(self) -> None:
        """Wipe the keys, and end what was made of them, in which OpenSSL has copies: tracebacks may hold that."""
        if self._closed:
            return
        self._closed = True
        while self._streams:
            self._streams.pop().close()
        for authenticator in self._authenticators:
            with suppress(AlreadyFinalized):
                authenticator.finalize()
        self._keys.release()
        self._slots.give_back(self._slot)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tag(authenticator: HMAC) -> bytes:
    """End the HMAC and return the authentication code, its first 10 bytes. AES II.F."""
    return authenticator.finalize()[:TAG_SIZE]


class Keystream:
    """AES in counter mode, the counter little-endian, from 1. AES II.E.

    OpenSSL counts big-endian. So the counters are laid out by numpy, encrypted in ECB mode into the output buffer, and
    the data XORed over them there: no copy of the key stream or of the plaintext remains.
    """

    def __init__(self, key: memoryview, block: int = 0, living: set[Keystream] | None = None) -> None:
        self._living = living
        if living is not None:
            living.add(self)
        self._block = block + 1
        self._key = key
        self._algorithm = algorithms.AES(key)
        self._encryptor: Any = None

    def apply(self, data: memoryview, out: memoryview) -> None:
        """Encrypt or decrypt `data` into the front of `out`, which is `SLACK` bytes longer.

        All but the last call of a stream take whole blocks of 16 bytes. `data` and `out` do not
        overlap.
        """
        global _few_blocks  # noqa: PLW0603 - it counts toward the price of an import, which is the process's
        blocks = -(-len(data) // _BLOCK)
        if not blocks:
            return
        if blocks <= _few_blocks and "numpy" not in sys.modules:
            _few_blocks -= blocks
            self._apply_few(data, out)
        else:
            self._apply_many(data, out, blocks)
        self._block += blocks

    def close(self) -> None:
        """End it, and let go of the key."""
        if self._living is not None:
            self._living.discard(self)
        self._encryptor = None
        self._key.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _apply_few(self, data: memoryview, out: memoryview) -> None:
        start = self._block.to_bytes(_BLOCK, "little")
        encryptor = Cipher(self._algorithm, modes.CTR(start)).encryptor()
        for position in range(0, len(data), _BLOCK):
            encryptor.reset_nonce((self._block + position // _BLOCK).to_bytes(_BLOCK, "little"))
            encryptor.update_into(data[position : position + _BLOCK], out[position:])

    def _apply_many(self, data: memoryview, out: memoryview, blocks: int) -> None:
        import numpy as np  # noqa: PLC0415 - 65 ms that small work does without

        if self._encryptor is None:
            self._encryptor = Cipher(self._algorithm, modes.ECB()).encryptor()  # noqa: S305 - makes the key stream
        size = len(data)
        short = self._block == 1 and blocks <= _FIRST_BLOCKS
        counters = _first_counters()[: blocks * _BLOCK] if short else _counters.starting(self._block, blocks)
        self._encryptor.update_into(counters, out)
        target = np.frombuffer(out[:size], np.uint8)
        np.bitwise_xor(target, np.frombuffer(data, np.uint8), out=target)


class _Counters(threading.local):
    """The counters of the last chunk of this thread, which become those of the next in half the time of new ones."""

    _pairs: Any = None  # of 64 bits each, of which the second is zero
    _first = 0

    def starting(self, first: int, blocks: int) -> memoryview:
        """Return `blocks` counters from `first` on."""
        import numpy as np  # noqa: PLC0415 - loaded by now

        if self._pairs is None or len(self._pairs) < blocks:
            self._pairs = np.zeros((blocks, 2), "<u8")
            self._pairs[:, 0] = np.arange(first, first + blocks, dtype="<u8")
        else:
            self._pairs = self._pairs[:blocks]
            self._pairs[:, 0] += np.uint64((first - self._first) % (1 << 64))
        self._first = first
        return memoryview(self._pairs).cast("B")


_counters: Final = _Counters()


@cache
def _first_counters() -> memoryview:
    """Return the counters that every entry begins with, which short ones need not lay out anew."""
    return memoryview(b"".join(block.to_bytes(_BLOCK, "little") for block in range(1, _FIRST_BLOCKS + 1)))


class ZipCrypto:
    """PKWARE's traditional encryption, which is broken: known plaintext of 12 bytes gives the key. APPNOTE 6.1."""

    HEADER_SIZE: Final = 12

    def __init__(self, password: Secret) -> None:
        password.check_process()
        self._buffer = SecretBuffer(12)
        self._keys = memoryview(self._buffer).cast("I")
        self._keys[0], self._keys[1], self._keys[2] = 0x12345678, 0x23456789, 0x34567890
        self._table = _crc_table()
        with memoryview(password) as secret:
            self.decrypt(b"", priming=secret)

    def close(self) -> None:
        """Wipe the keys."""
        self._keys.release()
        self._buffer.close()

    def decrypt(self, data: bytes | memoryview, priming: bytes | memoryview = b"") -> bytearray:
        """Decrypt `data`, or first mix `priming` into the keys."""
        table = self._table
        key0, key1, key2 = self._keys
        out = bytearray(len(data))
        for position, value in enumerate(priming or data):
            byte = value
            if not priming:
                mask = (key2 | 2) & 0xFFFF
                byte ^= (mask * (mask ^ 1) >> 8) & 0xFF
                out[position] = byte
            key0 = key0 >> 8 ^ table[(key0 ^ byte) & 0xFF]
            key1 = ((key1 + (key0 & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
            key2 = key2 >> 8 ^ table[(key2 ^ key1 >> 24) & 0xFF]
        self._keys[0], self._keys[1], self._keys[2] = key0, key1, key2
        return out


def _crc_table() -> list[int]:
    table: list[int] = []
    for value in range(256):
        entry = value
        for _ in range(8):
            entry = entry >> 1 ^ (0xEDB88320 if entry & 1 else 0)
        table.append(entry)
    return table
