"""The recipe's variants, as `examples` has them, do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import pyzipper
from cryptography.fernet import Fernet

import strongroom
from examples import fernet_zip, plain_zip, ram_fernet_zip
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


@pytest.mark.parametrize("name", ["plain_zip", "fernet_zip", "ram_fernet_zip"])
def test_as_scripts(tmp_path: Path, name: str) -> None:
    """Each runs by itself and makes one archive, which is the owner's alone."""
    command = [sys.executable, str(ROOT / f"examples/{name}.py")]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".zip"
    assert path.stat().st_mode & 0o777 == 0o600
