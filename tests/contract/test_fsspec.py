"""RamFS keeps fsspec's contract: fsspec's own suites, and the libraries that speak to file systems through it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet
import pytest
from fsspec.tests import abstract
from pyarrow.fs import FileSelector, FileType, FSSpecHandler, PyFileSystem

from strongroom import LimitError, RamFS
from tests.helpers import listing


class RamFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self) -> Iterator[RamFS]:
        with RamFS() as fs:
            yield fs

    @pytest.fixture
    def fs_path(self) -> str:
        return "/suite"

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)


class TestCopy(abstract.AbstractCopyTests, RamFixtures):
    pass


class TestGet(abstract.AbstractGetTests, RamFixtures):
    pass


class TestPut(abstract.AbstractPutTests, RamFixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, RamFixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, RamFixtures):
    pass


@pytest.fixture
def ram() -> Iterator[RamFS]:
    """A file system of one's own."""
    with RamFS() as fs:
        yield fs


@pytest.fixture
def frame() -> pd.DataFrame:
    """Records as pandas has them."""
    rows = 5000
    names = [f"Zoë {number}" for number in range(rows)]
    return pd.DataFrame({"id": range(rows), "name": names, "dose": [number / 7 for number in range(rows)]})


@pytest.mark.parametrize("kind", ["csv", "parquet", "json", "pickle"])
def test_pandas_by_url(ram: RamFS, frame: pd.DataFrame, kind: str) -> None:
    """What pandas writes to a URL, it reads from there."""
    url = ram.url(f"/ward/patients.{kind}")
    if kind == "csv":
        frame.to_csv(url, index=False)
        back = pd.read_csv(url)
    elif kind == "parquet":
        frame.to_parquet(url)
        back = pd.read_parquet(url)
    elif kind == "json":
        frame.to_json(url, orient="records", lines=True)
        back = pd.read_json(url, orient="records", lines=True)
    else:
        frame.to_pickle(url)
        back = pd.read_pickle(url)  # noqa: S301 - of what was written just before
    pd.testing.assert_frame_equal(frame, back)
    assert ram.ls("/ward", detail=False) == [f"/ward/patients.{kind}"]


@pytest.mark.parametrize("mode", ["", "b"])
def test_pandas_by_file(ram: RamFS, frame: pd.DataFrame, mode: str) -> None:
    """Pandas takes the open files too, of text and of bytes."""
    with ram.open("/patients.csv", "w" + mode) as file:
        frame.to_csv(file, index=False)
    with ram.open("/patients.csv", "r" + mode) as file:
        pd.testing.assert_frame_equal(frame, pd.read_csv(file))


def test_pandas_compresses(ram: RamFS, frame: pd.DataFrame) -> None:
    """A name that asks for compression gets it, by pandas as by fsspec."""
    frame.to_csv(ram.url("/patients.csv.gz"), index=False)
    with ram.open("/patients.csv.gz", "rt", compression="infer", encoding="utf-8") as file:
        pd.testing.assert_frame_equal(frame, pd.read_csv(file))


def test_pyarrow_tables(ram: RamFS, frame: pd.DataFrame) -> None:
    """Parquet and CSV of pyarrow, through its own interface for file systems."""
    fs = PyFileSystem(FSSpecHandler(ram))
    table = pa.Table.from_pandas(frame)
    pa.parquet.write_table(table, "ward/patients.parquet", filesystem=fs)
    assert pa.parquet.read_table("ward/patients.parquet", filesystem=fs).equals(table)
    assert pa.parquet.read_table("ward/patients.parquet", columns=["dose"], filesystem=fs).num_columns == 1
    with fs.open_output_stream("ward/patients.csv") as stream:
        pa.csv.write_csv(table, stream)
    with fs.open_input_stream("ward/patients.csv") as stream:
        assert pa.csv.read_csv(stream).num_rows == len(frame)


def test_pyarrow_dataset(ram: RamFS, frame: pd.DataFrame) -> None:
    """A dataset in many files, written and read by pyarrow's threads."""
    fs = PyFileSystem(FSSpecHandler(ram))
    frame["ward"] = frame["id"] % 7
    table = pa.Table.from_pandas(frame)
    options = {"format": "parquet", "filesystem": fs, "partitioning": ["ward"]}
    pa.dataset.write_dataset(table, "/wards", **options)
    back = pa.dataset.dataset("/wards", **options)
    assert len(back.files) == 7
    assert back.to_table().num_rows == len(frame)
    assert back.to_table(filter=pa.dataset.field("ward") == 3).num_rows == sum(frame["ward"] == 3)


def test_pyarrow_file_system(ram: RamFS) -> None:
    """All calls of pyarrow's interface."""
    fs = PyFileSystem(FSSpecHandler(ram))
    fs.create_dir("a/b", recursive=True)
    with fs.open_output_stream("a/b/one") as stream:
        stream.write(b"one")
    with fs.open_append_stream("a/b/one") as stream:
        stream.write(b"two")
    with fs.open_input_file("a/b/one") as file:
        assert file.size() == 6
        assert file.read_at(3, 2) == b"etw"
        file.seek(0)
        assert file.readall() == b"onetwo"
    fs.copy_file("a/b/one", "a/two")
    fs.move("a/b", "a/c")
    assert fs.get_file_info("a/b").type == FileType.NotFound
    info = fs.get_file_info("a/c/one")
    assert (info.type, info.size) == (FileType.File, 6)
    assert info.mtime is not None
    assert {info.path for info in fs.get_file_info(FileSelector("/a", recursive=True))} == {
        "/a/c",
        "/a/c/one",
        "/a/two",
    }
    with pytest.raises(IsADirectoryError):
        fs.delete_file("a/c")
    fs.delete_file("a/two")
    fs.delete_dir_contents("a")
    assert ram.ls("/a") == []
    fs.delete_dir("a")
    assert ram.ls("/") == []


def test_mapper(ram: RamFS) -> None:
    """A mapping over the file system, as zarr uses it."""
    mapper = ram.get_mapper("/array", create=True)
    mapper["a/0"] = b"zero"
    mapper.setitems({"a/1": b"one", "a/2": b"two"})
    assert sorted(mapper) == ["a/0", "a/1", "a/2"]
    assert mapper.getitems(["a/0", "none"], on_error="omit") == {"a/0": b"zero"}
    with pytest.raises(KeyError):
        mapper["none"]
    mapper.clear()
    assert list(mapper) == []


def test_url_opens_in_fsspec(ram: RamFS) -> None:
    """Fsspec finds the living file system by its URL, for one file, many, and behind other layers."""
    ram.pipe({"/many/a": b"one", "/many/b": b"two"})
    with fsspec.open(ram.url("/many/a"), "rb") as file:
        assert file.read() == b"one"
    found = fsspec.open_files(ram.url("/many/*"), "rb")
    assert [item.path for item in found] == ["/many/a", "/many/b"]
    fs, path = fsspec.url_to_fs(ram.url("/many"))
    assert fs is ram
    assert path == "/many"
    with ram.open("/a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("in/zip", b"three")
    with fsspec.open("zip://in/zip::" + ram.url("/a.zip"), "rb") as file:
        assert file.read() == b"three"


def test_to_and_from_disk(ram: RamFS, tmp_path: Path) -> None:
    """Whole folders come and go by `put` and `get`."""
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/a").write_bytes(b"one")
    (tmp_path / "in/deep/b").write_bytes(bytes(200_000))
    ram.put(str(tmp_path / "in"), "/", recursive=True)
    assert ram.find("/") == ["/in/a", "/in/deep/b"]
    ram.get("/in", str(tmp_path / "out"), recursive=True)
    assert listing(tmp_path / "out") == ["a", "deep"]
    assert (tmp_path / "out/deep/b").read_bytes() == bytes(200_000)


def test_limit_reaches_the_caller(frame: pd.DataFrame) -> None:
    """A library that writes too much is stopped by our own error."""
    with RamFS(limit=1000) as ram, pytest.raises(LimitError):
        frame.to_csv(ram.url("/patients.csv"))
