from __future__ import annotations

import base64
import hmac
import io
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given
from hypothesis import strategies as st

from strongroom import FormatError, LimitError, StrongroomError, WrongKeyError
from strongroom.flow import CHUNK, chunks_of
from strongroom.layers import token
from strongroom.layers.token import decode_key, decrypt, encrypt
from strongroom.memory.secret import SecretBuffer
from tests.helpers import noise

TEXT = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SIZES = [0, 1, 2, 15, 16, 17, 31, 32, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1]
IV = noise(16)


@pytest.fixture
def key() -> Iterator[SecretBuffer]:
    """The key that `TEXT` is."""
    with decode_key(memoryview(TEXT)) as made:
        yield made


def made(data: bytes, now: int = 499162800) -> bytes:
    """A token of `cryptography`'s own."""
    return Fernet(TEXT)._encrypt_from_parts(data, now, IV)


def resigned(body: bytes) -> bytes:
    """A token of anything, with the right HMAC."""
    tag = hmac.digest(bytes(range(16)), body, "sha256")
    return base64.urlsafe_b64encode(body + tag)


def views(data: bytes, size: int) -> Iterator[memoryview]:
    """Cut into pieces."""
    return (memoryview(data)[place : place + size] for place in range(0, len(data), size))


@pytest.mark.parametrize("size", SIZES)
def test_both_ways(key: SecretBuffer, size: int) -> None:
    """Byte for byte the token of `cryptography`, and each reads the other's."""
    data = noise(size)
    sealed = b"".join(encrypt(key, chunks_of(data), now=499162800, iv=IV))
    assert sealed == made(data)
    assert Fernet(TEXT).decrypt(sealed) == data
    assert decrypt(key, views(sealed, CHUNK), "a") == data


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 63, 64, 65])
def test_pieces_make_no_difference(key: SecretBuffer, step: int) -> None:
    """A token in pieces of any size is the token."""
    for size in range(35):
        assert decrypt(key, views(made(noise(size)), step), "a") == noise(size)


@pytest.mark.parametrize("size", [0, 5, 16])
def test_any_flip_or_cut_is_noticed(key: SecretBuffer, size: int) -> None:
    """No changed bit, no cut, and nothing put behind is accepted, nor escapes as a foreign error."""
    whole = made(noise(size))
    changed = [whole[:end] for end in range(len(whole))]
    changed += [whole + tail for tail in (b"=", b"A", b"AAAA", b"\n\n", b" ", b"\0")]
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            changed.append(bytes(flipped))
    for wrong in changed:
        with pytest.raises((FormatError, WrongKeyError)):
            decrypt(key, [memoryview(wrong)], "a")


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Whatever the bytes, and with whatever HMAC that holds, there is a result or a StrongroomError."""
    with decode_key(memoryview(TEXT)) as key:
        for wrong in (data, base64.urlsafe_b64encode(data), resigned(data), resigned(b"\x80" + data)):
            try:
                found = decrypt(key, views(wrong, 7), "a")
            except StrongroomError:
                continue
            assert Fernet(TEXT).decrypt(wrong) == found


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_newline_at_the_end(key: SecretBuffer, ending: bytes) -> None:
    """One newline is what an editor adds; nothing else of that kind is accepted."""
    assert decrypt(key, [memoryview(made(b"data") + ending)], "a") == b"data"


def test_one_encoding(key: SecretBuffer) -> None:
    """The other base64 alphabet, padding in the middle and bits after the end are refused, though some read them."""
    whole = next(sealed for seed in range(99) if b"-" in (sealed := made(noise(20, seed))))
    body = whole.rstrip(b"=")
    digits = base64.urlsafe_b64encode(bytes(range(256)) * 3)
    alphabet = bytes(
        sorted(set(digits) - {ord("=")}, key=lambda digit: base64.urlsafe_b64decode(bytes([digit]) + b"AAA"))
    )
    loose = body[:-1] + alphabet[alphabet.index(body[-1]) + 1 :][:1] + whole[len(body) :]
    standard = whole.replace(b"-", b"+")
    assert Fernet(TEXT).decrypt(loose) == Fernet(TEXT).decrypt(standard) == Fernet(TEXT).decrypt(whole)
    for wrong in (standard, loose, base64.urlsafe_b64encode(b"\x80") + whole):
        with pytest.raises(FormatError):
            decrypt(key, [memoryview(wrong)], "a")


@pytest.mark.parametrize("end", [b"\0", b"\x11", b"\2", b"\x03\x02", b"\xff" * 16])
def test_padding_that_is_none(key: SecretBuffer, end: bytes) -> None:
    """What someone with the key padded in another way is refused, as `cryptography` refuses it."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(bytes(range(16, 32))), modes.CBC(IV)).encryptor()
    wrong = resigned(b"\x80" + bytes(8) + IV + encryptor.update(bytes(32)[len(end) :] + end))
    with pytest.raises(InvalidToken):
        Fernet(TEXT).decrypt(wrong)
    with pytest.raises(FormatError):
        decrypt(key, [memoryview(wrong)], "a")


def test_what_does_not_verify_is_wiped(monkeypatch: pytest.MonkeyPatch, key: SecretBuffer) -> None:
    """Of a token whose HMAC does not hold, nothing stays where it was decrypted."""
    data = b"canary 51c0, which nothing says!" * 64
    buffers: list[io.BytesIO] = []
    original = io.BytesIO
    monkeypatch.setattr(token.io, "BytesIO", lambda: buffers.append(original()) or buffers[-1])
    assert decrypt(key, [memoryview(made(data))], "a") == data
    assert b"canary" in buffers[0].getvalue()
    wrong = bytearray(base64.urlsafe_b64decode(made(data)))
    wrong[-1] ^= 1
    with pytest.raises(WrongKeyError):
        decrypt(key, [memoryview(base64.urlsafe_b64encode(wrong))], "a")
    assert len(buffers[1].getvalue()) > len(data)
    assert not any(buffers[1].getvalue())


def test_too_large(monkeypatch: pytest.MonkeyPatch, key: SecretBuffer) -> None:
    """Past its limit a stream is refused where it passes it, and what was taken is wiped."""
    monkeypatch.setattr(token, "LARGEST", 2 * CHUNK)
    assert len(b"".join(encrypt(key, chunks_of(bytes(2 * CHUNK)), now=0, iv=IV))) > 2 * CHUNK
    chunks = list(chunks_of(io.BytesIO(noise(2 * CHUNK + 1))))
    with pytest.raises(LimitError):
        list(encrypt(key, chunks, now=0, iv=IV))
    assert not any(any(chunk.data) for chunk in chunks)


# Keys


@given(st.binary(min_size=32, max_size=32))
def test_keys(raw: bytes) -> None:
    """Any key, in either alphabet."""
    for text in (base64.urlsafe_b64encode(raw), base64.b64encode(raw)):
        with decode_key(memoryview(text)) as key:
            assert key == raw


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"=",
        TEXT[:-1],
        TEXT[:-2] + b"==",
        TEXT + b"=",
        TEXT[:-1] + b"A",
        b"!" + TEXT[1:],
        TEXT[:20] + b"=" + TEXT[21:],
    ]
    + [base64.urlsafe_b64encode(bytes(size)) for size in (16, 30, 31, 33)],
)
def test_keys_that_are_none(text: bytes) -> None:
    """Anything else is a ValueError, in which the text does not stand."""
    with pytest.raises(ValueError) as caught:
        decode_key(memoryview(text))
    assert not text or text.decode() not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("place", [0, 15, 16, 31])
def test_both_halves_of_the_key_count(key: SecretBuffer, place: int) -> None:
    """With its first half changed a token does not open, and with its second, not to what was sealed."""
    key[place] ^= 1
    data = noise(40)
    with pytest.raises(WrongKeyError if place < 16 else FormatError):
        decrypt(key, [memoryview(made(data))], "a")
