from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from strongroom.errors import StrongroomError, TamperedError, TruncatedError
from strongroom.flow import CHUNK
from strongroom.formats.age import payload as subject
from strongroom.formats.age.stream import PLAIN, SEALED
from strongroom.source import read
from tests import agecraft
from tests.helpers import noise, nothing_left


@pytest.mark.parametrize("armored", [False, True])
@pytest.mark.parametrize("size", agecraft.SIZES)
def test_every_way_gives_the_data(size: int, armored: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whole, streaming, out of a pipe and at offsets."""
    data, own = noise(size), [agecraft.identity()]
    file = agecraft.seal(data, threads=2, armored=armored)
    assert agecraft.payload(file).size == size
    for threads in (1, 2):
        for way in (agecraft.read_whole, agecraft.read_streaming):
            found = way(file, own, threads)
            assert (found.data, found.error) == (data, None)
    found = agecraft.read_seeking(file, own)
    assert (found.data, found.error) == (data, None)
    if not armored:
        found = agecraft.read_pipe(file, own, 77_777)
        assert (found.data, found.error) == (data, None)


def test_reads_at_any_offset() -> None:
    """Also across chunks, and past what is kept; from several threads at once."""
    data = noise(20 * PLAIN + 123)
    opened = agecraft.payload(agecraft.seal(data))
    dice = random.Random(5)

    def one(_: int) -> bool:
        start = dice.randrange(len(data))
        length = dice.choice([0, 1, 100, PLAIN - 1, PLAIN, PLAIN + 1, 3 * PLAIN, CHUNK + 1])
        return read(opened, start, min(length, len(data) - start)) == data[start : start + length]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(300)))
    assert len(opened._cache) <= subject._CACHED
    for start in (0, 1, PLAIN - 1, PLAIN, 20 * PLAIN, len(data) - 1, len(data)):
        assert b"".join(map(bytes, opened.chunks(start))) == data[start:]


def test_past_the_end_is_truncated() -> None:
    """As of any source."""
    opened = agecraft.payload(agecraft.seal(b"data"))
    for start, length in ((0, 5), (4, 1), (5, 0), (99, 1)):
        with pytest.raises(TruncatedError):
            read(opened, start, length)


def test_every_flip_and_cut_is_noticed() -> None:
    """Each changed bit in each byte and each end of a small file, in every way of reading."""
    data, own = b"data of a patient", [agecraft.identity()]
    file = agecraft.seal(data)
    changed = [
        file[:place] + bytes([file[place] ^ bit]) + file[place + 1 :] for place in range(len(file)) for bit in (1, 0x80)
    ]
    for broken in [*changed, *(file[:place] for place in range(len(file))), file + b"\0"]:
        for way in (agecraft.read_whole, agecraft.read_streaming, agecraft.read_pipe, agecraft.read_seeking):
            found = way(broken, own)
            assert isinstance(found.error, StrongroomError)
            assert not found.data


@pytest.mark.parametrize("chunk", [0, 1, 16, 17])
def test_changed_chunk_is_never_given_out(chunk: int) -> None:
    """Whole: nothing. Streaming: what stands before it. At offsets: all but it."""
    data, own = noise(17 * PLAIN + 10), [agecraft.identity()]
    file = bytearray(agecraft.seal(data))
    start = len(file) - len(data) - 18 * 16
    file[start + chunk * SEALED + 3] ^= 4
    assert not agecraft.read_whole(bytes(file), own).data
    found = agecraft.read_streaming(bytes(file), own, 2)
    assert (found.data, type(found.error)) == (data[: chunk * PLAIN], TamperedError)
    if chunk == 17:  # the last one is checked first
        with pytest.raises(TamperedError):
            agecraft.payload(bytes(file))
        return
    opened = agecraft.payload(bytes(file))
    for other in range(18):
        length = min(PLAIN, len(data) - other * PLAIN)
        target = bytearray(b"?" * length)
        if other == chunk:
            with pytest.raises(TamperedError):
                opened.read_into(other * PLAIN, memoryview(target))
            assert target == bytes(length)
        else:
            opened.read_into(other * PLAIN, memoryview(target))
            assert target == data[other * PLAIN :][:length]


def test_cut_file_is_noticed_when_it_is_opened() -> None:
    """Its size would be wrong, and what stands at its end too."""
    file = agecraft.seal(noise(3 * PLAIN))
    for cut in (1, 100, SEALED, SEALED + 1, 2 * SEALED, 3 * SEALED - 16):
        with pytest.raises((TamperedError, TruncatedError)):
            agecraft.payload(file[:-cut])


@pytest.mark.parametrize("threads", [1, 2])
def test_abandoned_reading_leaves_nothing(threads: int) -> None:
    """No thread stays; what is kept is wiped, and so is the key."""
    opened = agecraft.payload(agecraft.seal(b"x" * 9 * CHUNK), threads=threads)
    with nothing_left():
        pieces = opened.chunks()
        view = next(pieces)
        assert view[:1] == b"x"
        pieces.close()
        assert not any(view[::4096])
        read(opened, 5, 10)
        kept = list(opened._cache.values())
        opened.close()
        assert kept
        assert all(not any(chunk[::4096]) for chunk in kept)
    with pytest.raises(ValueError):
        read(opened, 0, 100)


def test_fill_wipes_where_it_fails() -> None:
    """Nobody sees half of a file."""
    file = bytearray(agecraft.seal(b"x" * 2 * CHUNK))
    file[-CHUNK] ^= 1
    opened, target = agecraft.payload(bytes(file)), bytearray(2 * CHUNK)
    with pytest.raises(TamperedError):
        opened.fill(memoryview(target))
    assert not any(target)
