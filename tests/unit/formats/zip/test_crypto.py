from __future__ import annotations

import hashlib
import hmac
import os
import zipfile
from itertools import pairwise

import pytest
from Cryptodome.Cipher import AES
from cryptography.exceptions import AlreadyFinalized

from strongroom import Secret, SecureMemoryError
from strongroom.formats.zip import crypto
from strongroom.memory.slots import Slots
from tests.helpers import noise

PASSWORD = b"correct horse"


def slow_keystream(key: bytes, block: int, blocks: int) -> bytes:
    """WinZip's key stream, a block at a time: AES of the number of the block, little-endian, from 1."""
    cipher = AES.new(key, AES.MODE_ECB)
    return b"".join(cipher.encrypt((block + number + 1).to_bytes(16, "little")) for number in range(blocks))


def slow_apply(key: bytes, data: bytes, block: int = 0) -> bytes:
    """Encrypt or decrypt with the slow key stream."""
    stream = slow_keystream(key, block, -(-len(data) // 16))
    return bytes(mine ^ theirs for mine, theirs in zip(data, stream, strict=False))


def apply(keystream: crypto.Keystream, data: bytes) -> bytes:
    """Encrypt or decrypt with ours."""
    out = bytearray(len(data) + crypto.SLACK)
    keystream.apply(memoryview(data), memoryview(out))
    return bytes(out[: len(data)])


@pytest.fixture(params=["few", "many"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two ways to make the key stream: block by block, and in bulk."""
    few, many = crypto.Keystream._apply_few, crypto.Keystream._apply_many
    if request.param == "few":
        monkeypatch.setattr(crypto.Keystream, "_apply_many", lambda self, data, out, _: few(self, data, out))
    else:
        monkeypatch.setattr(
            crypto.Keystream, "_apply_few", lambda self, data, out: many(self, data, out, -(-len(data) // 16))
        )
    return str(request.param)


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_keys(bits: int) -> None:
    """Key, authentication key and verifier are PBKDF2-HMAC-SHA1 of password and salt in 1000 rounds, in this order."""
    salt = noise(crypto.salt_size(bits))
    derived = hashlib.pbkdf2_hmac("sha1", PASSWORD, salt, 1000, 2 * bits // 8 + 2)
    key, mac_key, verifier = derived[: bits // 8], derived[bits // 8 : -2], derived[-2:]
    assert len(salt) == {128: 8, 192: 12, 256: 16}[bits]
    assert crypto.overhead(bits) == len(salt) + 2 + 10
    with Secret(PASSWORD) as password, crypto.Keys(password, salt, bits, Slots(crypto.KEYS_SIZE)) as keys:
        assert keys.verifier == verifier
        assert apply(keys.keystream(), b"data") == slow_apply(key, b"data")
        authenticator = keys.authenticator()
        authenticator.update(b"cipher")
        authenticator.update(b"text")
        assert crypto.tag(authenticator) == hmac.new(mac_key, b"ciphertext", "sha1").digest()[:10]


@pytest.mark.parametrize("bits", [128, 192, 256])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4095, 4096, 4097, 100_000])
def test_keystream(way: str, bits: int, size: int) -> None:
    """Data of any size is encrypted as a slow implementation does it."""
    key, data = noise(bits // 8, 1), noise(size)
    assert apply(crypto.Keystream(memoryview(key)), data) == slow_apply(key, data)


BLOCKS = [0, 1, 254, 255, 256, 65_534, (1 << 32) - 3, (1 << 32) - 1, 1 << 32, (1 << 40) - 2, (1 << 59) + 5]


@pytest.mark.parametrize("block", BLOCKS)
def test_counter_carries(way: str, block: int) -> None:
    """The counter is little-endian and carries from byte to byte, also beyond 2^32 blocks (64 GiB)."""
    key, data = noise(32, 1), noise(100)
    assert apply(crypto.Keystream(memoryview(key), block), data) == slow_apply(key, data, block)


def test_keystream_goes_on(way: str) -> None:
    """Calls of whole blocks, in any number, give what one call gives."""
    key, data = noise(32, 1), noise(16 * 200 + 7)
    keystream = crypto.Keystream(memoryview(key))
    places = [0, 16, 16, 48, 16 * 100, 16 * 199, len(data)]
    found = b"".join(apply(keystream, data[start:end]) for start, end in pairwise(places))
    assert found == slow_apply(key, data)


def test_keystream_from_the_middle(way: str) -> None:
    """A stream that begins at a later block gives the rest of the whole one."""
    key, data = noise(32, 1), noise(5000)
    assert apply(crypto.Keystream(memoryview(key), 10), data[160:]) == slow_apply(key, data)[160:]


def test_other_ways_agree() -> None:
    """The first work of a process, which loads no numpy, gives the same as the rest."""
    key, data = noise(32, 1), noise(50_000)
    few, many = bytearray(len(data) + crypto.SLACK), bytearray(len(data) + crypto.SLACK)
    crypto.Keystream(memoryview(key))._apply_few(memoryview(data), memoryview(few))
    crypto.Keystream(memoryview(key))._apply_many(memoryview(data), memoryview(many), -(-len(data) // 16))
    assert few[: len(data)] == many[: len(data)]


def test_output_leaves_its_surroundings(way: str) -> None:
    """Nothing is written behind the whole blocks of the output: a neighbour's data may stand there."""
    out = bytearray(b"x" * 200)
    crypto.Keystream(memoryview(noise(32))).apply(memoryview(noise(64)), memoryview(out))
    assert out[64:] == b"x" * 136


def test_closed_keys() -> None:
    """Closed keys are wiped, though a cipher still stands on them, and give nothing any more."""
    slots = Slots(crypto.KEYS_SIZE)
    with Secret(PASSWORD) as password:
        keys = crypto.Keys(password, bytes(16), 256, slots)
        slot, keystream, authenticator = keys._slot, keys.keystream(), keys.authenticator()
        apply(keystream, b"data")
        assert any(slot)
        keys.close()
        assert bytes(slot) == bytes(66)
        again = crypto.Keys(password, bytes(16), 256, slots)
    assert again._slot is slot
    keys.close()
    assert any(slot)
    for use in (lambda: keys.verifier, keys.authenticator, keys.keystream, lambda: apply(keystream, b"data")):
        with pytest.raises(ValueError):
            use()
    with pytest.raises(AlreadyFinalized):
        authenticator.update(b"data")


def test_keys_in_a_child() -> None:
    """A forked child derives nothing from a password that it does not have."""
    with Secret(PASSWORD) as password:
        child = os.fork()
        if not child:
            try:
                crypto.Keys(password, bytes(16), 256, Slots(crypto.KEYS_SIZE))
            except SecureMemoryError:
                os._exit(7)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_failed_derivation_leaves_nothing() -> None:
    """What a failed derivation took is given back."""
    slots = Slots(crypto.KEYS_SIZE)
    password = Secret(PASSWORD)
    password.close()
    with pytest.raises(ValueError):
        crypto.Keys(password, bytes(16), 256, slots)
    assert len(slots._free) == 4096 // crypto.KEYS_SIZE


def test_key_length_is_checked() -> None:
    """A key of another length than AES has is refused."""
    with pytest.raises(ValueError):
        crypto.Keystream(memoryview(bytes(20)))


@pytest.mark.parametrize("size", [0, 1, 12, 1000])
def test_zipcrypto(size: int) -> None:
    """Traditional decryption agrees with the standard library's, in pieces of any size."""
    data = noise(size)
    expected = zipfile._ZipDecrypter(PASSWORD)(data)  # type: ignore[attr-defined]
    with Secret(PASSWORD) as password:
        cipher = crypto.ZipCrypto(password)
        assert cipher.decrypt(data) == expected
        cipher = crypto.ZipCrypto(password)
        assert b"".join(cipher.decrypt(data[start : start + 7]) for start in range(0, size, 7)) == expected
