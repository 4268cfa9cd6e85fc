"""Where the keys of a ZIP file are, and for how long."""

from __future__ import annotations

import gc
import io

import pytest
from cryptography.hazmat.primitives.hmac import HMAC

import strongroom
from strongroom import StrongroomError
from strongroom.flow import CHUNK
from strongroom.formats.zip import crypto
from strongroom.memory import pages
from strongroom.memory.secret import SecretBuffer
from tests.helpers import noise, text
from tests.zipcraft import PASSWORD


def mapped() -> int:
    """How many buffers for secrets there are."""
    return sum(not one.closed for one in list(pages._living.values()))


def ciphers() -> int:
    """How many ciphers hold a key."""
    return sum(isinstance(one, crypto.Keystream) and one._encryptor is not None for one in gc.get_objects())


def keys() -> int:
    """How many sets of keys there are that are not wiped."""
    return sum(isinstance(one, crypto.Keys) and not one._closed for one in gc.get_objects())


def sealed(data: bytes, method: str, entries: int = 1) -> io.BytesIO:
    """An archive of some entries."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD, compression=method, threads=2) as room:
        for number in range(entries):
            room.write(str(number), data)
    return stream


def test_many_entries_take_few_pages() -> None:
    """A password and the keys that run ahead take five pages at most, with two threads: 64 KiB lock 16."""
    before, most = mapped(), 0
    with strongroom.create(io.BytesIO(), format="zip", password=PASSWORD, threads=2) as room:
        for number in range(600):
            room.write(str(number), b"data")
            most = max(most, mapped() - before)
    assert 2 <= most <= 5
    assert mapped() == before


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["store", "deflate"])
@pytest.mark.parametrize("size", [1000, 3 * CHUNK])
def test_between_entries_there_are_no_ciphers(threads: int, method: str, size: int) -> None:
    """Between entries no cipher lives, and of keys only those that were derived ahead; at the end nothing does."""
    data = text(size)
    gc.disable()  # so that nothing waits for it
    try:
        stream = io.BytesIO()
        with strongroom.create(stream, format="zip", password=PASSWORD, compression=method, threads=threads) as room:
            for number in range(3):
                room.write(str(number), data)
                assert ciphers() == 0
        assert keys() == 0
        with strongroom.open(stream, password=PASSWORD, threads=threads) as opened:
            for number in range(3):
                assert opened.read(str(number)) == data
                assert (ciphers(), keys()) == (0, 0)
    finally:
        gc.enable()


@pytest.mark.parametrize("method", ["store", "deflate"])
@pytest.mark.parametrize("size", [1000, 3 * CHUNK, 20 * CHUNK])
def test_errors_hold_no_keys(method: str, size: int) -> None:
    """An error whose traceback the caller keeps holds neither keys nor ciphers: while writing, and while reading."""
    before = mapped()
    kept: list[BaseException] = []

    def broken() -> object:
        yield noise(size)
        raise KeyError

    with pytest.raises(KeyError) as failed, strongroom.create(io.BytesIO(), format="zip", password=PASSWORD) as room:
        room.write("a", broken())  # type: ignore[arg-type]
    kept.append(failed.value)
    stream = sealed(noise(size), method)
    stream.getbuffer()[size // 2] ^= 1
    with strongroom.open(stream, password=PASSWORD) as opened, pytest.raises(StrongroomError) as tampered:
        opened.read("0")
    kept.append(tampered.value)
    with strongroom.open(sealed(bytes(size), method), password=PASSWORD) as opened, opened.open("0", "rb") as file:
        file.read(10)
        assert keys() == (size > CHUNK)  # what is one piece has come to its end
    assert (ciphers(), keys(), mapped()) == (0, 0, before)
    assert len(kept) == 2


def test_authentication_codes_end_with_their_keys() -> None:
    """An HMAC that was begun and left holds no key after the entry's keys are closed."""
    from cryptography.exceptions import AlreadyFinalized

    from strongroom import Secret
    from strongroom.memory.slots import Slots

    with Secret(PASSWORD) as password, crypto.Keys(password, bytes(16), 256, Slots(crypto.KEYS_SIZE)) as derived:
        authenticator = derived.authenticator()
        assert isinstance(authenticator, HMAC)
        authenticator.update(b"data")
    with pytest.raises(AlreadyFinalized):
        authenticator.finalize()


def test_marks_are_under_one_key_in_locked_memory() -> None:
    """All long entries of a reader share one key for their marks, with nonces that never meet."""
    data = noise(17 * CHUNK)
    with strongroom.open(sealed(data, "deflate", entries=2), password=PASSWORD, threads=2) as room:
        reader = room._reader
        for name in ("0", "1"):
            with room.open(name, "rb") as file:
                assert file.read(5) == data[:5]
        marks = reader._marks  # type: ignore[attr-defined]
        key = marks._key
        assert isinstance(key, SecretBuffer)
        assert len(marks._tags) >= 2 * 17  # by the place in the file, which is also the nonce
    assert key.closed
