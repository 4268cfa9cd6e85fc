"""Reading under attack (P5): a file that is rewritten while it is read. Not one wrong byte comes out, by any way."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import strongroom
from strongroom.errors import StrongroomError
from strongroom.flow import CHUNK
from strongroom.limits import MIB
from tests.helpers import noise, text, tool
from tests.proof import Tried
from tests.tamper.ways import WAYS, Way, by_chunks, by_extract, by_read, by_read_into, by_seeking

PASSWORD: Final = "a made-up password"
LONG: Final = 2 * CHUNK + 1000
DATA: Final = {"long.csv": text(LONG), "small.txt": text(500), "long.bin": noise(LONG)}


class Restless(io.BytesIO):
    """An archive whose bytes are others from the `after`th reading on: where another process wrote meanwhile."""

    def __init__(self, archive: bytes, place: int = 0, change: bytes = b"", after: int = 1 << 60) -> None:
        super().__init__(archive)
        self.readings = 0
        self._place, self._change, self._after = place, change, after

    def read(self, size: int | None = -1, /) -> bytes:
        self.readings += size != 0
        if self.readings == self._after:
            with self.getbuffer() as view:
                for number, mask in enumerate(self._change):
                    view[self._place + number] ^= mask
        return super().read(size)


# The archives


def sealed(form: str, method: str, *, streamed: bool = False) -> bytes:
    """An archive of ours."""
    out = _Pipe() if streamed else io.BytesIO()
    strongroom.seal(DATA, out, format=form, password=PASSWORD, compression=method)
    return out.getvalue()


class _Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def foreign(folder: Path, form: str, *options: str) -> bytes:
    """An archive of 7zz, which has no manifest."""
    for name, data in DATA.items():
        (folder / name).write_bytes(data)
    command = [tool("7zz"), "a", f"-p{PASSWORD}", *options, f"made.{form}", *DATA]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return (folder / f"made.{form}").read_bytes()


def age(_: Path) -> bytes:
    """A plain age file, which has but one entry."""
    out = io.BytesIO()
    strongroom.seal(DATA["long.csv"], out, format="age", password=PASSWORD)
    return out.getvalue()


ARCHIVES: Final[dict[str, Callable[[Path], bytes]]] = {
    "zip, stored": lambda _: sealed("zip", "store"),
    "zip, deflated": lambda _: sealed("zip", "deflate"),
    "zip, written into a pipe": lambda _: sealed("zip", "deflate", streamed=True),
    "zip of 7zz": lambda folder: foreign(folder, "zip", "-mem=AES256"),
    "7z, stored": lambda _: sealed("7z", "store"),
    "7z, LZMA2": lambda _: sealed("7z", "lzma"),
    "7z of 7zz, solid": lambda folder: foreign(folder, "7z", "-mx1", "-mhe=on"),
    "7z of 7zz, plain header": lambda folder: foreign(folder, "7z", "-m0=Copy", "-ms=off"),
    "age": age,
    "zip.age, stored": lambda _: sealed("zip.age", "store"),
    "zip.age, deflated": lambda _: sealed("zip.age", "deflate"),
}


@pytest.fixture
def _small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of 1 MiB is long already, and read twice; keys cost little."""
    monkeypatch.setattr("strongroom.formats.zip.reader._WHOLE", MIB)
    monkeypatch.setattr("strongroom.formats.age.reader._WHOLE", MIB)
    monkeypatch.setattr("strongroom.formats.sevenzip.reader._HELD", MIB)
    monkeypatch.setattr("strongroom.manifest.keys.ROUNDS", 2)
    monkeypatch.setattr("strongroom.formats.sevenzip.crypto.CYCLES_POWER", 8)


def form_of(label: str) -> str:
    """The format that a label begins with."""
    return label.replace(",", " ").split()[0]


def outcome(label: str, file: Any, way: Way, dice: random.Random, folder: Path) -> bool:  # noqa: ANN401 - or a path
    """Read by a way; hold that all that comes out is right. Returns whether all did."""
    form = form_of(label)
    try:
        with strongroom.open(file, format=form, password=PASSWORD, threads=dice.choice((1, 2))) as room:
            for name, place, data in way(room, dice, folder):
                expected = DATA["long.csv" if form == "age" else name]
                assert data == expected[place : place + len(data)], f"{way.__name__} released wrong bytes of {name}"
    except StrongroomError:
        return False
    return True


@pytest.mark.usefixtures("_small_bounds")
@pytest.mark.parametrize("label", ARCHIVES)
def test_rewritten_between_two_readings(
    label: str, tried: Tried, times: Callable[[int, int], int], tmp_path: Path
) -> None:
    """Some bytes become others before any one of the readings, under each way of reading in turn."""
    archive = ARCHIVES[label](tmp_path)
    dice = random.Random(label)
    counts: dict[str, int] = {}
    for way in WAYS:
        quiet = Restless(archive)
        assert outcome(label, quiet, way, random.Random(0), tmp_path)
        counts[way.__name__] = quiet.readings
    count, noticed = times(8, 1000), 0
    for number in range(count):
        way = WAYS[number % len(WAYS)]
        place = dice.randrange(len(archive)) if number else len(archive) // 2
        change = bytes(dice.randrange(1, 256) for _ in range(min(dice.choice((1, 2, 16, 300)), len(archive) - place)))
        after = dice.randrange(2, counts[way.__name__] + 1) if number else 1  # by which this test tests itself
        noticed += not outcome(label, Restless(archive, place, change, after), way, dice, tmp_path)
    assert noticed
    tried("P5", f"{form_of(label)}: rewritten between two readings, under 8 ways of reading", _OUTCOME, count=count)


_OUTCOME: Final = "the right bytes or an error"


@pytest.mark.parametrize("label", ["zip, stored", "zip, deflated", "7z, stored", "7z, LZMA2", "age"])
def test_rewritten_at_real_size(
    label: str, tried: Tried, times: Callable[[int, int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where the bounds are those of users: an entry of 17 MiB, which is read twice."""
    monkeypatch.setitem(DATA, "long.csv", text(CHUNK) * 17)
    archive = ARCHIVES[label](tmp_path)
    dice = random.Random(label)
    count = times(2, 30)
    for number in range(count):
        way = (by_chunks, by_read, by_seeking, by_extract, by_read_into)[number % 5]
        quiet = Restless(archive)
        assert outcome(label, quiet, way, random.Random(0), tmp_path)
        after = dice.randrange(quiet.readings // 3, quiet.readings + 1)
        outcome(label, Restless(archive, dice.randrange(len(archive)), b"\x55", after), way, dice, tmp_path)
    tried("P5", f"{form_of(label)}: an entry of 17 MiB, rewritten between two readings", _OUTCOME, count=count)


_WRITER: Final = """
import os, random, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
size, dice = os.fstat(descriptor).st_size, random.Random(sys.argv[2])
print("ready", flush=True)
while True:
    place = dice.randrange(size)
    right = os.pread(descriptor, 1, place)
    os.pwrite(descriptor, bytes((right[0] ^ dice.randrange(1, 256),)), place)
    for _ in range(dice.randrange(3000)):
        pass
    os.pwrite(descriptor, right, place)
    for _ in range(dice.randrange(30000)):
        pass
"""


@pytest.mark.usefixtures("_small_bounds")
@pytest.mark.parametrize("label", ["zip, stored", "zip, deflated", "7z, stored", "7z, LZMA2", "age", "zip.age, stored"])
def test_raced_by_a_process(label: str, tried: Tried, times: Callable[[int, int], int], tmp_path: Path) -> None:
    """Another process writes single bytes into the file, and puts them back, as fast as it can."""
    path = tmp_path / "raced"
    path.write_bytes(ARCHIVES[label](tmp_path))
    dice = random.Random(label)
    count, right = times(8, 200), 0
    command = [sys.executable, "-c", _WRITER, path, label]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            for number in range(count):
                right += outcome(label, path, WAYS[number % len(WAYS)], dice, tmp_path)
            assert writer.poll() is None
        finally:
            writer.kill()
    tried("P5", f"{form_of(label)}: raced by a process that writes into the file", _OUTCOME, count=count)
    os.truncate(path, path.stat().st_size - 1)
    assert not outcome(label, path, by_read, dice, tmp_path)
