from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import strongroom
from strongroom.flow import CHUNK
from strongroom.names import Tree, fault
from tests.helpers import noise, text
from tests.traits import TRAITS, Trait, each_format, each_method

SIZES = [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1]
WHEN = datetime(2024, 1, 1, tzinfo=UTC)
ALL = {size: (text(size), noise(size)) for size in SIZES}

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(lambda name: not fault(name))
sizes = st.one_of(st.integers(0, 3000), st.sampled_from(SIZES))
texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
anything = st.binary(min_size=1, max_size=99).filter(lambda value: 0 not in value)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


class Pipe(io.RawIOBase):
    """A stream that cannot seek."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        self.taken += data
        return len(data)


def data_of(size: int, *, packs: bool) -> bytes:
    """Data of a size, that packs or does not."""
    return ALL[size][not packs] if size in ALL else (text if packs else noise)(size)


@pytest.mark.filterwarnings("ignore::strongroom.StrongroomWarning")  # passwords that are long, or no ASCII
@each_format
@quick
@given(
    entries=st.dictionaries(names, st.tuples(sizes, st.booleans()), max_size=5),
    draw=st.data(),
    threads=st.integers(1, 4),
    reading_threads=st.integers(1, 4),
)
def test_what_goes_in_comes_out(
    trait: Trait, entries: dict[str, tuple[int, bool]], draw: st.DataObject, threads: int, reading_threads: int
) -> None:
    """Any names, sizes, passwords, methods and threads, into a file or a pipe: the same comes back."""
    tree = Tree()
    assume(not any(tree.add(name, folder=False) for name in entries))
    password = draw.draw(texts if trait.text else st.one_of(texts, anything))
    typed = password if isinstance(password, bytes) else password.encode()
    assume(trait.name != "zip.age" or not {*b"\r\n"} & {*typed})  # age's tools read a line
    method = draw.draw(st.sampled_from(trait.methods))
    pipe = trait.pipes and draw.draw(st.booleans())
    data = {name: data_of(size, packs=packs) for name, (size, packs) in entries.items()}
    stream: Any = Pipe() if pipe else io.BytesIO()
    strongroom.seal(data, stream, format=trait.name, password=password, compression=method, threads=threads)
    archive = bytes(stream.taken) if pipe else stream.getvalue()
    with strongroom.open(io.BytesIO(archive), format=trait.name, password=password, threads=reading_threads) as room:
        assert [entry.name for entry in room] == list(data)
        assert room.verify().ok
        for name, value in data.items():
            assert room.read(name) == value
            assert b"".join(map(bytes, room.chunks(name))) == value
            buffer = bytearray(len(value))
            assert room.read_into(name, buffer) == len(value)
            assert buffer == value


def archive_of(  # noqa: PLR0917 - all that may make a difference, or may not
    trait: Trait,
    data: bytes,
    how: str,
    pieces: list[int],
    compression: str | None = None,
    threads: int | None = None,
) -> bytes:
    """The archive of one entry, pulled whole or pushed in pieces, with salts that only count up."""
    source = count()
    stream = io.BytesIO()
    original, os.urandom = os.urandom, lambda size: bytes([next(source) % 256]) * size
    try:
        options: Any = {"compression": compression, "threads": threads}
        with strongroom.create(stream, format=trait.name, password="pass", **options) as room:
            if how == "whole":
                room.write("a", data, modified=WHEN)
            elif how == "iterable":
                room.write("a", cut(data, pieces), modified=WHEN)
            elif how == "file":
                room.write("a", io.BytesIO(data), modified=WHEN)
            else:
                with room.open("a", "wb", modified=WHEN) as file:
                    for piece in cut(data, pieces):
                        file.write(piece)
    finally:
        os.urandom = original
    return stream.getvalue()


def cut(data: bytes, pieces: list[int]) -> list[bytes]:
    """Cut data at some places."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in pieces)})
    return [data[start:end] for start, end in pairwise(places)]


@each_format
@quick
@given(
    size=st.sampled_from([0, 1, 1000, CHUNK, CHUNK + 1, 2 * CHUNK + 1]),
    pieces=st.lists(st.integers(0, 1 << 30), max_size=40),
    draw=st.data(),
    threads=st.integers(1, 3),
)
def test_pieces_make_no_difference(
    trait: Trait, size: int, pieces: list[int], draw: st.DataObject, threads: int
) -> None:
    """Data that is pushed in any pieces, or pulled from an iterable or a file, makes the bytes that it makes whole."""
    data = data_of(size, packs=True)
    method = draw.draw(st.sampled_from(trait.methods))
    whole = archive_of(trait, data, "whole", [], compression=method, threads=1)
    for how in ("push", "iterable", "file"):
        assert archive_of(trait, data, how, pieces, compression=method, threads=threads) == whole


@each_method
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["push", "whole"])
def test_sizes(trait: Trait, method: str, size: int, how: str) -> None:
    """The sizes where something begins or ends, always."""
    for packs in (True, False):
        data = data_of(size, packs=packs)
        archive = archive_of(trait, data, how, [1, size // 2], compression=method, threads=2)
        with strongroom.open(io.BytesIO(archive), format=trait.name, password="pass") as room:
            assert room.entries[0].size == size
            assert room.read("a") == data


@each_format
def test_byte_by_byte(trait: Trait) -> None:
    """An entry that is pushed byte by byte is the same as one that is written at once."""
    data = text(5000)
    every = list(range(len(data)))
    assert archive_of(trait, data, "push", every) == archive_of(trait, data, "whole", [])


@pytest.mark.parametrize("method", ["store", "deflate"])
@each_format
@quick
@given(places=st.lists(st.tuples(st.integers(0, 2 * CHUNK + 100), st.integers(0, 70_000)), max_size=8))
def test_any_part(trait: Trait, places: list[tuple[int, int]], method: str) -> None:
    """Any part of an entry, after any other, is that part of the data."""
    data = data_of(2 * CHUNK, packs=True)
    archive = io.BytesIO(_ARCHIVES[trait.name, method])
    with strongroom.open(archive, format=trait.name, password="pass", threads=1) as room, room.open("a", "rb") as file:
        for place, length in places:
            file.seek(place)
            assert file.read(length) == data[place : place + length]


_ARCHIVES = {
    (trait.name, method): archive_of(trait, data_of(2 * CHUNK, packs=True), "whole", [], compression=method)
    for trait in TRAITS
    for method in ("store", "deflate")
}


# What was changed on the way


@pytest.fixture(scope="module")
def small() -> dict[str, bytes]:
    """A small archive of each format, with a file, an empty one and a folder."""
    found: dict[str, bytes] = {}
    for trait in TRAITS:
        stream = io.BytesIO()
        with strongroom.create(stream, format=trait.name, password="pass") as room:
            room.write("a", b"pay 100 to alice", modified=WHEN)
            room.write("b", b"", modified=WHEN)
            room.mkdir("c", modified=WHEN)
        found[trait.name] = stream.getvalue()
    return found


def read_all(trait: Trait, archive: bytes) -> None:
    """Read it as `extract` does, but for the writing."""
    with strongroom.open(io.BytesIO(archive), format=trait.name, password="pass", threads=1) as room:
        report = room.verify()
        assert report.manifest == ("verified" if trait.manifest else "unneeded") or not report.ok
        if not report.ok:
            raise strongroom.TamperedError(str(report.findings[0]))


@each_format
def test_every_flip_is_an_error(trait: Trait, small: dict[str, bytes]) -> None:
    """No bit of a file can be flipped without an error of ours; nothing is excepted."""
    archive = small[trait.name]
    read_all(trait, archive)
    for position in range(len(archive)):
        changed = bytearray(archive)
        changed[position] ^= 1 << position % 8
        with pytest.raises(strongroom.StrongroomError):
            read_all(trait, bytes(changed))


@each_format
def test_every_cut_is_an_error(trait: Trait, small: dict[str, bytes]) -> None:
    """So with a file that ends early, and with one that goes on."""
    archive = small[trait.name]
    for size in range(len(archive)):
        with pytest.raises(strongroom.StrongroomError):
            read_all(trait, archive[:size])
    for more in (b"\0", archive):
        with pytest.raises(strongroom.StrongroomError):
            read_all(trait, archive + more)


@each_format
@settings(quick, max_examples=200)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 1 << 20), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=3
    )
)
def test_any_edit_is_an_error(trait: Trait, small: dict[str, bytes], edits: list[tuple[int, int, bytes]]) -> None:
    """Bytes that are replaced, put in or taken out anywhere."""
    archive = changed = small[trait.name]
    for place, length, data in edits:
        start = place % (len(changed) + 1)
        changed = changed[:start] + data + changed[start + length :]
    assume(changed != archive)
    with pytest.raises(strongroom.StrongroomError):
        read_all(trait, changed)
