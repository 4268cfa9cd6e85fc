"""The recipe's variants, as `examples` has them, do what they say."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import pyzipper
from cryptography.fernet import Fernet

import strongroom
from examples import fernet_zip, plain_zip, ram_fernet_7z, ram_fernet_zip
from strongroom import FernetLayer, StrongroomWarning
from tests.helpers import listing, tool

ROOT = Path(__file__).parents[2]
PASSWORD = bytearray(b"nine tame owls read maps")
INNER = bytearray(b"two more owls hum songs")


def others(path: Path) -> dict[str, bytes]:
    """What pyzipper reads."""
    with pyzipper.AESZipFile(path) as archive:
        archive.setpassword(bytes(PASSWORD))
        return {name: archive.read(name) for name in archive.namelist()}


def test_plain_zip(tmp_path: Path) -> None:
    """What is read is what was sealed, and other tools read it too."""
    found = plain_zip.main(tmp_path, PASSWORD)
    assert listing(tmp_path) == ["new_test.zip"]
    assert others(tmp_path / "new_test.zip") == {"secret_data.txt": found}
    subprocess.run([tool("7zz"), "t", f"-p{PASSWORD.decode()}", tmp_path / "new_test.zip"], check=True)


def test_fernet_zip(tmp_path: Path) -> None:
    """The entry is under the second password; no key lies beside it, and the other entry needs none."""
    assert fernet_zip.main(tmp_path, PASSWORD, INNER) == b"for the second password only"
    found = others(tmp_path / "fernet.zip")
    assert sorted(found) == ["notes.txt.fernet", "notes.txt.fernet.json", "readme.txt"]
    assert not any(b"second password" in data for data in found.values())


def test_from_the_recipe(tmp_path: Path) -> None:
    """The popular version's archive, as it makes it."""
    key = Fernet.generate_key()
    path = tmp_path / "recipe.zip"
    with pyzipper.AESZipFile(path, "w", compression=pyzipper.ZIP_LZMA, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(bytes(PASSWORD))
        archive.writestr("encryption_key.txt", key)
        archive.writestr("encrypted.txt", Fernet(key).encrypt(b"secret"))
    with pytest.warns(StrongroomWarning):
        assert fernet_zip.from_the_recipe(path, PASSWORD) == b"secret"


def test_ram_fernet_zip(tmp_path: Path) -> None:
    """The table comes back by way of memory, and the notes under the second password."""
    assert list(ram_fernet_zip.main(tmp_path, PASSWORD, INNER)["dose"]) == [0.5, 0.25]
    assert listing(tmp_path) == ["case.zip"]
    with strongroom.open(tmp_path / "case.zip", password=PASSWORD) as room, FernetLayer(password=INNER) as layer:
        assert room.read("hidden_dir/patients.csv") == b"id,dose\n1,0.5\n2,0.25\n"
        assert room.read("hidden_dir/notes.txt", layer=layer) == b"for the second password only"


def test_ram_fernet_7z(tmp_path: Path) -> None:
    """Both entries come back, 7-Zip takes the archive for whole, and without the password no name is to be had."""
    assert ram_fernet_7z.main(tmp_path, PASSWORD, INNER) == (bytes(range(256)), b"for the second password")
    path = tmp_path / "case.7z"
    subprocess.run([tool("7zz"), "t", f"-p{PASSWORD.decode()}", path], check=True, stdout=subprocess.DEVNULL)
    assert "notes".encode("utf-16-le") not in path.read_bytes()
    listed = subprocess.run([tool("7zz"), "l", "-pno", path], capture_output=True, check=False)
    assert listed.returncode != 0
    assert b"notes" not in listed.stdout


def test_what_the_popular_pipe_into_7zz_exposes(tmp_path: Path) -> None:
    """While 7zz waits for its data, everyone reads the password and the name in /proc; the name stays in the file."""
    path = tmp_path / "case.7z"
    command = [tool("7zz"), "a", "-sinotes.txt", f"-p{PASSWORD.decode()}", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        arguments = Path(f"/proc/{process.pid}/cmdline")
        assert arguments.stat().st_mode & stat.S_IROTH
        shown = {b""}
        while shown == {b""} and process.poll() is None:  # for a moment after its start it shows none
            shown = set(arguments.read_bytes().split(b"\0"))
        process.communicate(b"secret")
    assert process.returncode == 0
    assert {b"-p" + PASSWORD, b"-sinotes.txt"} <= shown
    assert "notes.txt".encode("utf-16-le") in path.read_bytes()


@pytest.mark.parametrize("name", ["plain_zip", "fernet_zip", "ram_fernet_zip", "ram_fernet_7z"])
def test_as_scripts(tmp_path: Path, name: str) -> None:
    """Each runs by itself and makes one archive, which is the owner's alone."""
    command = [sys.executable, str(ROOT / f"examples/{name}.py")]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    (path,) = tmp_path.iterdir()
    assert path.suffix[1:] == name.rpartition("_")[2]
    assert path.stat().st_mode & 0o777 == 0o600
