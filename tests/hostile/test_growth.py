"""Work that grows with the archive, and not with its square: its CPU time at one size and at four times that."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import strongroom
from strongroom import FormatError, RamFS, ReadRoom
from strongroom.formats.sevenzip import spec as seven
from strongroom.formats.sevenzip.files import File
from strongroom.formats.sevenzip.streams import Folder, Stream, Streams
from tests import sevenzipcraft, zipcraft
from tests.proof import Tried

FACTOR = 4
LINEAR = FACTOR * 1.9  # a square would be 16
NOISE = 0.05

Times = Callable[[int, int], int]


def seconds(work: Callable[[], object]) -> float:
    """The CPU time of a call, of all threads, without the kernel's: how that keeps files is not our matter."""
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - start


def assert_linear(measure: Callable[[int], float], large: int) -> None:
    """`measure` at `large` takes no more than LINEAR times what it takes at a fourth of that."""
    small, full = measure(large // FACTOR), measure(large)
    if full > small * LINEAR + NOISE:  # a page fault storm or a collection at the wrong moment: look again
        small, full = measure(large // FACTOR), measure(large)
    assert full < small * LINEAR + NOISE, (small, full)


def assert_each_linear(measure: Callable[[int], dict[str, float]], large: int) -> None:
    """The same for each step of a work."""
    small, full = measure(large // FACTOR), measure(large)
    for step, cost in full.items():
        assert cost < small[step] * LINEAR + 3 * NOISE, (step, small, full)


def flat(number: int) -> str:
    """All in one folder."""
    return f"file {number:06}"


def nested(number: int) -> str:
    """Folders in folders, ten to each."""
    return "/".join(f"{number:06}")


def deep(number: int) -> str:
    """Behind a hundred folders."""
    return "d/" * 100 + f"{number}"


def composed(number: int) -> str:
    """Names that Unicode normalisation changes."""
    return f"e\u0301{number}"


def as_zip(names: Iterable[str]) -> bytes:
    """A ZIP of empty files."""
    return zipcraft.join(*(zipcraft.plain(name, b"") for name in names))


def as_7z(names: Iterable[str]) -> bytes:
    """A 7z of empty files, but for one with a byte."""
    files = [File("", modified=1 << 56)._replace(name=name, has_data=False) for name in names]
    body = b"x"
    folder = Folder((sevenzipcraft.COPY,), (), (0,), (1,))
    streams = Streams(0, (Stream(1),), (folder,), ((Stream(1, 0x8CDC1683),),))
    return sevenzipcraft.join(body, seven.Header(streams, (File("first", modified=1 << 56), *files)).encode())


def solid(names: Iterable[str]) -> bytes:
    """A 7z in which all files are in one folder, compressed and encrypted."""
    return sevenzipcraft.archive(dict.fromkeys(names, b"data"), method="lzma2", solid=True)


def opened(archive: bytes) -> ReadRoom:
    """Open with all that is refused unless asked for."""
    return strongroom.open(io.BytesIO(archive), allow_plaintext=True, password=sevenzipcraft.PASSWORD, threads=1)


SHAPES = [(as_zip, flat), (as_zip, nested), (as_zip, deep), (as_zip, composed), (as_7z, flat), (solid, nested)]


@pytest.mark.parametrize(("make", "name"), SHAPES)
def test_entries(
    make: Callable[..., bytes], name: Callable[[int], str], tmp_path: Path, times: Times, tried: Tried
) -> None:
    """Opened, listed, verified, read, loaded and extracted, many entries cost so many times what one does."""

    def measure(count: int) -> dict[str, float]:
        archive = make([name(number) for number in range(count)])
        cost = {"open": seconds(lambda: opened(archive).close())}
        with opened(archive) as room:
            cost["list"] = seconds(lambda: [(entry.name in room, room.entry(entry.name)) for entry in room])
            cost["verify"] = seconds(room.verify)
            cost["read"] = seconds(lambda: [room.read(entry.name) for entry in room])
            cost["load"] = seconds(lambda: room.load().close())
            if name is not deep:  # which makes a hundred descriptors an entry
                cost["extract"] = seconds(lambda: room.extract(tmp_path / str(count)))
        return cost

    large = times(2_000, 100_000)
    assert_each_linear(measure, large)
    tried("P8", "100,000 entries: flat, nested, deep, solid", "each way of reading takes linear time", count=large)


@pytest.mark.parametrize("make", [as_zip, as_7z])
@pytest.mark.parametrize("name", [lambda _: "same", lambda number: f"{number // 2}"], ids=["one name", "pairs"])
def test_duplicate_names(make: Callable[..., bytes], name: Callable[[int], str], times: Times, tried: Tried) -> None:
    """Names that are there twice are an error, and one that takes linear time to come to."""
    large = times(10_000, 100_000)

    def measure(count: int) -> float:
        archive = make([name(number) for number in range(count)])

        def refused() -> None:
            with pytest.raises(FormatError):
                opened(archive)

        return seconds(refused)

    assert_linear(measure, large)
    tried("P8", "100,000 duplicate names", "refused, in linear time", count=large)


def zip_names(size: int) -> bytes:
    """A directory of names of 4 KiB."""
    return as_zip(f"{number:06}" + "n" * 4000 for number in range(size // 4052))


def zip_extras(size: int) -> bytes:
    """A directory of extra fields of 64 KB, each of thousands of records."""
    record = b"\xfe\xca\x04\0data"
    many = size // 65_000
    return zipcraft.join(
        *(zipcraft.plain(f"{number}", b"").but(central={"extra": record * 8000}) for number in range(many))
    )


def zip_small_extras(size: int) -> bytes:
    """The same, of the smallest records that there are."""
    many = size // 65_000
    return zipcraft.join(
        *(zipcraft.plain(f"{n}", b"").but(central={"extra": b"\xfe\xca\0\0" * 16_000}) for n in range(many))
    )


def seven_names(size: int) -> bytes:
    """A header of names of 4 KiB."""
    return as_7z(f"{number:06}" + "n" * 4000 for number in range(size // 8012))


def seven_folders(size: int) -> bytes:
    """A header of folders, of which each has an entry."""
    return sevenzipcraft.archive({f"{n}": b"x" for n in range(size // 400)}, secret=False)


def seven_zeros(size: int) -> bytes:
    """A header of zeros."""
    return sevenzipcraft.join(b"", bytes([1]) + bytes(size))


def seven_padding(size: int) -> bytes:
    """A header of padding, a byte each."""
    whole = as_7z(["a"])
    start = seven.SignatureHeader.decode(whole[:32])
    header = whole[32 + start.offset :]
    return sevenzipcraft.join(b"x", header[:-2] + b"\x19\x01\0" * (size // 3) + header[-2:])


@pytest.mark.parametrize(
    "make", [zip_names, zip_extras, zip_small_extras, seven_names, seven_folders, seven_zeros, seven_padding]
)
def test_large_headers(make: Callable[[int], bytes], times: Times, tried: Tried) -> None:
    """A header of 64 MiB is read, or refused, in linear time."""
    large = times(2 << 20, 64 << 20)

    def measure(size: int) -> float:
        archive = make(size)

        def read() -> None:
            try:
                opened(archive).close()
            except strongroom.StrongroomError:
                return

        return seconds(read)

    assert_linear(measure, large)
    tried("P8", "headers of 64 MiB", "read or refused, in linear time", count=1)


@pytest.mark.parametrize("name", [flat, nested])
def test_ram_file_system(name: Callable[[int], str], times: Times, tried: Tried) -> None:
    """A RamFS of 100,000 files is filled, listed, walked, searched, moved and emptied in linear time."""

    def measure(count: int) -> dict[str, float]:
        cost: dict[str, float] = {}
        with RamFS() as ram:
            cost["pipe"] = seconds(lambda: [ram.pipe(f"/in/{name(number)}", b"") for number in range(count)])
            cost["exists"] = seconds(lambda: [ram.exists(f"/in/{name(number)}") for number in range(count)])
            cost["ls"] = seconds(lambda: ram.ls("/in", detail=True))
            cost["find"] = seconds(lambda: ram.find("/", detail=True))
            cost["walk"] = seconds(lambda: list(ram.walk("/")))
            cost["glob"] = seconds(lambda: ram.glob("/**/*9"))
            cost["du"] = seconds(lambda: ram.du("/"))
            cost["mv"] = seconds(lambda: ram.mv("/in", "/out", recursive=True))
            assert len(ram.find("/")) == count
            cost["rm"] = seconds(lambda: ram.rm("/out", recursive=True))
        return cost

    large = times(2_000, 100_000)
    assert_each_linear(measure, large)
    tried("P8", "a RamFS of 100,000 names", "filled, listed and emptied in linear time", count=large)
