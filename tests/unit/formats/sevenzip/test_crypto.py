from __future__ import annotations

import time

import pytest
from Cryptodome.Cipher import AES
from hypothesis import given
from hypothesis import strategies as st

from strongroom import FormatError, LimitError, Limits, Secret
from strongroom.formats.sevenzip import crypto
from strongroom.formats.sevenzip.crypto import AesProperties, Key
from strongroom.limits import MIB
from strongroom.memory.secret import SecretBuffer
from tests.helpers import noise

SALT = bytes(range(16))

# Made by perl, which wrote salt, password (in UTF-16 from iconv) and counter 2^n times, and `openssl dgst -sha256`.
VECTORS = [
    ("a", b"", 0, "7b771da26f8c94f907df04fea75b0529881e98710a09363a15483f352a571620"),
    ("nine tame owls", SALT, 7, "d00f514b2115c3bf49da704e96cc1b784becf13395a0d393d703bd96e23d8d53"),
    ("\N{GRINNING FACE} two", b"\xff\0", 9, "fa7a719ddbf596ae08304a5d5523cfe24dc2b3a887e098d98009a49e21027c07"),
    ("password", b"", 19, "97bc6e1f9adb6f6a2507fe6657ee8854b7091a0a117b746421b839210f5d7eef"),
    ("p\xe4ssw\xf6rd \u20ac", SALT, 19, "f850dfa602a60fd93428281fbb8e8ed52fd6c3a2d22d1652d307f198277a0948"),
    ("x", b"", 24, "e52e98f97ab831d61c247205afdee74dee55fc1da2ccacadf03cf6c6274d3895"),
]


def encrypt(key: Key, iv: bytes, data: bytes) -> bytes:
    """Encrypt whole blocks with ours."""
    out = bytearray(len(data) + crypto.SLACK)
    return bytes(out[: key.encryptor(iv).update_into(data, out)])


@pytest.mark.parametrize(("text", "salt", "power", "key"), VECTORS)
def test_key(text: str, salt: bytes, power: int, key: str) -> None:
    """The key is SHA-256 of all rounds of salt, password in UTF-16 and counter; it is one of AES-256-CBC."""
    data, iv = noise(64), noise(16, 1)
    with Secret(text) as password, Key(password, salt, power, Limits()) as mine:
        assert encrypt(mine, iv, data) == AES.new(bytes.fromhex(key), AES.MODE_CBC, iv).encrypt(data)


def test_no_hash() -> None:
    """With the number 63 the key is salt and password themselves, cut off or filled with zeros."""
    for text, raw in (("ab", b"saltab"), ("a" * 40, b"salt" + b"a" * 40)):
        key = (b"salt" + raw[4:].decode().encode("utf-16-le")).ljust(32, b"\0")[:32]
        with Secret(text) as password, Key(password, b"salt", 63, Limits()) as mine:
            assert encrypt(mine, bytes(16), bytes(16)) == AES.new(key, AES.MODE_ECB).encrypt(bytes(16))


@pytest.mark.parametrize("power", [25, 62])
def test_too_many_rounds(power: int) -> None:
    """More rounds than the limit are refused before any work; the limit can be moved."""
    with Secret("pass") as password:
        start = time.process_time()
        with pytest.raises(LimitError):
            Key(password, SALT, power, Limits())
        assert time.process_time() - start < 0.05
        with pytest.raises(LimitError):
            Key(password, SALT, 10, Limits(kdf_work=1023))
        Key(password, SALT, 10, Limits(kdf_work=1024)).close()


def test_speed() -> None:
    """2^19 rounds take at most 0.06 s of a core, the best of three, for a password of six words."""
    times = []
    with Secret("nine tame owls read maps daily") as password:
        for _ in range(3):
            start = time.process_time()
            Key(password, SALT, 19, Limits()).close()
            times.append(time.process_time() - start)
    assert min(times) < 0.06


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Password and key stand in wiped buffers alone, none of them larger than 1 MiB for the longest password."""
    made: list[tuple[int, SecretBuffer]] = []
    new = SecretBuffer.__new__

    def record(cls: type[SecretBuffer], size: int) -> SecretBuffer:
        made.append((size, new(cls, size)))
        return made[-1][1]

    with Secret("x" * 2000) as password:
        with monkeypatch.context() as patch:
            patch.setattr(SecretBuffer, "__new__", record)
            Key(password, SALT, 12, Limits()).close()
        assert [size for size, _ in made] == [32, 4000, 256 * (16 + 4000 + 8)]
        assert max(size for size, _ in made) <= MIB
        assert all(buffer.closed for _, buffer in made)


def test_ciphers_end_with_the_key() -> None:
    """`close` wipes the key under ciphers that are still around, and no new one can be made."""
    with Secret("pass") as password:
        key = Key(password, SALT, 4, Limits())
        key.encryptor(bytes(16))
        key.close()
        with pytest.raises(ValueError):
            key.decryptor(bytes(16))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_utf16(text: str) -> None:
    """Text is hashed as UTF-16, without normalisation."""
    with Secret(text) as password, crypto.utf16(password) as found:
        assert bytes(found) == text.encode("utf-16-le")


@pytest.mark.parametrize(
    "raw", [b"\xff", b"a\x80", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xf0\x80", b"\x80\x80"]
)
def test_not_text(raw: bytes) -> None:
    """Bytes that are no UTF-8, surrogates among them, have no form that 7z could hash."""
    with Secret(raw) as password, pytest.raises(ValueError):
        crypto.utf16(password)


@given(st.integers(0, 63), st.binary(max_size=16), st.binary(max_size=16))
def test_properties(power: int, salt: bytes, iv: bytes) -> None:
    """The coder's properties decode to what was encoded, and no other length is accepted."""
    encoded = AesProperties(power, salt, iv).encode()
    assert AesProperties.decode(encoded) == AesProperties(power, salt, iv)
    with pytest.raises(FormatError):
        AesProperties.decode(encoded + b"\0")
    with pytest.raises(FormatError):
        AesProperties.decode(encoded[:-1])


@given(st.binary(max_size=40))
def test_any_properties(data: bytes) -> None:
    """Any bytes are properties in one way, or refused."""
    try:
        properties = AesProperties.decode(data)
    except FormatError:
        return
    assert properties.encode() == data


def test_short_iv() -> None:
    """A short IV, as 7-Zip wrote it before 19.00, ends in zeros."""
    with Secret("pass") as password, Key(password, b"", 4, Limits()) as key:
        assert encrypt(key, b"12345678", bytes(16)) == encrypt(key, b"12345678" + bytes(8), bytes(16))
