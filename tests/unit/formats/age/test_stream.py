from __future__ import annotations

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from strongroom.errors import StrongroomError, TamperedError, TruncatedError
from strongroom.flow import CHUNK, Chunk, chunks_of
from strongroom.formats.age.stream import PLAIN, RUN, SEALED, Cipher, Opener, Sealer
from tests import agecraft
from tests.helpers import noise, nothing_left

KEY = bytes(range(32))


def by_the_book(data: bytes, *, last: bool = True) -> bytes:
    """age, "Payload", in its own words: counter of 11 bytes, then 1 for the last chunk."""
    cipher = ChaCha20Poly1305(KEY)
    parts = [data[start : start + PLAIN] for start in range(0, len(data), PLAIN)] or [b""]
    return b"".join(
        cipher.encrypt(number.to_bytes(11) + bytes([last and number == len(parts) - 1]), part, None)
        for number, part in enumerate(parts)
    )


def seal(data: bytes, threads: int) -> bytes:
    """Return the payload that our encoder makes."""
    sealer = Sealer(memoryview(KEY), threads)
    out = bytearray()
    for chunk in chunks_of(data):
        for piece in sealer.update(chunk):
            out += piece
    for piece in sealer.finish():
        out += piece
    sealer.close()
    return bytes(out)


def opened(sealed: bytes, threads: int = 1, step: int = 100_000) -> tuple[bytes, StrongroomError | None]:
    """What comes out of pieces, and the error."""
    opener, out = Opener(memoryview(KEY), threads), bytearray()
    try:
        for start in range(0, len(sealed), step):
            for piece in opener.update(sealed[start : start + step]):
                out += piece
        for piece in opener.finish():
            out += piece
    except StrongroomError as error:
        return bytes(out), error
    finally:
        opener.close()
    return bytes(out), None


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", agecraft.SIZES)
def test_payload_is_as_specified(size: int, threads: int) -> None:
    """Byte for byte, however many threads work on it; and it opens again, in pieces of any size."""
    data = noise(size)
    sealed = by_the_book(data)
    assert seal(data, threads) == sealed
    for step in (SEALED, 99_991):
        assert opened(sealed, threads, step) == (data, None)


def test_many_runs_stay_in_order() -> None:
    """More work than there are buffers."""
    data = noise(12 * CHUNK + 5)
    sealed = seal(data, 4)
    assert sealed == by_the_book(data)
    assert opened(sealed, 4, CHUNK)[0] == data


@pytest.mark.parametrize("size", [0, 1, PLAIN, PLAIN + 1, 2 * PLAIN])
def test_end_is_part_of_the_payload(size: int) -> None:
    """What is cut at any chunk's end, or not marked as the last, or has something behind it, is noticed."""
    sealed = by_the_book(noise(size))
    for cut in range(0, len(sealed), SEALED):
        assert isinstance(opened(sealed[:cut])[1], TruncatedError)
    assert isinstance(opened(by_the_book(noise(size), last=False))[1], (TamperedError, TruncatedError))
    for more in (b"\0", bytes(16), sealed, bytes(SEALED)):
        assert isinstance(opened(sealed + more)[1], (TamperedError, TruncatedError))


def test_chunks_stay_where_they_are() -> None:
    """Swapped, dropped and doubled chunks are noticed, and what comes before them is given out."""
    data = noise(4 * PLAIN)
    parts = [by_the_book(data)[start : start + SEALED] for start in range(0, 4 * SEALED, SEALED)]
    for order in ([0, 2, 1, 3], [0, 2, 3], [0, 1, 1, 2, 3], [0, 3]):
        out, error = opened(b"".join(parts[number] for number in order))
        assert isinstance(error, TamperedError)
        good = next(place for place, number in enumerate([*order, -1]) if number != place)
        assert out == data[: good * PLAIN]


def test_empty_last_chunk_stands_alone() -> None:
    """Only an empty payload has one."""
    cipher = ChaCha20Poly1305(KEY)
    extra = cipher.encrypt((1).to_bytes(11) + b"\1", b"", None)
    out, error = opened(by_the_book(noise(PLAIN), last=False) + extra)
    assert (out, type(error)) == (noise(PLAIN), TamperedError)
    assert opened(by_the_book(b"")) == (b"", None)


def test_nothing_unauthenticated_is_left_in_the_buffer() -> None:
    """OpenSSL decrypts before it checks; what did not hold is zeros."""
    sealed = bytearray(by_the_book(b"secret" * 1000))
    sealed[-1] ^= 1
    out = bytearray(6000)
    assert Cipher(memoryview(KEY)).open(memoryview(sealed), 0, memoryview(out), last=True).error is not None
    assert out == bytes(6000)


@pytest.mark.parametrize("threads", [1, 2])
def test_abandoned_in_the_middle(threads: int) -> None:
    """No thread stays, all chunks are released, and the key is let go of."""
    buffers = [bytearray(b"x" * CHUNK) for _ in range(9)]
    with nothing_left():
        sealer = Sealer(memoryview(KEY), threads)
        for buffer in buffers:
            list(sealer.update(Chunk(memoryview(buffer), buffer)))
        sealer.close()
        assert all(not any(buffer[::4096]) for buffer in buffers)
        opener = Opener(memoryview(KEY), threads)
        pieces = opener.update(by_the_book(b"x" * 9 * CHUNK))
        next(pieces)
        opener.close()
        assert all(not any(out[::4096]) for _, out in opener._slots)
        for one in (sealer._cipher, opener._cipher):
            assert one._aead is None
    with pytest.raises(ValueError):
        sealer._cipher.seal(memoryview(b""), 0, memoryview(bytearray(16)), last=True)


def test_runs_cover_a_chunk() -> None:
    """A chunk of the house is whole chunks of age, so that runs need no joints."""
    assert RUN * PLAIN == CHUNK
    assert all(first < second for first, second in pairwise((PLAIN, SEALED, CHUNK)))
