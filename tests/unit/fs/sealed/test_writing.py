from __future__ import annotations

import gc
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from strongroom import StrongroomWarning
from strongroom.fs import SealedFileSystem
from tests.helpers import listing
from tests.unit.fs.sealed.conftest import Keys


# ruff: noqa: FBT001, FBT002 - the signatures are fsspec's
class Object(AbstractBufferedFile):
    """An object as s3fs has it: in parts, and there once `commit` completes the upload."""

    parts: list[bytes] | None = None

    def _initiate_upload(self) -> None:
        self.parts = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        self.parts.append(self.buffer.read())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        self.fs.objects[self.path] = b"".join(self.parts)

    def discard(self) -> None:
        self.fs.aborted.append(self.path)
        self.parts = None

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.objects[self.path][start:end]


class Store(fsspec.AbstractFileSystem):
    """A store that puts objects whole."""

    protocol = "s3"
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.aborted: list[str] = []

    def _open(self, path: str, mode: str = "rb", autocommit: bool = True, **_: object) -> Object:
        return Object(self, path, mode, block_size=5 << 20, autocommit=autocommit)

    def info(self, path: str, **_: object) -> dict[str, object]:
        if path not in self.objects:
            raise FileNotFoundError(path)
        return {"name": path, "size": len(self.objects[path]), "type": "file", "ETag": str(hash(self.objects[path]))}

    def ls(self, path: str, detail: bool = True, **_: object) -> list[dict[str, object]]:
        return [self.info(name) for name in self.objects if name.startswith(path)]


class Private(MemoryFileSystem):
    """A memory of one's own, which shows a file as soon as it is opened."""

    cachable = False
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]


@pytest.fixture(params=["file", "memory", "store"])
def place(request: pytest.FixtureRequest, keys: Keys, tmp_path: Path) -> tuple[SealedFileSystem, str]:
    """A file system over each kind of inner one, and a folder there."""
    inner = {"file": lambda: fsspec.filesystem("file"), "memory": Private, "store": Store}[request.param]()
    Private.store.clear()
    fs = SealedFileSystem(fs=inner, recipients=keys.recipient, identities=keys.path)
    return fs, str(tmp_path) if request.param == "file" else "/bucket"


def everything(fs: SealedFileSystem, folder: str) -> list[str]:
    """What there is on the inner file system, hidden names too."""
    return sorted(str(name).rpartition("/")[2] for name in fs.fs.find(folder))


def fail(fs: SealedFileSystem, path: str, mode: str, data: bytes | str, **options: str) -> None:
    """Write, and leave the block by an exception."""
    with fs.open(path, mode, **options) as file:
        file.write(data)
        raise KeyError


def library(file: IO[bytes] | IO[str], data: bytes | str) -> None:
    """Write, fail, and close the file in the finally, as libraries do."""
    try:
        file.write(data)
        {}["key"]
    finally:
        file.close()


def write_and_fail(fs: SealedFileSystem, path: str) -> None:
    """Write a file whole, and fail behind it."""
    fs.pipe_file(path, b"data")
    raise KeyError


def test_nothing_shows_before_it_is_whole(place: tuple[SealedFileSystem, str]) -> None:
    """While a file is written, and of what is discarded, there is nothing under the name, or what was there before."""
    fs, folder = place
    with fs.open(f"{folder}/a", "wb") as file:
        file.write(bytes(7 << 20))
        assert not fs.exists(f"{folder}/a")
    assert everything(fs, folder) == ["a.age"]
    with pytest.raises(KeyError):
        fail(fs, f"{folder}/a", "wb", b"other")
    assert fs.cat_file(f"{folder}/a") == bytes(7 << 20)
    with fs.open(f"{folder}/a", "wb") as file:
        file.write(b"new")
    assert fs.cat_file(f"{folder}/a") == b"new"
    assert everything(fs, folder) == ["a.age"]


@pytest.mark.parametrize("kind", ["wb", "w", "gzip", "gzip text"])
def test_an_exception_discards(place: tuple[SealedFileSystem, str], kind: str) -> None:
    """In a block silently; where a library closes the file in its finally, with a warning."""
    fs, folder = place
    options = {"compression": "gzip"} if "gzip" in kind else {}
    mode = "w" if kind in ("w", "gzip text") else "wb"
    data = "data" if mode == "w" else b"data"
    with pytest.raises(KeyError):
        fail(fs, f"{folder}/a", mode, data, **options)
    with pytest.warns(StrongroomWarning, match="discarded"), pytest.raises(KeyError):
        library(fs.open(f"{folder}/a", mode, **options), data)
    assert everything(fs, folder) == []
    with fs.open(f"{folder}/a", mode, **options) as file:
        file.write(data)
    with fs.open(f"{folder}/a", mode.replace("w", "r"), **options) as file:
        assert file.read() == data


def test_opened_while_an_exception_is_handled(place: tuple[SealedFileSystem, str]) -> None:
    """An exception that was there before the file does not count."""
    fs, folder = place
    try:
        {}["key"]
    except KeyError:
        file = fs.open(f"{folder}/a", "wb")
        file.write(b"data")
        file.close()
    assert fs.cat_file(f"{folder}/a") == b"data"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("mode", ["wb", "w"])
def test_never_closed(place: tuple[SealedFileSystem, str], mode: str) -> None:
    """What nobody closes is not there."""
    fs, folder = place
    file = fs.open(f"{folder}/a", mode)
    file.write(b"data" if mode == "wb" else "data")
    del file
    gc.collect()
    assert everything(fs, folder) == []


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_transactions(place: tuple[SealedFileSystem, str], mode: str) -> None:
    """All files of a transaction appear at its end, or none."""
    fs, folder = place
    data = b"data" if mode == "wb" else "data"
    with fs.transaction:
        for name in "ab":
            with fs.open(f"{folder}/{name}", mode) as file:
                file.write(data)
        assert not fs.exists(f"{folder}/a")
    assert everything(fs, folder) == ["a.age", "b.age"]
    with pytest.raises(KeyError), fs.transaction:
        fail(fs, f"{folder}/c", "wb", b"data")
    with pytest.raises(KeyError), fs.transaction:
        write_and_fail(fs, f"{folder}/c")
    assert everything(fs, folder) == ["a.age", "b.age"]
    assert fs.cat_file(f"{folder}/b") == b"data"


def test_exclusive(place: tuple[SealedFileSystem, str]) -> None:
    """A file that is there is not replaced, also where it came while the new one was written."""
    fs, folder = place
    mine = fs.open(f"{folder}/a", "xb")
    mine.write(b"mine")
    fs.pipe_file(f"{folder}/a", b"theirs")
    with pytest.raises(FileExistsError):
        mine.close()
    assert fs.cat_file(f"{folder}/a") == b"theirs"
    with pytest.raises(FileExistsError):
        fs.open(f"{folder}/a", "xb")
    assert everything(fs, folder) == ["a.age"]


def test_the_store_is_told_to_forget(keys: Keys) -> None:
    """An upload that is discarded is aborted, so that the store keeps no parts of it."""
    store = Store()
    fs = SealedFileSystem(fs=store, recipients=keys.recipient)
    with pytest.raises(KeyError):
        fail(fs, "/bucket/a", "wb", bytes(20 << 20))
    assert store.aborted == ["/bucket/a.age"]
    assert store.objects == {}


def test_a_killed_writer_leaves_nothing(keys: Keys, tmp_path: Path) -> None:
    """A process that dies in the middle of a file leaves neither a partial one nor a hidden one."""
    code = f"""
import sys
from strongroom.fs import SealedFileSystem
fs = SealedFileSystem(target_protocol="file", recipients="{keys.recipient}")
with fs.open("{tmp_path}/a", "wb") as file:
    file.write(bytes(20 << 20))
    print("half", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert listing(tmp_path) == []


def test_mode_and_folder(keys: Keys, tmp_path: Path) -> None:
    """A file is the owner's alone; a folder that is not there is `FileNotFoundError`."""
    fs = SealedFileSystem(target_protocol="file", recipients=keys.recipient)
    fs.pipe_file(f"{tmp_path}/a", b"data")
    assert (tmp_path / "a.age").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError):
        fs.open(f"{tmp_path}/none/a", "wb")
