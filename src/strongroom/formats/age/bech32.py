"""Bech32, the writing of age's keys: BIP 173, but for its limit of 90 characters (age, "Conventions").

By hand, since what a library returns of a secret key is a copy that nobody can wipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {ord(letter): value for value, letter in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6
_SEPARATOR: Final = ord("1")
_UPPER: Final = range(ord("A"), ord("Z") + 1)
_LOWER: Final = range(ord("a"), ord("z") + 1)
_CASE: Final = 0x20
_VISIBLE: Final = range(33, 127)


def prefix(text: memoryview) -> str:
    """Return what stands before the last "1", in lower case: what kind of key it is. Raises `ValueError`."""
    place = next((place for place in reversed(range(len(text))) if text[place] == _SEPARATOR), 0)
    if not place or len(text) - place - 1 < _CHECKSUM:
        message = "a key has no prefix, or is cut off"
        raise ValueError(message)
    if any(byte not in _VISIBLE for byte in text[:place]):
        message = "a key's prefix has characters that are not ASCII"
        raise ValueError(message)
    return bytes(text[:place]).decode("ascii").lower()


def decode_into(text: memoryview, target: memoryview) -> None:
    """Put the data of a key into `target`, which has its size. Raises `ValueError`, which does not show the key."""
    cases = {byte in _UPPER for byte in text if byte in _UPPER or byte in _LOWER}
    if len(cases) > 1:
        message = "a key mixes capital and small letters"
        raise ValueError(message)
    kind = prefix(text)
    data = text[len(kind) + 1 :]
    checksum = 1
    for value in _expand(kind):
        checksum = _step(checksum, value)
    for byte in data:
        checksum = _step(checksum, _value(byte))
    if checksum != 1:
        message = "a key's checksum does not hold: it is mistyped or cut off"
        raise ValueError(message)
    _regroup(data[:-_CHECKSUM], target)


def encode_into(kind: str, data: memoryview, target: memoryview) -> None:
    """Put the key's text, in small letters, into `target`, which has `length(kind, data)` bytes."""
    place = len(kind) + 1
    target[:place] = f"{kind}1".encode()
    checksum = 1
    for value in _expand(kind):
        checksum = _step(checksum, value)
    for value in _groups(data):
        checksum = _step(checksum, value)
        target[place] = ord(_ALPHABET[value])
        place += 1
    for _ in range(_CHECKSUM):
        checksum = _step(checksum, 0)
    checksum ^= 1
    for index in range(_CHECKSUM):
        target[place + index] = ord(_ALPHABET[checksum >> 5 * (_CHECKSUM - 1 - index) & 31])


def length(kind: str, size: int) -> int:
    """Return how many characters a key of `size` bytes has."""
    return len(kind) + 1 + -(-size * 8 // 5) + _CHECKSUM


def data_size(text: memoryview) -> int:
    """Return how many bytes a key has."""
    return (len(text) - len(prefix(text)) - 1 - _CHECKSUM) * 5 // 8


def encode(kind: str, data: bytes) -> str:
    """Return the text of a public key."""
    text = bytearray(length(kind, len(data)))
    encode_into(kind, memoryview(data), memoryview(text))
    return text.decode("ascii")


def decode(text: str) -> bytes:
    """Return the data of a public key. Raises `ValueError`."""
    view = memoryview(text.encode())
    data = bytearray(data_size(view))
    decode_into(view, memoryview(data))
    return bytes(data)


def _expand(kind: str) -> Iterable[int]:
    """What the checksum takes of the prefix: high bits of each letter, a zero, low bits. BIP 173, "Checksum"."""
    return [*(ord(letter) >> 5 for letter in kind), 0, *(ord(letter) & 31 for letter in kind)]


def _step(checksum: int, value: int) -> int:
    top = checksum >> 25
    checksum = (checksum & 0x1FFFFFF) << 5 ^ value
    for bit, term in enumerate(_GENERATOR):
        if top >> bit & 1:
            checksum ^= term
    return checksum


def _value(byte: int) -> int:
    value = _VALUES.get(byte | _CASE if byte in _UPPER else byte)
    if value is None:
        message = "a key has a character that Bech32 does not have"
        raise ValueError(message)
    return value


def _groups(data: memoryview) -> Iterator[int]:
    bits = held = 0
    for byte in data:
        held = (held << 8 | byte) & 0xFFF
        bits += 8
        while bits >= 5:  # noqa: PLR2004 - bits of a character
            bits -= 5
            yield held >> bits & 31
    if bits:
        yield held << 5 - bits & 31


def _regroup(data: memoryview, target: memoryview) -> None:
    bits = held = place = 0
    for byte in data:
        held = (held << 5 | _value(byte)) & 0xFFF
        bits += 5
        if bits >= 8:  # noqa: PLR2004 - bits of a byte
            bits -= 8
            if place == len(target):
                place += 1
                break
            target[place] = held >> bits & 0xFF
            place += 1
    if place != len(target) or bits >= 5 or held & (1 << bits) - 1:  # noqa: PLR2004 - bits of a character
        message = f"a key has not {len(target)} bytes, or bits are left over"
        raise ValueError(message)
