"""Whatever an age file holds, it comes back; whatever stands in one, there is a result or an error of ours."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import StrongroomError
from strongroom.formats.age import bech32, spec
from strongroom.formats.age.armor import ArmoredSource, Armorer
from strongroom.limits import Limits
from strongroom.source import read
from tests import agecraft

quick = settings(max_examples=100, deadline=None, derandomize=True)

ARGUMENT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
STANZA = st.builds(spec.Stanza, ARGUMENT, st.lists(ARGUMENT, max_size=3).map(tuple), st.binary(max_size=200))
HEADER = st.builds(
    spec.Header, st.lists(STANZA, min_size=1, max_size=4).map(tuple), st.binary(min_size=32, max_size=32)
)
OWN = agecraft.identity()
FILE = agecraft.seal(bytes(range(256)) * 300)
HEAD = FILE.index(b"\n---") + 50


@quick
@given(HEADER, st.binary(max_size=100))
def test_header_comes_back(header: spec.Header, payload: bytes) -> None:
    """Encode then decode is the same header, and ends where it ends."""
    data = header.encode()
    assert spec.Header.decode(data) == header
    assert spec.read_header(agecraft.source(data + payload), Limits()) == (header, len(data))


@quick
@given(HEADER, st.data())
def test_what_decodes_encodes_to_the_same_bytes(header: spec.Header, data: st.DataObject) -> None:
    """Also after a change: so the MAC is of what was read."""
    encoded = bytearray(header.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(encoded) - 1))
        encoded[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"\n", b" ", b"A", b"="])
        )
    try:
        found = spec.Header.decode(bytes(encoded))
    except StrongroomError:
        return
    assert found.encode() == encoded


@quick
@given(st.binary(max_size=300), st.integers(1, 100), st.booleans())
def test_armor_comes_back(data: bytes, step: int, windows: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Whatever the pieces and the line ends."""
    armorer = Armorer()
    pieces = [piece for start in range(0, len(data), step) for piece in armorer.update(data[start : start + step])]
    text = b"".join([*pieces, *armorer.finish()])
    opened = ArmoredSource(agecraft.source(text.replace(b"\n", b"\r\n") if windows else text))
    assert read(opened, 0, opened.size) == data


@quick
@given(ARGUMENT.map(str.lower), st.binary(max_size=100))
def test_bech32_comes_back(kind: str, data: bytes) -> None:
    """Any prefix in small letters, any data."""
    assert bech32.decode(bech32.encode(kind, data)) == data


@quick
@given(st.integers(0, 200_000), st.integers(2_000, 70_000))
def test_data_comes_back(size: int, step: int) -> None:
    """In every way of reading."""
    data = (bytes(range(251)) * 800)[:size]
    file = agecraft.seal(data)
    for found in (
        agecraft.read_whole(file, [OWN]),
        agecraft.read_streaming(file, [OWN]),
        agecraft.read_pipe(file, [OWN], step),
        agecraft.read_seeking(file, [OWN], step),
    ):
        assert (found.data, found.error) == (data, None)


@quick
@given(st.integers(0, len(FILE) - 1) | st.integers(0, HEAD), st.binary(min_size=1, max_size=40))
def test_any_change_is_noticed(place: int, new: bytes) -> None:
    """No changed file opens whole; of what is given out, nothing is other than it was."""
    data = bytes(range(256)) * 300
    changed = FILE[:place] + new + FILE[place + len(new) :]
    if changed == FILE:
        return
    assert agecraft.read_whole(changed, [OWN]).error is not None
    for found in (agecraft.read_streaming(changed, [OWN]), agecraft.read_pipe(changed, [OWN])):
        assert found.error is not None
        assert data.startswith(found.data)


@quick
@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: spec.VERSION_LINE + tail))
def test_any_bytes_give_an_error_of_ours(data: bytes) -> None:
    """A reader never raises another one's error."""
    for way in (agecraft.read_whole, agecraft.read_streaming, agecraft.read_pipe):
        assert isinstance(way(data, [OWN]).error, StrongroomError)
