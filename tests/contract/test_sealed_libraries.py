"""The libraries that speak to file systems through fsspec write and read sealed files, and leave none by half."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask
import dask.dataframe
import duckdb
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
from pyarrow.fs import FSSpecHandler, PyFileSystem

from strongroom import StrongroomWarning, WrongKeyError
from strongroom.formats.age import identities
from strongroom.formats.age.spec import MAGIC
from strongroom.fs import SealedFileSystem

ROWS = 50_000


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A recipient, and the path of its identity."""
    identity = identities.generate()
    path = tmp_path_factory.mktemp("keys") / "identity.txt"
    with identities.encode(identity) as text:
        path.write_bytes(bytes(text))
    identity.close()
    return identity.recipient, str(path)


@pytest.fixture
def fs(keys: tuple[str, str]) -> Iterator[SealedFileSystem]:
    """A file system that writes and reads."""
    with SealedFileSystem(fs=fsspec.filesystem("file"), recipients=keys[0], identities=keys[1]) as made:
        yield made


@pytest.fixture
def frame() -> pd.DataFrame:
    """Records as pandas has them."""
    names = [f"Zoë {number}" for number in range(ROWS)]
    return pd.DataFrame({"id": range(ROWS), "name": names, "dose": [number / 7 for number in range(ROWS)]})


class Unwritable:
    """A value that fails while it is written."""

    def __str__(self) -> str:
        raise KeyError


def sealed(folder: Path) -> list[str]:
    """The names of what is there, all of it encrypted."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.read_bytes().startswith(MAGIC) for path in files)
    return sorted(path.relative_to(folder).as_posix() for path in files)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.json", "a.json.zip", "a.pkl", "a.feather"])
def test_pandas_by_url(keys: tuple[str, str], tmp_path: Path, frame: pd.DataFrame, name: str) -> None:
    """What pandas writes with recipients, it reads with an identity, and not with the recipients."""
    url = f"sealed::file://{tmp_path}/{name}"
    writes, reads = {"recipients": [keys[0]]}, {"identities": [keys[1]]}
    kind = name.split(".")[1]
    read = {
        "csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json, "pkl": pd.read_pickle,
        "feather": pd.read_feather,
    }[kind]  # fmt: skip
    if kind == "csv":
        frame.to_csv(url, index=False, storage_options=writes)
    elif kind == "parquet":
        frame.to_parquet(url, storage_options=writes)
    elif kind == "json":
        frame.to_json(url, storage_options=writes)
    elif kind == "pkl":
        frame.to_pickle(url, storage_options=writes)
    else:
        with fsspec.open(url, "wb", **writes) as file:
            frame.to_feather(file)
    assert sealed(tmp_path) == [f"{name}.age"]
    pd.testing.assert_frame_equal(frame, read(url, storage_options=reads))
    with pytest.raises(WrongKeyError):
        read(url, storage_options=writes)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip"])
def test_pandas_that_fails(keys: tuple[str, str], tmp_path: Path, name: str) -> None:
    """Pandas closes its file in a finally: what it had written is discarded, with a warning, and its error is seen."""
    frame = pd.DataFrame({"a": [*range(100_000), Unwritable()]})
    with pytest.warns(StrongroomWarning, match="discarded"), pytest.raises(KeyError):
        frame.to_csv(f"sealed::file://{tmp_path}/{name}", storage_options={"recipients": [keys[0]]})
    assert sealed(tmp_path) == []


def test_pyarrow_dataset(fs: SealedFileSystem, tmp_path: Path, frame: pd.DataFrame) -> None:
    """A dataset in many files, written and read by pyarrow's threads, columns and filters among them."""
    frame["ward"] = frame["id"] % 7
    table = pa.Table.from_pandas(frame)
    options = {"format": "parquet", "filesystem": PyFileSystem(FSSpecHandler(fs)), "partitioning": ["ward"]}
    pa.dataset.write_dataset(table, f"{tmp_path}/wards", **options)
    back = pa.dataset.dataset(f"{tmp_path}/wards", **options)
    assert len(back.files) == len(sealed(tmp_path)) == 7
    assert back.to_table().num_rows == len(frame)
    assert back.to_table(columns=["dose"], filter=pa.dataset.field("ward") == 3).num_rows == sum(frame["ward"] == 3)


def batches() -> Iterator[pa.RecordBatch]:
    """Some records, and then an error."""
    for _ in range(20):
        yield pa.record_batch({"a": list(range(10_000)), "ward": [number % 3 for number in range(10_000)]})
    raise KeyError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_pyarrow_that_fails(fs: SealedFileSystem, tmp_path: Path) -> None:
    """Where the source of a dataset or of a table fails, no file is there, though C++ closes them."""
    options = {
        "schema": pa.schema({"a": pa.int64(), "ward": pa.int64()}),
        "filesystem": PyFileSystem(FSSpecHandler(fs)),
    }
    with pytest.raises(KeyError):
        pa.dataset.write_dataset(
            batches(), f"{tmp_path}/wards", format="parquet", partitioning=["ward"], max_rows_per_group=5000,
            min_rows_per_group=1000, **options,
        )  # fmt: skip

    def write() -> None:
        with pa.parquet.ParquetWriter(f"{tmp_path}/a.parquet", **options) as writer:
            for batch in batches():
                writer.write_batch(batch)

    with pytest.warns(StrongroomWarning, match="discarded"), pytest.raises(KeyError):
        write()
    assert sealed(tmp_path) == []


def test_duckdb(fs: SealedFileSystem, tmp_path: Path, frame: pd.DataFrame) -> None:
    """DuckDB writes and reads, whole folders too."""
    with duckdb.connect(config={"temp_directory": ""}) as connection:
        connection.register_filesystem(fs)
        connection.register("frame", frame)
        for number in range(3):
            connection.execute(f"COPY frame TO 'sealed://{tmp_path}/{number}.parquet'")
        connection.execute(f"COPY frame TO 'sealed://{tmp_path}/a.csv'")
        rows = connection.execute("SELECT count(*), sum(id) FROM read_parquet(?)", [f"sealed://{tmp_path}/*.parquet"])
        assert rows.fetchall() == [(3 * ROWS, 3 * sum(range(ROWS)))]
        rows = connection.execute("SELECT max(dose) FROM read_csv(?)", [f"sealed://{tmp_path}/a.csv"])
        assert rows.fetchall() == [(frame["dose"].max(),)]
    assert sealed(tmp_path) == ["0.parquet.age", "1.parquet.age", "2.parquet.age", "a.csv.age"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_duckdb_that_fails(fs: SealedFileSystem, tmp_path: Path, name: str) -> None:
    """A query that fails in the middle leaves no file."""
    query = "SELECT i, CASE WHEN i = 900000 THEN error('no') ELSE 1 END AS one FROM range(1000000) t(i)"
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register_filesystem(fs)
        with pytest.raises(duckdb.Error):
            connection.execute(f"COPY ({query}) TO 'sealed://{tmp_path}/{name}'")
    assert sealed(tmp_path) == []


def test_dask(keys: tuple[str, str], tmp_path: Path, frame: pd.DataFrame) -> None:
    """Dask writes partitions with recipients, and reads them with an identity."""
    url = f"sealed::file://{tmp_path}/table"
    with dask.config.set(scheduler="threads"):
        parts = dask.dataframe.from_pandas(frame, npartitions=4)
        parts.to_parquet(url, storage_options={"recipients": [keys[0]]})
        assert sealed(tmp_path) == [f"table/part.{number}.parquet.age" for number in range(4)]
        back = dask.dataframe.read_parquet(url, storage_options={"identities": [keys[1]]}, columns=["id", "dose"])
        assert back["id"].sum().compute() == sum(range(ROWS))
        with pytest.raises(WrongKeyError):
            dask.dataframe.read_parquet(url, storage_options={"recipients": [keys[0]]}).compute()
