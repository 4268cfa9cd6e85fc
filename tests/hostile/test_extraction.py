from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import strongroom
from strongroom import FormatError, LimitError, OutputError, StrongroomWarning
from strongroom.names import portable
from tests import sevenzipcraft, zipcraft
from tests.helpers import listing, nothing_left
from tests.mounts import EXFAT, mounted
from tests.proof import Tried

REFUSED = [
    *("..", "../a", "a/../../b", "a/..", "./a", "a/./b", "a//b", "/a", "//server/share/a", "/etc/passwd"),
    *("C:a", "C:/a", "c:", "\\a", "..\\a", "a\\..\\..\\b", "\\\\server\\share\\a", "\\\\?\\C:\\a"),
    *("a\nb", "a\rb", "\x1b[2Ja", "a\x00b", "a\x7fb", "a\u0085b", ". ", "a/ /b", " "),
    "/".join("d" * 200),
]
TAKEN_FOR_OTHERS = {
    "CON": "_CON",
    "con.txt": "_con.txt",
    "folder/aux.txt": "folder/_aux.txt",
    "Nul.tar.gz": "_Nul.tar.gz",
    "prn": "_prn",
    "COM1": "_COM1",
    "lpt9.x": "_lpt9.x",
    "com¹": "_com¹",
    "CONIN$": "_CONIN$",
    "nul ": "_nul_",
    "aux .c": "_aux .c",
    "aux/inner": "_aux/inner",
    "readme.": "readme_",
    "readme ": "readme_",
    "a. ./b": "a. _/b",
    "file.txt:stream": "file.txt_stream",
    "file.txt::$DATA": "file.txt__$DATA",
    "nul:a": "_nul_a",
    "a/.../b": "a/.._/b",
}
ORDINARY = [
    "console",
    "auxiliary.txt",
    "nullable",
    "com",
    "com10",
    "a.con",
    ".hidden",
    " front",
    "naïve",
    "con-1",
    "COM",
]


def as_zip(*names: str) -> bytes:
    """A ZIP with files of these names, which nobody checked."""
    return zipcraft.join(*(zipcraft.plain(name, b"data") for name in names))


def as_7z(*names: str) -> bytes:
    """A 7z likewise."""
    return sevenzipcraft.archive(dict.fromkeys(names, b"data"), secret=False)


each_maker = pytest.mark.parametrize("make", [as_zip, as_7z])


def extract(archive: bytes, folder: Path) -> None:
    """Extract all."""
    with strongroom.open(io.BytesIO(archive), allow_plaintext=True) as room:
        room.extract(folder)


@each_maker
@pytest.mark.parametrize("name", REFUSED)
def test_names_that_lead_elsewhere(tmp_path: Path, make: Callable[..., bytes], name: str, tried: Tried) -> None:
    """An archive with such a name does not open, nor is one written."""
    if not (make is as_7z and ("\0" in name or ("\\" in name and "/" not in name))):  # ends a name; a separator there
        with nothing_left(tmp_path), pytest.raises(FormatError):
            extract(make("good", name), tmp_path / "out")
    with pytest.raises(ValueError):
        strongroom.seal({name: b""}, io.BytesIO(), format="zip", password="pass")
    tried("P8", "names with .., absolute, with drives, control characters", "the archive does not open", count=1)


@each_maker
@pytest.mark.parametrize("name", [name for name in REFUSED if "\\" in name])
def test_backslashes(tmp_path: Path, make: Callable[..., bytes], name: str) -> None:
    """Where a backslash is taken for a separator, what it makes of the name is checked likewise."""
    (tmp_path / "in").mkdir()
    with nothing_left(tmp_path, tmp_path / "in"), pytest.raises(FormatError):
        extract(make(name), tmp_path / "in" / "out")


@each_maker
@pytest.mark.parametrize("name", TAKEN_FOR_OTHERS)
def test_names_that_windows_takes_for_others(
    tmp_path: Path, make: Callable[..., bytes], name: str, tried: Tried
) -> None:
    """Devices, streams of other files, and what Windows cuts off, are extracted under a safe name, with a warning."""
    with pytest.warns(StrongroomWarning) as caught:
        extract(make(name), tmp_path)
    assert len(caught) == 1
    assert (tmp_path / TAKEN_FOR_OTHERS[name]).read_bytes() == b"data"
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 1
    assert portable(TAKEN_FOR_OTHERS[name]) == TAKEN_FOR_OTHERS[name]
    tried("P8", "names of devices, streams, with dots and spaces at an end", "extracted under a safe name", count=1)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay(tmp_path: Path, name: str) -> None:
    """What only looks like them is extracted as it is, without a warning."""
    extract(as_zip(name), tmp_path)
    assert listing(tmp_path) == [name]


def test_safe_names_that_meet(tmp_path: Path) -> None:
    """A safe name that another entry has is an error, and nothing is left."""
    with nothing_left(tmp_path), pytest.warns(StrongroomWarning), pytest.raises(OutputError):
        extract(as_zip("ab_c", "ab:c"), tmp_path)


@each_maker
@pytest.mark.parametrize("names", [("é", "e\u0301"), ("a", "a/b"), ("a/é/b", "a/e\u0301"), ("Å", "\u212b")])
def test_names_that_are_the_same(
    tmp_path: Path, make: Callable[..., bytes], names: tuple[str, str], tried: Tried
) -> None:
    """Names that are the same in NFC, and files that others lie below, do not open: a system may have them as one."""
    with nothing_left(tmp_path), pytest.raises(FormatError):
        extract(make(*names), tmp_path / "out")
    tried("P8", "names that are the same in NFC, or a file and a folder", "the archive does not open", count=1)


@pytest.fixture
def one_case(tmp_path: Path) -> Iterator[Path]:
    """A folder in which names have no case: exFAT, through FUSE."""
    with mounted(EXFAT, tmp_path, 8 << 20) as place:
        yield place


def test_names_that_differ_by_case(tmp_path: Path, tried: Tried) -> None:
    """Where names have a case, both are extracted; where they have none, a folder that is there says so, see below."""
    extract(as_zip("A", "a", "Folder/x", "folder/y"), tmp_path)
    assert listing(tmp_path) == ["A", "Folder", "a", "folder"]
    tried("P8", "names that differ by case", "two files, where the file system has two", count=1)


def test_names_that_differ_by_case_where_there_is_none(one_case: Path, tried: Tried) -> None:
    """The second is an error there: no file takes the place of another, and nothing is left."""
    with pytest.raises(OutputError):
        extract(as_zip("A", "a"), one_case)
    assert listing(one_case) == []
    tried("P8", "names that differ by case, on a file system without", "refused; nothing left", count=1)


@each_maker
def test_names_that_are_too_long(tmp_path: Path, make: Callable[..., bytes], tried: Tried) -> None:
    """Beyond the limit they do not open; what the disk cannot hold is not extracted, and nothing else is."""
    with pytest.raises(LimitError):
        extract(make("n" * 5000), tmp_path / "out")
    with nothing_left(tmp_path), pytest.raises(OutputError):
        extract(make("a", "n" * 256), tmp_path / "out")
    tried("P8", "names that are too long", "refused; nothing left", count=2)


SWAP = """
import os, sys
out, outside = sys.argv[1:]
print("ready", flush=True)
while os.getppid() != 1:
    for name in ("folder", "folder/deep"):
        try:
            os.rename(f"{out}/{name}", f"{out}/{name}.real")
            os.symlink(outside, f"{out}/{name}")
        except OSError:
            pass
        try:
            os.unlink(f"{out}/{name}")
        except OSError:
            pass
        try:
            os.rename(f"{out}/{name}.real", f"{out}/{name}")
        except OSError:
            pass
"""


def test_a_folder_that_becomes_a_link(tmp_path: Path, times: Callable[[int, int], int], tried: Tried) -> None:
    """While another process swaps folders for links as fast as it can, nothing comes to stand behind the link."""
    outside, count, refused = tmp_path / "outside", times(15, 200), 0
    outside.mkdir()
    (outside / "mine").write_bytes(b"mine")
    archive = as_zip(*(f"folder/{number}" for number in range(20)), *(f"folder/deep/{n}" for n in range(20)))
    with strongroom.open(io.BytesIO(archive), allow_plaintext=True) as room:
        for number in range(count):
            out = tmp_path / f"out{number}"
            out.mkdir()
            with subprocess.Popen([sys.executable, "-c", SWAP, out, outside], stdout=subprocess.PIPE) as other:
                try:
                    assert other.stdout is not None
                    other.stdout.readline()
                    for _ in range(5):
                        try:
                            room.extract(out)
                        except OutputError:
                            refused += 1
                        assert listing(outside) == ["mine"]
                        assert (outside / "mine").read_bytes() == b"mine"
                finally:
                    other.kill()
    assert refused
    print(refused, "of", 5 * count, "refused")
    tried("P8", "a folder that becomes a symlink while extract runs", "nothing behind the link", count=5 * count)


def test_the_swapping_catches_who_follows(tmp_path: Path) -> None:
    """The same process has a program that joins paths write behind the link: so the test above could fail."""
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (out / "folder").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", SWAP, out, outside]) as other:
        try:
            for number in range(100_000):
                try:
                    os.close(os.open(out / "folder" / f"{number}", os.O_CREAT | os.O_WRONLY))
                except OSError:
                    continue
                if any(outside.iterdir()):
                    break
        finally:
            other.kill()
    assert any(outside.iterdir())
