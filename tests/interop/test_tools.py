"""Which tools open an archive: what `inspect` says of those that are here is what they do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import strongroom
from tests import agecraft, sevenzipcraft, zipcraft
from tests.helpers import text, tool

DATA = text(5000)
KINDS = {"plain": zipcraft.plain, "zipcrypto": zipcraft.zipcrypto, "aes": zipcraft.aes}
COMMANDS: dict[str, Callable[[Path, str], list[str]]] = {
    "7-Zip": lambda path, password: [tool("7zz"), "x", "-so", f"-p{password}", str(path)],
    "bsdtar": lambda path, password: [tool("bsdtar"), "-x", "-O", "--passphrase", password, "-f", str(path)],
    "unzip": lambda path, password: [tool("unzip"), "-p", "-P", password, str(path)],
}


def opens(name: str, path: Path, password: str) -> bool:
    """Whether a tool gives the data."""
    done = subprocess.run(COMMANDS[name](path, password), capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return done.returncode == 0 and done.stdout == DATA


def claims(path: Path) -> dict[str, bool | None]:
    """What `inspect` says of the tools that are tried here."""
    return {one.name: one.opens for one in strongroom.inspect(path).tools if one.name in COMMANDS}


@pytest.mark.parametrize("method", zipcraft.METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_zip(tmp_path: Path, kind: str, method: str) -> None:
    """Each cipher with each method, by each tool; where the tool is newer than the claim, it may do more."""
    path = tmp_path / "a.zip"
    old = {"version": 20}  # with a newer one, which nothing here needs, unzip does not even try
    path.write_bytes(zipcraft.join(KINDS[kind]("a.txt", DATA, method).but(local=old, central=old)))
    for name, claim in claims(path).items():
        found = opens(name, path, zipcraft.PASSWORD)
        assert found is claim or (name == "bsdtar" and found), f"{name} of {kind} with {method}: {found}"


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("method", sevenzipcraft.CODERS)
def test_7z(tmp_path: Path, method: str, *, secret: bool, hidden: bool) -> None:
    """Likewise for 7z, with the header hidden or not."""
    path = tmp_path / "a.7z"
    archive = sevenzipcraft.archive({"a.txt": DATA}, method=method, secret=secret, hidden=hidden and secret)
    path.write_bytes(archive)
    for name, claim in claims(path).items():
        assert opens(name, path, sevenzipcraft.PASSWORD) is claim, f"{name} of {method}"


def test_age(tmp_path: Path) -> None:
    """Age opens what it is said to open."""
    (tmp_path / "key").write_text(agecraft.X25519)
    path = tmp_path / "a.age"
    path.write_bytes(agecraft.seal(DATA))
    assert next(one.opens for one in strongroom.inspect(path).tools if one.name == "age")
    done = subprocess.run([tool("age"), "-d", "-i", tmp_path / "key", path], capture_output=True, check=True)
    assert done.stdout == DATA
