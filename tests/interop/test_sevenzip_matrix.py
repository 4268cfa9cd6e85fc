"""Other tools and the 7z files that strongroom writes: each cell of method and tool, also what a tool cannot do."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import py7zr
import pytest

import strongroom
from strongroom.errors import StrongroomWarning, TamperedError, WrongKeyError
from strongroom.limits import GIB, MIB
from tests.helpers import noise, text, tool

PASSWORD = "interop p\xe4ss \N{GRINNING FACE}"
LARGE = base64.b64encode(noise(MIB)) + text(MIB)
"""More than one chunk of 1 MiB, packed as well as not."""
CONTENT = {
    "page.html": text(5000),
    "empty": b"",
    "large.csv": LARGE,
    "f\xfc\u0436/\u540d \N{GRINNING FACE}.txt": b"name",
    "noise": noise(1000),
}
WRITTEN = ("lzma", "deflate", "bzip2", "store")


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a tool, without a terminal that it could ask for a password."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False, cwd=cwd)


def unpacked(archive: Path, password: str | None = PASSWORD) -> dict[str, bytes]:
    """What py7zr finds in an archive."""
    factory = py7zr.io.BytesIOFactory(GIB)
    with py7zr.SevenZipFile(archive, password=password) as reader:
        reader.extractall(factory=factory)
    return {name: product.read() for name, product in factory.products.items()}


# Strongroom writes


@pytest.fixture(scope="module", params=WRITTEN)
def method(request: pytest.FixtureRequest) -> str:
    """A compression method that strongroom writes."""
    return str(request.param)


@pytest.fixture(scope="module")
def sealed(method: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of `CONTENT` and an empty folder."""
    path = tmp_path_factory.mktemp(method) / "sealed.7z"
    with strongroom.create(path, password=PASSWORD, compression=method) as room:
        for name, data in CONTENT.items():
            room.write(name, data)
        room.mkdir("folder")
    return path


def test_7zz_reads(sealed: Path) -> None:
    """7-Zip opens every method without a warning, and finds every checksum right; with a wrong password nothing."""
    seven = tool("7zz")
    checked = run(seven, "t", f"-p{PASSWORD}", sealed)
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert b"Everything is Ok" in checked.stdout
    assert b"arning" not in checked.stdout
    for name, data in CONTENT.items():
        found = run(seven, "x", "-so", f"-p{PASSWORD}", sealed, name)
        assert (found.returncode, found.stdout) == (0, data)
    assert run(seven, "t", "-pwrong", sealed).returncode == 2


def test_7zz_extracts(sealed: Path, tmp_path: Path) -> None:
    """7-Zip's tree has names, folders, modes and times as they were sealed."""
    assert run(tool("7zz"), "x", f"-p{PASSWORD}", f"-o{tmp_path}", sealed).returncode == 0
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {*CONTENT, "folder", "f\xfc\u0436"}
    with strongroom.open(sealed, password=PASSWORD) as room:
        for entry in room:
            status = (tmp_path / entry.name).stat()
            assert status.st_mode == entry.mode
            assert status.st_mtime == entry.modified.timestamp()


def test_names_are_hidden(sealed: Path) -> None:
    """Without the password 7-Zip lists nothing."""
    found = run(tool("7zz"), "l", "-pwrong", sealed)
    assert found.returncode == 2
    assert not any(name.encode() in found.stdout for name in CONTENT)


def test_py7zr_reads(sealed: Path) -> None:
    """Py7zr opens every method."""
    found = unpacked(sealed)
    assert {name: found.get(name, b"") for name in CONTENT} == CONTENT
    with py7zr.SevenZipFile(sealed, password=PASSWORD) as reader:
        assert reader.getnames() == [*CONTENT, "folder"]
        assert [file.is_directory for file in reader.list()] == [False] * len(CONTENT) + [True]


def test_py7zr_refuses_a_wrong_password(sealed: Path) -> None:
    """Py7zr has no error of its own for that, but gives nothing out."""
    with pytest.raises(Exception, match=r".*"):
        unpacked(sealed, "wrong")


def test_bsdtar_refuses(sealed: Path) -> None:
    """Libarchive cannot decrypt 7z: it lists no name and gives no byte."""
    found = run(tool("bsdtar"), "-xOf", sealed, "--passphrase", PASSWORD)
    assert found.returncode != 0
    assert found.stdout == b""


def test_strongroom_reads(sealed: Path, method: str) -> None:
    """Strongroom itself reads it, of course, and says what it is."""
    with strongroom.open(sealed, password=PASSWORD) as room:
        assert {entry.name: room.read(entry.name) for entry in room if entry.kind == "file"} == CONTENT
        assert room.verify().ok
        assert {entry.method for entry in room if entry.size > MIB} == {method}
        assert {entry.encryption for entry in room} == {"AES-256"}
    for password in ("wrong", None):
        with pytest.raises(WrongKeyError):
            strongroom.open(sealed, password=password)


# Unusual archives


def test_empty_archive(tmp_path: Path) -> None:
    """An archive of nothing opens everywhere, with its password."""
    path = tmp_path / "empty.7z"
    strongroom.create(path, password=PASSWORD).close()
    assert run(tool("7zz"), "t", f"-p{PASSWORD}", path).returncode == 0
    assert unpacked(path) == {}
    with strongroom.open(path, password=PASSWORD) as room:
        assert room.entries == ()
        assert room.verify().ok


def test_nothing_but_empty_entries(tmp_path: Path) -> None:
    """Folders and empty files alone make an archive without a stream, but for the header's own."""
    path = tmp_path / "empty.7z"
    with strongroom.create(path, password=PASSWORD) as room:
        room.mkdir("f")
        for number in range(10):
            room.write(f"{number}", b"")
    assert run(tool("7zz"), "t", f"-p{PASSWORD}", path).returncode == 0
    with py7zr.SevenZipFile(path, password=PASSWORD) as reader:
        assert len(reader.getnames()) == 11
    with strongroom.open(path, password=PASSWORD) as room:
        assert [entry.kind for entry in room] == ["directory"] + ["file"] * 10
        assert room.verify().ok


def test_sizes_around_a_chunk(tmp_path: Path) -> None:
    """Files around a chunk's size, small and large ones in turn, come out of every tool as they went in."""
    sizes = [1, MIB - 1, MIB, 2, MIB + 1, 3, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 4, 16]
    content = {f"{number:02}-{size}": text(size, number) for number, size in enumerate(sizes)}
    for name in WRITTEN:
        path = tmp_path / f"{name}.7z"
        strongroom.seal(content, path, password=PASSWORD, compression=name)
        assert unpacked(path) == content
        assert run(tool("7zz"), "x", "-so", f"-p{PASSWORD}", path).stdout == b"".join(content.values())
        with strongroom.open(path, password=PASSWORD) as room:
            assert {entry.name: room.read(entry.name) for entry in room} == content


TIMES = [
    datetime(1601, 1, 1, tzinfo=UTC),
    datetime(1601, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2000, 2, 29, 12, 0, 0, 123_456, tzinfo=UTC),
    datetime(2107, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
]


def test_unusual_names_and_times(tmp_path: Path) -> None:
    """Names up to the longest, in any script, and times of any year, to the microsecond."""
    names = ["x" * 4096, "/".join("d" * 9 for _ in range(60)), " a ", "nul", "e\u0301", "\u200b", "-p", "@list", "*?"]
    path = tmp_path / "unusual.7z"
    with strongroom.create(path, password=PASSWORD) as room:
        for number, name in enumerate(names):
            room.write(name, b"%d" % number, modified=TIMES[number % len(TIMES)])
    with strongroom.open(path, password=PASSWORD) as room:
        assert [(entry.name, entry.modified) for entry in room] == [
            (name, TIMES[number % len(TIMES)]) for number, name in enumerate(names)
        ]
    assert run(tool("7zz"), "t", f"-p{PASSWORD}", path).returncode == 0
    with py7zr.SevenZipFile(path, password=PASSWORD) as reader:
        assert reader.getnames() == names


def test_many_entries(tmp_path: Path) -> None:
    """100,000 entries take one key derivation, and all tools find all of them."""
    path = tmp_path / "many.7z"
    count = 100_000
    strongroom.seal({f"{n // 1000}/{n}": b"%d" % n * 50 for n in range(count)}, path, password=PASSWORD)
    assert path.stat().st_size < 60 * count  # of which 40 are the manifest's record
    with strongroom.open(path, password=PASSWORD) as room:
        assert len(room) == count
        assert room.verify().ok
        assert room.read("99/99999") == b"99999" * 50
    found = run(tool("7zz"), "t", f"-p{PASSWORD}", path)
    assert found.returncode == 0
    assert b"Files: %d" % count in found.stdout
    with py7zr.SevenZipFile(path, password=PASSWORD) as reader:
        assert len(reader.getnames()) == count


def test_five_gib(tmp_path: Path) -> None:
    """A file of 5 GiB of zeros has its size in the header, and ends where it should; 4 s with deflate."""
    path = tmp_path / "large.7z"
    zeros = bytes(MIB)

    def blocks() -> Iterator[bytes]:
        for _ in range(5 * 1024):
            yield zeros
        yield b"end"

    with strongroom.create(path, password=PASSWORD, compression="deflate") as room:
        room.write("zeros", blocks())
        room.write("after", b"it")
    with strongroom.open(path, password=PASSWORD) as room:
        assert [entry.size for entry in room] == [5 * GIB + 3, 2]
        assert room.verify().ok
        assert room.read("after") == b"it"
    found = run(tool("7zz"), "l", "-slt", f"-p{PASSWORD}", path)
    assert b"Size = %d\n" % (5 * GIB + 3) in found.stdout
    assert run(tool("7zz"), "x", "-so", f"-p{PASSWORD}", path, "after").stdout == b"it"


# Other tools change what strongroom wrote


def test_reads_what_7zz_updated(sealed: Path, tmp_path: Path) -> None:
    """7-Zip can add to our archive and delete from it; strongroom notices, and reads the result where it is told to."""
    archive = tmp_path / "changed.7z"
    archive.write_bytes(sealed.read_bytes())
    (tmp_path / "added").write_bytes(b"added")
    seven = tool("7zz")
    assert run(seven, "a", f"-p{PASSWORD}", archive, tmp_path / "added").returncode == 0
    assert run(seven, "d", f"-p{PASSWORD}", archive, "page.html").returncode == 0
    expected = {name: data for name, data in CONTENT.items() if name != "page.html"} | {"added": b"added"}
    with pytest.raises(TamperedError):
        strongroom.open(archive, password=PASSWORD)
    with pytest.warns(StrongroomWarning):
        room = strongroom.open(archive, password=PASSWORD, manifest="ignore")
    with room:
        assert {entry.name: room.read(entry.name) for entry in room if entry.kind == "file"} == expected


def test_changed_data_is_noticed(sealed: Path, tmp_path: Path) -> None:
    """A changed byte of any pack stream is noticed, by us and by 7-Zip: by a checksum, since 7z has no MAC."""
    data = bytearray(sealed.read_bytes())
    for position in (32, 100, len(data) // 2):
        changed = bytearray(data)
        changed[position] ^= 1
        path = tmp_path / "changed.7z"
        path.write_bytes(changed)
        with strongroom.open(path, password=PASSWORD) as room:
            findings = room.verify().findings
            assert findings
            name = findings[0].entry
            assert name is not None
            with pytest.raises(TamperedError):
                room.read(name)
        assert run(tool("7zz"), "t", f"-p{PASSWORD}", path).returncode == 2
