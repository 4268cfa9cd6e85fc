"""Fernet tokens, made and read in pieces. "Fernet" is github.com/fernet/spec, Spec.md.

`cryptography.fernet` would do, but its object keeps the key in `bytes` that nobody can wipe, and takes six times the
data in memory (ADR 5). Here the primitives are the same ones, the key stays in a SecretBuffer, and one chunk at a time
is worked on.
"""

from __future__ import annotations

import base64
import binascii
import io
import string
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from strongroom.errors import FormatError, LimitError, WrongKeyError
from strongroom.flow import CHUNK
from strongroom.limits import MIB
from strongroom.memory.secret import SecretBuffer, wipe

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from strongroom.flow import Chunk

KEY_SIZE: Final = 32
_KEY_TEXT: Final = 44  # in base64, the last of them a "="
IV_SIZE: Final = 16
LARGEST: Final = 256 * MIB
"""How much goes into a token: whoever reads it with another library needs some six times that in memory, at once."""

_VERSION: Final = b"\x80"
_TIME_SIZE: Final = 8
_HEAD: Final = len(_VERSION) + _TIME_SIZE + IV_SIZE
_TAG: Final = 32
_BLOCK: Final = 16
_END: Final = 6  # characters that may hold the padding, and a newline as editors and `echo` add it

_ALPHABET: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits
_VALUES: Final = {ord(digit): value for value, digit in [*enumerate(_ALPHABET + "-_"), (62, "+"), (63, "/")]}
_TO_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/!!")  # for binascii, which knows no other alphabet


def decode_key(text: memoryview) -> SecretBuffer:
    """Return the 32 bytes of a key in base64, as `Fernet.generate_key()` gives it. Raises `ValueError`.

    By hand, since what `binascii` returns is a copy of the key that nobody can wipe.
    """
    key = SecretBuffer(KEY_SIZE)
    try:
        if len(text) != _KEY_TEXT or text[-1] != ord("="):
            raise KeyError  # noqa: TRY301 - one message for all
        for place in range(0, _KEY_TEXT, 4):
            group = 0
            for index in range(place, place + 4):
                group = group << 6 | (_VALUES[text[index]] if index < _KEY_TEXT - 1 else 0)
            start = place // 4 * 3
            key[start : start + 3] = group.to_bytes(3)[: KEY_SIZE - start]
    except KeyError:
        key.close()
        message = f"a Fernet key is 32 bytes in base64, which makes {_KEY_TEXT} characters"
        raise ValueError(message) from None
    return key


def encrypt(key: SecretBuffer, chunks: Iterable[Chunk], *, now: int, iv: bytes) -> Generator[bytes]:
    """Give the token of `chunks` (whole blocks, but for the last) in pieces, and release them. Fernet, "Generating".

    `now` is in seconds since 1970. Raises `LimitError` past `LARGEST`.
    """
    armor, total = _Encoder(), 0
    with _scratch() as out, SecretBuffer(_BLOCK) as last, _context(key) as (signer, cipher):
        encryptor = Cipher(cipher, modes.CBC(iv)).encryptor()

        def seal(data: memoryview) -> bytes:
            with out[: encryptor.update_into(data, out)] as sealed:
                signer.update(sealed)
                return armor.update(sealed)

        head = _VERSION + now.to_bytes(_TIME_SIZE) + iv
        signer.update(head)
        yield armor.update(head)
        rest = 0
        for chunk in chunks:
            try:
                total += len(chunk.data)
                if total > LARGEST:
                    raise too_large(total)
                rest = len(chunk.data) % _BLOCK
                last[:rest] = chunk.data[len(chunk.data) - rest :]
                piece = seal(chunk.data[: len(chunk.data) - rest])
            finally:
                chunk.release()
            yield piece
        padding = _BLOCK - rest  # RFC 5652, 6.3
        last[rest:] = bytes([padding]) * padding
        with memoryview(last) as block:
            piece = seal(block)
        yield piece + armor.update(signer.finalize()) + armor.finish()


def decrypt(key: SecretBuffer, chunks: Iterable[memoryview], name: str) -> bytes:
    """Return what the token in `chunks` holds, once its HMAC has been checked. Fernet, "Verifying".

    Like `ReadRoom.read` of a long entry it decrypts beside the check, into memory that nobody sees before. The time in
    the token is not judged: an archive has no age at which it ends.

    Raises `FormatError`, and `WrongKeyError` where the HMAC does not hold.
    """
    plain = io.BytesIO()  # gives up its memory as bytes without a copy
    try:
        _decrypt_into(plain, key, chunks, name)
        return plain.getvalue()
    except BaseException:
        if not plain.closed:  # as it is where there was no memory for it to grow
            with plain.getbuffer() as view:
                wipe(view)
        raise


def too_large(size: int) -> LimitError:
    """Return the error for data that is too much for a token."""
    return LimitError(
        f"{size} bytes are above the {LARGEST} of a Fernet token, which is read in one piece; age has no such limit"
    )


def _decrypt_into(plain: io.BytesIO, key: SecretBuffer, chunks: Iterable[memoryview], name: str) -> None:
    with _scratch() as out, _context(key) as (signer, cipher):
        pieces, held = _decode(chunks, name), b""
        while len(held) < _HEAD and (piece := next(pieces, None)) is not None:
            held += piece
        if len(held) < _HEAD or not held.startswith(_VERSION):
            message = f"{name!r} is no Fernet token"
            raise FormatError(message, spec="Fernet, Token Format")
        head, held = held[:_HEAD], held[_HEAD:]
        decryptor = Cipher(cipher, modes.CBC(head[-IV_SIZE:])).decryptor()
        signer.update(head)
        for piece in chain((b"",), pieces):
            held += piece
            whole = max(0, len(held) - _TAG) // _BLOCK * _BLOCK  # what is surely not the HMAC at the end
            with memoryview(held)[:whole] as data:
                signer.update(data)
                for start in range(0, whole, CHUNK):
                    with out[: decryptor.update_into(data[start : start + CHUNK], out)] as opened:
                        plain.write(opened)
            held = held[whole:]
        if len(held) != _TAG or not plain.tell():
            message = f"{name!r} is cut off: its ciphertext is not whole blocks"
            raise FormatError(message, spec="Fernet, Token Format")
        try:
            signer.verify(held)
        except InvalidSignature:
            message = f"the key does not fit {name!r}, or that was changed before it came into the archive"
            raise WrongKeyError(message) from None
    plain.truncate(plain.tell() - _padding(plain, name))


@contextmanager
def _context(key: SecretBuffer) -> Generator[tuple[HMAC, AES]]:
    """Give the HMAC and the cipher of a key: its first half signs, its second encrypts. Fernet, "Key Format"."""
    half = KEY_SIZE // 2
    with memoryview(key) as view, view[:half] as signing, view[half:] as encryption:
        yield HMAC(signing, SHA256()), AES(encryption)


@contextmanager
def _scratch() -> Generator[memoryview]:
    """Give memory for a chunk, with the block more that OpenSSL wants beside it, and wipe it at the end."""
    with memoryview(bytearray(CHUNK + _BLOCK)) as buffer:
        try:
            yield buffer
        finally:
            wipe(buffer)


def _padding(plain: io.BytesIO, name: str) -> int:
    """Return how long the padding at the end is. Wrong only where whoever has the key made it so."""
    with plain.getbuffer() as view:
        count = view[-1]
        if not 0 < count <= _BLOCK or bytes(view[-count:]) != bytes([count]) * count:
            message = f"{name!r} has padding that is none"
            raise FormatError(message, spec="RFC 5652, 6.3")
        return count


class _Encoder:
    """base64url in pieces. RFC 4648, 5."""

    def __init__(self) -> None:
        self._carry = b""

    def update(self, data: bytes | memoryview) -> bytes:
        data = self._carry + data
        whole = len(data) // 3 * 3
        self._carry = data[whole:]
        return base64.urlsafe_b64encode(data[:whole])

    def finish(self) -> bytes:
        return base64.urlsafe_b64encode(self._carry)


def _decode(chunks: Iterable[memoryview], name: str) -> Iterator[bytes]:
    """Read base64url in pieces; strictly (RFC 4648, 3.3 and 3.5), but for one newline at the end."""
    carry = b""
    for chunk in chunks:
        text = carry + chunk
        whole = max(0, len(text) - _END) // 4 * 4
        carry = text[whole:]
        piece = _decode_whole(text[:whole], name)
        if len(piece) != whole // 4 * 3:  # padding before the end
            raise _no_base64(name)
        yield piece
    text = carry.removesuffix(b"\n").removesuffix(b"\r")
    piece = _decode_whole(text, name)
    if base64.urlsafe_b64encode(piece) != text:
        raise _no_base64(name)
    yield piece


def _decode_whole(text: bytes, name: str) -> bytes:
    try:
        return binascii.a2b_base64(text.translate(_TO_STANDARD), strict_mode=True)
    except binascii.Error:
        raise _no_base64(name) from None


def _no_base64(name: str) -> FormatError:
    return FormatError(f"{name!r} is not base64url", spec="RFC 4648, 5")
