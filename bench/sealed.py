"""SealedFileSystem beside the same work without encryption: a table of records to Parquet files and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench import limits
from bench.measure import MIB, Case, Setting, timed, warm
from bench.peers import need

PLAIN = "fsspec, not encrypted"
NATIVE = "pyarrow, not encrypted"


def count(size: int) -> int:
    """How many records stand for `size` bytes: two million for 512 MiB."""
    return 2_000_000 * (size // MIB) // 512


def parquet(setting: Setting) -> Iterator[Case]:
    """One file of all records, by pyarrow, which speaks to both file systems in the same way."""
    need("pyarrow.csv"), need("pyarrow.fs")
    pyarrow, pq = need("pyarrow"), need("pyarrow.parquet")
    records = need("examples.records").records(count(setting.size))
    table = pyarrow.csv.read_csv(pyarrow.BufferReader(records))
    del records

    def measure(make: Callable[[], Any]) -> tuple[float, float]:
        fs = make()
        path = str(setting.fresh("records.parquet").absolute())
        warm(setting, 2 * setting.size)
        write = timed(lambda: pq.write_table(table, path, filesystem=fs))
        (written,) = setting.folder.glob("records.parquet*")
        warm(setting, 2 * setting.size)  # the table is several times as large as its file
        limits.read(written)  # strongroom writes past the page cache, the others into it
        read = timed(lambda: pq.read_table(path, filesystem=fs))
        written.unlink()
        return write, read

    def through(fs: Any) -> Any:  # noqa: ANN401 - fsspec has no types
        return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))

    def sealed() -> Any:  # noqa: ANN401 - as above
        identity = need("strongroom.formats.age.identities").generate(classic=True)
        with need("strongroom.formats.age.identities").encode(identity) as text:
            return through(
                need("strongroom.fs").SealedFileSystem(
                    fs=need("fsspec").filesystem("file"), recipients=identity.recipient, identities=text
                )
            )

    works = ("sealed-write", "sealed-read")
    yield Case("strongroom", works, lambda: measure(sealed))
    yield Case(PLAIN, works, lambda: measure(lambda: through(need("fsspec").filesystem("file"))))
    yield Case(NATIVE, works, lambda: measure(pyarrow.fs.LocalFileSystem))
