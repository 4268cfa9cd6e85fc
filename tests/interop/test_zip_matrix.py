"""Other tools and our ZIP files, both ways: each cell of method and tool, also those that a tool cannot do."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pyzipper  # type: ignore[import-untyped]
import stream_unzip
import stream_zip

import strongroom
from strongroom.errors import UnsupportedError
from strongroom.limits import MIB
from tests.helpers import noise, text, tool

pytestmark = pytest.mark.filterwarnings("ignore:PBKDF2:DeprecationWarning")  # what stream-zip asks of pycryptodome

PASSWORD = "interop pass phrase"
LARGE = base64.b64encode(noise(MIB)) + text(MIB)
"""More than one chunk of 1 MiB, packed as well as not."""
CONTENT = {"page.html": text(5000), "empty": b"", "large.csv": LARGE, "f\xfc\u0436/\u540d.txt": b"name"}
COMPRESSED = ("page.html", "large.csv")
"""The others are stored under any method, since it would make them longer."""
WRITTEN = ("store", "deflate", "zstd", "lzma", "bzip2", "xz")


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a tool, without a terminal that it could ask for a password."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)


# Strongroom writes


@pytest.fixture(scope="module", params=WRITTEN)
def method(request: pytest.FixtureRequest) -> str:
    """A compression method that strongroom writes."""
    return str(request.param)


@pytest.fixture(scope="module", params=["file", "pipe"])
def sink(request: pytest.FixtureRequest) -> str:
    """Whether local headers are patched, or data descriptors written."""
    return str(request.param)


@pytest.fixture(scope="module")
def sealed(method: str, sink: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of `CONTENT` and an empty folder."""
    path = tmp_path_factory.mktemp(f"{method}-{sink}") / "sealed.zip"
    if sink == "file":
        _seal(path, method)
    else:
        with path.open("wb") as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat:
            assert cat.stdin is not None
            _seal(cat.stdin, method)
    return path


def _seal(target: object, method: str) -> None:
    with strongroom.create(target, password=PASSWORD, format="zip", compression=method) as room:  # type: ignore[arg-type]
        for name, data in CONTENT.items():
            room.write(name, data)
        room.mkdir("folder")


def test_7zz_reads(sealed: Path) -> None:
    """7-Zip opens every method, and finds every authentication code right."""
    seven = tool("7zz")
    assert run(seven, "t", f"-p{PASSWORD}", sealed).returncode == 0
    for name, data in CONTENT.items():
        found = run(seven, "x", "-so", f"-p{PASSWORD}", sealed, name)
        assert (found.returncode, found.stdout) == (0, data)
    assert run(seven, "t", "-pwrong", sealed).returncode == 2


def test_bsdtar_reads(sealed: Path, method: str) -> None:
    """Libarchive opens AES with store and deflate; with other methods it decrypted nothing until 2026, and fails."""
    tar = tool("bsdtar")
    old = b" 3.6." in run(tar, "--version").stdout
    for name, data in CONTENT.items():
        found = run(tar, "-xOf", sealed, "--passphrase", PASSWORD, name)
        if name not in COMPRESSED or method in ("store", "deflate"):
            assert (found.returncode, found.stdout) == (0, data)
        else:
            assert (found.returncode, found.stdout == data) == (1, False) if old else found.stdout in (data, b"")
    assert b"folder/\n" in run(tar, "-tf", sealed).stdout


def test_unzip_refuses(sealed: Path) -> None:
    """Info-ZIP lists the names, and cannot decrypt AES: it skips every file, with exit code 81."""
    unzip = tool("unzip")
    for name in CONTENT:
        found = run(unzip, "-P", PASSWORD, "-p", sealed, name)
        assert (found.returncode, found.stdout) == (81, b"")
    assert run(unzip, "-Z1", sealed).stdout.count(b"\n") == len(CONTENT) + 1


def test_pyzipper_reads(sealed: Path, method: str) -> None:
    """Pyzipper opens AES with the methods of the standard library, which has neither zstd (before 3.14) nor xz."""
    with pyzipper.AESZipFile(sealed) as reader:
        assert reader.namelist() == [*CONTENT, "folder/"]
        reader.setpassword(PASSWORD.encode())
        for name, data in CONTENT.items():
            if name in COMPRESSED and method in ("zstd", "xz"):
                with pytest.raises(NotImplementedError):
                    reader.read(name)
            else:
                assert reader.read(name) == data


def test_zipfile_refuses(sealed: Path) -> None:
    """Python's zipfile lists the names, and does not know AES."""
    with zipfile.ZipFile(sealed) as reader:
        assert reader.namelist() == [*CONTENT, "folder/"]
        for name in CONTENT:
            with pytest.raises(NotImplementedError):
                reader.read(name, pwd=PASSWORD.encode())


def test_stream_unzip_reads(sealed: Path, method: str, sink: str) -> None:
    """Stream-unzip opens store, deflate and bzip2; from a pipe not store, whose end it cannot see."""
    error: type[Exception] | None = None
    if method in ("zstd", "lzma", "xz"):
        error = stream_unzip.UnsupportedCompressionTypeError
    elif (method, sink) == ("store", "pipe"):
        error = stream_unzip.NotStreamUnzippable
    found: dict[str, bytes] = {}
    if error is None:
        found.update(_stream_unzipped(sealed))
        assert found == CONTENT | {"folder/": b""}
    else:
        with pytest.raises(error):
            found.update(_stream_unzipped(sealed))


def _stream_unzipped(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        for name, _, chunks in stream_unzip.stream_unzip(iter(lambda: file.read(1 << 16), b""), PASSWORD.encode()):
            yield name.decode(), b"".join(chunks)


def test_strongroom_reads(sealed: Path, method: str) -> None:
    """And strongroom itself, with the method that was asked for."""
    with strongroom.open(sealed, password=PASSWORD) as room:
        assert [entry.name for entry in room] == [*CONTENT, "folder"]
        assert {entry.method for entry in room if entry.name in COMPRESSED} == {method}
        assert {name: room.read(name) for name in CONTENT} == CONTENT
        assert room.verify().ok


# Strongroom reads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`CONTENT` on the disk, for tools that archive files."""
    root = tmp_path_factory.mktemp("content")
    for name, data in CONTENT.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    return root


def check(path: Path | io.BytesIO, method: str, encryption: str | None, **options: bool) -> None:
    """Hold that an archive gives `CONTENT`, its large entry under a method, and its full ones under an encryption."""
    with strongroom.open(path, password=PASSWORD, **options) as room:  # type: ignore[arg-type]
        assert {entry.name: room.read(entry.name) for entry in room if entry.kind == "file"} == CONTENT
        assert next(entry.method for entry in room if entry.name == "large.csv") == method
        assert {entry.encryption for entry in room if entry.size} == {encryption}
        assert room.verify().ok


SEVEN_METHODS = {
    "Copy": "store",
    "Deflate": "deflate",
    "Deflate64": "deflate64",
    "BZip2": "bzip2",
    "LZMA": "lzma",
    "PPMd": "ppmd",
    "xz": "xz",
    "zstd": None,
}


@pytest.mark.parametrize("encryption", ["AES128", "AES192", "AES256", "ZipCrypto"])
@pytest.mark.parametrize("method", SEVEN_METHODS)
def test_7zz_wrote(folder: Path, tmp_path: Path, method: str, encryption: str) -> None:
    """What 7-Zip writes is read: every method that it has, every key size, and ZipCrypto where that is asked for."""
    path = tmp_path / "7zz.zip"
    made = run(
        tool("7zz"), "a", "-tzip", "-mx1", f"-mm={method}", f"-mem={encryption}", f"-p{PASSWORD}", path, f"{folder}/."
    )
    expected = SEVEN_METHODS[method]
    if expected is None:
        assert made.returncode == 2, "this 7-Zip writes zstd: give it a cell of its own"
        return
    assert made.returncode == 0
    if encryption == "ZipCrypto":
        check(path, expected, "ZipCrypto", legacy=True)
        with strongroom.open(path, password=PASSWORD) as room, pytest.raises(UnsupportedError):
            room.read("page.html")
    else:
        check(path, expected, f"AES-{encryption.removeprefix('AES')} (AE-2)")


def test_7zz_wrote_from_a_pipe(tmp_path: Path) -> None:
    """What 7-Zip reads from a pipe has no name in the archive; it is read under "-"."""
    path = tmp_path / "7zz.zip"
    command = [tool("7zz"), "a", "-tzip", "-mem=AES256", f"-p{PASSWORD}", str(path), "-si"]
    subprocess.run(command, input=LARGE, capture_output=True, check=True)
    with strongroom.open(path, password=PASSWORD) as room:
        assert room.read("-") == LARGE


PYZIPPER_METHODS = {
    "store": pyzipper.ZIP_STORED,
    "deflate": pyzipper.ZIP_DEFLATED,
    "bzip2": pyzipper.ZIP_BZIP2,
    "lzma": pyzipper.ZIP_LZMA,
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("bits", [128, 192, 256])
@pytest.mark.parametrize("method", PYZIPPER_METHODS)
def test_pyzipper_wrote(method: str, bits: int, version: int) -> None:
    """What pyzipper writes is read: AE-1, which has a CRC-32 to check, and AE-2, in all key sizes."""
    file = io.BytesIO()
    with pyzipper.AESZipFile(file, "w", compression=PYZIPPER_METHODS[method]) as writer:
        writer.setpassword(PASSWORD.encode())
        writer.setencryption(pyzipper.WZ_AES, nbits=bits, force_wz_aes_version=version)
        for name, data in CONTENT.items():
            writer.writestr(name, data)
    check(file, method, f"AES-{bits} (AE-{version})")


def test_pyzipper_wrote_into_a_pipe() -> None:
    """So are its data descriptors."""
    file = io.BytesIO()
    with pyzipper.AESZipFile(_Pipe(file), "w", compression=pyzipper.ZIP_DEFLATED) as writer:
        writer.setpassword(PASSWORD.encode())
        writer.setencryption(pyzipper.WZ_AES, nbits=256)
        for name, data in CONTENT.items():
            writer.writestr(name, data)
    check(file, "deflate", "AES-256 (AE-2)")


class _Pipe(io.RawIOBase):
    """Takes bytes for a file, and cannot seek."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__()
        self._file = file

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Hand on."""
        return self._file.write(data)


@pytest.mark.parametrize("method", ["store", "deflate"])
def test_stream_zip_wrote(method: str) -> None:
    """What stream-zip writes, always with data descriptors, is read."""
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    kind = stream_zip.ZIP_64 if method == "deflate" else stream_zip.NO_COMPRESSION_64
    members = ((name, moment, 0o600, kind, iter([data])) for name, data in CONTENT.items())
    check(io.BytesIO(b"".join(stream_zip.stream_zip(members, password=PASSWORD))), method, "AES-256 (AE-2)")


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize("method", ["store", "deflate"])
def test_bsdtar_wrote(folder: Path, tmp_path: Path, method: str, bits: int) -> None:
    """What bsdtar writes is read. It leaves empty files unencrypted, so that `allow_plaintext` has to be said."""
    path = tmp_path / "bsdtar.zip"
    options = f"zip:encryption=aes{bits},zip:compression={method}"
    tar = [tool("bsdtar"), "--format=zip", "--options", options, "--passphrase", PASSWORD, "-C", str(folder)]
    run(*tar, "-cf", path, *CONTENT)
    with strongroom.open(path, password=PASSWORD) as room:
        assert [finding.entry for finding in room.verify().findings] == ["empty"]
        versions = {entry.name: entry.encryption for entry in room}
    assert versions["large.csv"] == f"AES-{bits} (AE-1)"
    assert versions["f\xfc\u0436/\u540d.txt"] == f"AES-{bits} (AE-2)", "libarchive takes AE-2 below 20 bytes"
    with strongroom.open(path, password=PASSWORD, allow_plaintext=True) as room:
        assert {entry.name: room.read(entry.name) for entry in room} == CONTENT
        assert room.verify().ok
    piped = tmp_path / "piped.zip"  # padded with NULs to a tape's blocks
    with piped.open("wb") as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat:
        subprocess.run([*tar, "-cf", "-", "page.html"], stdout=cat.stdin, check=True)
        assert cat.stdin is not None
        cat.stdin.close()
    with strongroom.open(piped, password=PASSWORD) as room:
        assert room.read("page.html") == CONTENT["page.html"]


ZIPFILE_METHODS = {
    "store": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}
if sys.version_info >= (3, 14):
    ZIPFILE_METHODS["zstd"] = zipfile.ZIP_ZSTANDARD


@pytest.mark.parametrize("wrap", [lambda file: file, _Pipe], ids=["file", "pipe"])
@pytest.mark.parametrize("method", ZIPFILE_METHODS)
def test_zipfile_wrote(method: str, wrap: Callable[[io.BytesIO], io.BytesIO]) -> None:
    """What Python's zipfile writes, without encryption, is read where that is asked for."""
    file = io.BytesIO()
    with zipfile.ZipFile(wrap(file), "w", compression=ZIPFILE_METHODS[method]) as writer:
        for name, data in CONTENT.items():
            writer.writestr(name, data)
    check(file, method, None, allow_plaintext=True)
    with strongroom.open(file) as room:
        assert len(room.verify().findings) == len(CONTENT)
