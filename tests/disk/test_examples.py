from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from examples.records import picture, records
from tests.disk.image import ROOT, SIZE, disk, found
from tests.proof import Tried, for_proof_alone

RECORDS: Final = 20_000
ADRS: Final = ROOT / "docs/adr"
Times = Callable[[int, int], int]


class Example(NamedTuple):
    """How an example is run, and what must not be found on the disk: pieces of what it seals."""

    arguments: tuple[str, ...]
    contents: Callable[[], Iterable[bytes]]
    heavy: bool = False


def script(name: str, *contents: bytes) -> Example:
    """An example that is run as it stands."""
    return Example((str(ROOT / f"examples/{name}.py"),), lambda: contents)


def made_up() -> list[bytes]:
    """Rows and pieces of the picture, from all over them."""
    rows = [row for row in records(RECORDS).splitlines()[1 :: RECORDS // 200] if len(row) > 40]
    image = picture()
    return [*rows, *(image[place : place + 32] for place in range(1000, len(image) - 32, len(image) // 20))]


def lines_of_adrs() -> list[bytes]:
    """Lines of the folder that `one_liners` is given, which lies on another disk."""
    return [line for path in ADRS.iterdir() for line in path.read_bytes().splitlines()[4:6] if len(line) > 40]


DEMO: Final = f"""
from pathlib import Path
from examples import demo
demo.RECORDS = {RECORDS}
demo.main(Path("demo"))
"""
EXAMPLES: Final = {
    "demo": Example(("-c", DEMO), made_up),
    "plain_zip": script("plain_zip", b"What ever you do, don't tell anyone!"),
    "fernet_zip": script("fernet_zip", b"for the second password only", b"for whoever opens the archive"),
    "ram_fernet_zip": script("ram_fernet_zip", b"for the second password only", b"id,dose\n1,0.5\n2,0.25\n"),
    "ram_fernet_7z": script("ram_fernet_7z", b"for the second password", bytes(range(256))),
    "pandas_tables": script("pandas_tables", b"1,Ada,0.5", b"2,Zo\xc3\xab,0.25"),
    "polars_tables": script("polars_tables", b"1,Ada,0.5", b"2,Zo\xc3\xab,0.25"),
    "arrow_dataset": script("arrow_dataset", b"Cardiology", b"Oncology"),
    "duckdb_tables": script("duckdb_tables", b"Cardiology", b"id,ward\n0,Cardiology\n1,Oncology"),
    "sqlite_database": script("sqlite_database", b"SQLite format 3\0", b"CREATE TABLE patient"),
    "figures": script("figures", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"<svg xmlns:xlink=", b"\xff\xd8\xff\xe0\0\x10JFIF"),
    "one_liners": Example(("-m", "examples.one_liners", str(ADRS)), lines_of_adrs),
    "dask_partitions": Example(
        ("-m", "examples.dask_partitions", "sealed", "--records", "60000", "--partitions", "12", "--kill"),
        lambda: (b"patient ", b"Cardiology"),
        heavy=True,
    ),
}
APART: Final = {"__init__", "records", "postgres_dump"}
"""What is no example, and what needs a server: `tests/examples/test_postgres.py` has that."""
NOTHING: Final = "no plaintext on the raw disk"


def test_every_example_is_tried() -> None:
    """Who adds an example says here what it seals."""
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} - APART == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str, tmp_path: Path, times: Times, tried: Tried) -> None:
    """What an example seals is nowhere on the disk, also where it is killed."""
    example = EXAMPLES[name]
    if example.heavy:
        for_proof_alone(times)
    with disk(tmp_path) as mounted:
        start = time.monotonic()
        process = mounted.start(*example.arguments)
        _, said = process.communicate(timeout=100)
        assert process.returncode == 0, said.decode()
        duration = time.monotonic() - start
        assert any(path.is_file() for path in mounted.out.rglob("*"))
        kills = 0 if example.heavy else times(1, 10)
        for moment in range(kills):
            process = mounted.start(*example.arguments)
            time.sleep(duration * (moment + random.Random(moment).random()) / kills)
            process.kill()
            process.communicate()
    contents = {str(number): value for number, value in enumerate(example.contents())}
    assert contents
    assert found(tmp_path, contents) == {}
    tried("P1", f"the example {name}, the raw disk scanned", NOTHING, count=1 + kills)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_contents_are_found_where_they_are(name: str, tmp_path: Path) -> None:
    """The method itself: what is looked for is found once it is there."""
    values = list(EXAMPLES[name].contents())
    with (tmp_path / "image").open("wb") as image:
        image.truncate(SIZE >> 4)
        for number, value in enumerate(values):
            image.seek(number << 10)
            image.write(value)
    assert len(found(tmp_path, {str(number): value for number, value in enumerate(values)})) == len(values)
