from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest

import strongroom
from strongroom import LimitError, Limits, StrongroomWarning

PLAIN = {"a": b"x" * 5000, "folder/b": b"y" * 3000}


def sealed() -> io.BytesIO:
    """An archive of two small entries."""
    stream = io.BytesIO()
    strongroom.seal(PLAIN, stream, format="zip", password="pass")
    return stream


@pytest.mark.parametrize("value", [-1, 1.5, "5", None])
@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
def test_bounds_are_whole_numbers(name: str, value: object) -> None:
    """A bound is a whole number from 0."""
    with pytest.raises(ValueError):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_frozen() -> None:
    """Limits cannot be changed once they are made."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().entries = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("exact", "below"),
    [({"entries": 3}, {"entries": 2}), ({"name_length": 8}, {"name_length": 7})],
)
def test_bounds_on_opening(exact: dict[str, int], below: dict[str, int]) -> None:
    """An archive opens at the bound, and one below it is a LimitError."""
    with strongroom.open(sealed(), password="pass", limits=Limits(**exact)) as room:
        assert room.verify().ok
    with pytest.raises(LimitError):
        strongroom.open(sealed(), password="pass", limits=Limits(**below))


def test_header_size() -> None:
    """The central directory counts in bytes."""
    archive = sealed().getvalue()
    size = int.from_bytes(archive[-10:-6], "little")
    strongroom.open(io.BytesIO(archive), password="pass", limits=Limits(header_size=size)).close()
    with pytest.raises(LimitError):
        strongroom.open(io.BytesIO(archive), password="pass", limits=Limits(header_size=size - 1))


def test_total_size(tmp_path: Path) -> None:
    """`read` counts one entry, `extract` all that it writes; streams and the caller's own memory are not counted."""
    with strongroom.open(sealed(), password="pass", limits=Limits(total_size=4000, memory_size=4000)) as room:
        assert room.read("folder/b") == PLAIN["folder/b"]
        with pytest.raises(LimitError):
            room.read("a")
        with pytest.raises(LimitError):
            room.extract(tmp_path / "all")
        room.extract(tmp_path / "one", ["folder/b"])
        assert room.read_into("a", bytearray(5000)) == 5000
        with room.open("a", "rb") as file:
            assert file.read(3000) + file.read(3000) == PLAIN["a"]
        assert room.verify().ok


def test_ratio() -> None:
    """An entry that unpacks to more than its ratio is a LimitError, once it is large enough to matter."""
    stream = io.BytesIO()
    with pytest.warns(StrongroomWarning):  # the writer says so, too
        strongroom.seal({"zeros": bytes(65 << 20)}, stream, format="zip", password="pass", compression="zstd")
    with pytest.raises(LimitError):
        strongroom.open(stream, password="pass")
    with strongroom.open(stream, password="pass", limits=Limits(ratio=100_000)) as room:
        assert room.verify().ok


def test_dictionary() -> None:
    """A decoder's window is bounded before the first byte comes out."""
    stream = io.BytesIO()
    strongroom.seal({"a": bytes(3 << 20)}, stream, format="zip", password="pass", compression="lzma")
    with strongroom.open(stream, password="pass", limits=Limits(dictionary=1 << 16)) as room, pytest.raises(LimitError):
        room.read("a")
