"""Archives that 7-Zip, py7zr and bsdtar make: each method, filter, mode of solid folders and of the header is read."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import py7zr
import pytest

import strongroom
from strongroom.errors import StrongroomError, TamperedError, TruncatedError, UnsupportedError, WrongKeyError
from strongroom.limits import MIB
from tests.helpers import noise, text, tool

PASSWORD = "interop p\xe4ss phrase"
PROGRAM = Path(sys.executable).resolve().read_bytes()[: MIB // 4]
"""Machine code, which the filters change."""
CONTENT = {
    "page.html": text(5000),
    "empty": b"",
    "one": b"1",
    "large.csv": noise(MIB // 4) + text(MIB),
    "program": PROGRAM,
    "f\xfc\u0436/\u540d.txt": b"name",
}
METHODS = ["Copy", "LZMA", "LZMA2", "PPMd", "BZip2", "Deflate", "Deflate64"]
FILTERS = ["Delta:4", "BCJ", "BCJ2", "ARM", "ARMT", "ARM64", "PPC", "IA64", "SPARC"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`CONTENT` and an empty folder, as files."""
    root = tmp_path_factory.mktemp("content")
    for name, data in CONTENT.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    (root / "hollow").mkdir()
    return root


def pack(folder: Path, archive: Path, *options: str, password: str | None = PASSWORD) -> Path:
    """Have 7-Zip make an archive of a folder's content."""
    secret = [] if password is None else [f"-p{password}"]
    command = [tool("7zz"), "a", "-bd", *options, *secret, str(archive), "."]
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    return archive


def assert_content(path: Path, *, encrypted: bool = True, threads: int | None = None) -> None:
    """Hold that an archive gives `CONTENT`, entry by entry, in reverse, whole, and by `verify`."""
    with strongroom.open(
        path, password=PASSWORD if encrypted else None, allow_plaintext=not encrypted, threads=threads
    ) as room:
        files = [entry for entry in room if entry.kind == "file"]
        assert {entry.name for entry in files} == set(CONTENT)
        for entry in [*files, *reversed(files)]:
            assert room.read(entry.name) == CONTENT[entry.name], entry.name
            assert entry.encrypted == encrypted or not entry.size
            buffer = bytearray(entry.size)
            room.read_into(entry.name, buffer)
            assert buffer == CONTENT[entry.name]
        assert room.verify().ok


@pytest.mark.parametrize("mode", ["-ms=on -mhe=on", "-ms=off -mhe=on", "-ms=on -mhe=off", "-ms=off -mhc=off"])
@pytest.mark.parametrize("method", METHODS)
def test_7zz_methods(folder: Path, tmp_path: Path, method: str, mode: str) -> None:
    """Every method of 7-Zip, solid or not, with the header encrypted, packed or plain."""
    assert_content(pack(folder, tmp_path / "a.7z", f"-m0={method}", "-mf=off", *mode.split()))


@pytest.mark.parametrize("method", ["Copy", "LZMA2", "BZip2"])
@pytest.mark.parametrize("name", FILTERS)
def test_7zz_filters(folder: Path, tmp_path: Path, name: str, method: str) -> None:
    """Every filter, in front of every kind of method."""
    archive = tmp_path / "a.7z"
    try:
        pack(folder, archive, f"-m0={name}", f"-m1={method}", *(f"-m{n}={method}" for n in (2, 3) if name == "BCJ2"))
    except subprocess.CalledProcessError:
        assert name == "BCJ2", "7-Zip joins the streams of BCJ2 itself"
        pack(folder, archive, f"-m0={name}", f"-m1={method}", "-mb0:1")
    assert_content(archive)


def test_7zz_riscv_is_named(folder: Path, tmp_path: Path) -> None:
    """A filter that we do not have is named."""
    archive = pack(folder, tmp_path / "a.7z", "-m0=RISCV", "-m1=LZMA2")
    with strongroom.open(archive, password=PASSWORD) as room, pytest.raises(UnsupportedError, match="RISCV"):
        room.read("program")


@pytest.mark.parametrize("options", [["-mx1"], ["-mx9"], ["-m0=LZMA:eos"], ["-m0=LZMA2:d64k:c1m"], ["-mx0"]], ids=str)
@pytest.mark.parametrize("threads", [1, 4])
def test_7zz_levels(folder: Path, tmp_path: Path, options: list[str], threads: int) -> None:
    """LZMA2 in many blocks, one block, with an end mark in LZMA; with threads and without."""
    assert_content(pack(folder, tmp_path / "a.7z", *options), threads=threads)


def test_7zz_without_a_password(folder: Path, tmp_path: Path) -> None:
    """An archive that is not encrypted is read where that is allowed, and listed in any case."""
    archive = pack(folder, tmp_path / "a.7z", password=None)
    assert_content(archive, encrypted=False)
    with strongroom.open(archive, password=PASSWORD) as room:
        with pytest.raises(UnsupportedError):
            room.read("one")
        assert room.read("empty") == b""


@pytest.mark.parametrize("header", ["-mhe=on", "-mhe=off"])
@pytest.mark.parametrize("method", METHODS)
def test_7zz_wrong_password(folder: Path, tmp_path: Path, method: str, header: str) -> None:
    """A wrong password is told when the archive is opened; without one, plain headers show the names only."""
    archive = pack(folder, tmp_path / "a.7z", f"-m0={method}", header)
    with pytest.raises(WrongKeyError):
        strongroom.open(archive, password="another")
    if header == "-mhe=on":
        with pytest.raises(WrongKeyError):
            strongroom.open(archive)
        return
    with strongroom.open(archive) as room:
        assert {entry.name for entry in room} >= set(CONTENT)
        with pytest.raises(WrongKeyError):
            room.read("one")
        with pytest.raises(WrongKeyError):
            room.verify()


def test_a_damaged_start_is_no_wrong_password(folder: Path, tmp_path: Path) -> None:
    """Where one folder is damaged from its start and others fit, the password is right, and the rest can be read."""
    archive = pack(folder, tmp_path / "a.7z", "-ms=off", "-m0=LZMA", "-mf=off")
    data = bytearray(archive.read_bytes())
    data[33] ^= 1
    archive.write_bytes(data)
    with strongroom.open(archive, password=PASSWORD) as room:
        (finding,) = room.verify().findings
        assert finding.entry is not None
        with pytest.raises(TamperedError):
            room.read(finding.entry)
        for name in set(CONTENT) - {finding.entry}:
            assert room.read(name) == CONTENT[name]


def test_7zz_volumes(folder: Path, tmp_path: Path) -> None:
    """Volumes are found beside the first one; one that is missing is named."""
    pack(folder, tmp_path / "a.7z", "-v50k")
    volumes = sorted(tmp_path.glob("a.7z.*"))
    assert len(volumes) > 4
    assert_content(volumes[0])
    volumes[3].unlink()
    with pytest.raises(TruncatedError, match=r"a\.7z\.004"):
        strongroom.open(volumes[0], password=PASSWORD)


def test_self_extracting(folder: Path, tmp_path: Path) -> None:
    """An archive behind a program is found, also where the program has the signature in its code."""
    archive = pack(folder, tmp_path / "a.7z").read_bytes()
    path = tmp_path / "a.exe"
    path.write_bytes(b"MZ" + noise(1000) + b"7z\xbc\xaf\x27\x1c" + noise(200_000) + archive)
    assert_content(path)
    path.write_bytes(b"MZ" + noise(5 * MIB) + archive)
    with pytest.raises(StrongroomError):
        strongroom.open(path, password=PASSWORD)


def test_7zz_links_and_pipes(tmp_path: Path) -> None:
    """A symlink is one, with its target as data; what 7-Zip reads from a pipe has a name."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to("target")
    pack(tmp_path / "in", tmp_path / "a.7z", "-snl")
    with strongroom.open(tmp_path / "a.7z", password=PASSWORD) as room:
        (entry,) = room
        assert (entry.kind, room.read("link")) == ("symlink", b"target")
    command = [tool("7zz"), "a", "-bd", "-si", f"-p{PASSWORD}", "-mhe=on", str(tmp_path / "b.7z")]
    subprocess.run(command, input=b"piped", capture_output=True, timeout=60, check=True)
    with strongroom.open(tmp_path / "b.7z", password=PASSWORD) as room:
        (entry,) = room
        assert room.read(entry.name) == b"piped"


PY7ZR = {
    "lzma2": [{"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "lzma": [{"id": py7zr.FILTER_LZMA}],
    "bcj": [{"id": py7zr.FILTER_X86}, {"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "delta": [{"id": py7zr.FILTER_DELTA}, {"id": py7zr.FILTER_LZMA2, "preset": 1}],
    "bzip2": [{"id": py7zr.FILTER_BZIP2}],
    "deflate": [{"id": py7zr.FILTER_DEFLATE}],
    "zstd": [{"id": py7zr.FILTER_ZSTD, "level": 3}],
    "ppmd": [{"id": py7zr.FILTER_PPMD, "order": 6, "mem": 24}],
    "copy": [{"id": py7zr.FILTER_COPY}],
}


@pytest.mark.parametrize("password", [None, PASSWORD], ids=["plain", "encrypted"])
@pytest.mark.parametrize("method", PY7ZR)
def test_py7zr(method: str, password: str | None) -> None:
    """Every method of py7zr, which pads and ends streams in ways of its own."""
    filters = PY7ZR[method] + ([] if password is None else [{"id": py7zr.FILTER_CRYPTO_AES256_SHA256}])
    stream = io.BytesIO()
    with py7zr.SevenZipFile(
        stream, "w", password=password, filters=filters, header_encryption=password is not None
    ) as archive:
        for name, data in CONTENT.items():
            archive.writestr(data, name)
    with strongroom.open(stream, password=password, allow_plaintext=password is None) as room:
        assert {entry.name: room.read(entry.name) for entry in room} == CONTENT
        assert room.verify().ok


@pytest.mark.parametrize("method", ["store", "deflate", "bzip2", "lzma1", "lzma2", "ppmd"])
def test_bsdtar(folder: Path, tmp_path: Path, method: str) -> None:
    """Every method of libarchive, which writes no encryption."""
    path = tmp_path / "a.7z"
    names = sorted(entry.name for entry in folder.iterdir())
    command = [tool("bsdtar"), "--format=7zip", f"--options=7zip:compression={method}", "-cf", str(path), *names]
    environment = {"LC_ALL": "C.UTF-8"}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=60, check=True)
    assert_content(path, encrypted=False)
