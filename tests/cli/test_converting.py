"""convert and rekey on the command line, with other tools beside it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests import zipcraft
from tests.cli.running import COMMAND, PASSWORD, Desk
from tests.helpers import text, tool

NEW = b"another password"


@pytest.fixture
def old(desk: Desk) -> Desk:
    """With a.zip, and another password in `new`."""
    desk.put("x", b"data")
    desk.put("d/y", text(100_000))
    desk.put("new", NEW).chmod(0o600)
    desk.seal("a.zip", "x", "d")
    return desk


def opens(desk: Desk, archive: str, password: bytes) -> None:
    """7-Zip tests it, and our own `cat` gives what was sealed."""
    subprocess.run(
        [tool("7zz"), "t", f"-p{password.decode()}", archive], cwd=desk.folder, check=True, capture_output=True
    )
    desk.put("given", password).chmod(0o600)
    assert desk.run("cat", "--password-file", "given", archive, "x", "d/y").out == b"data" + text(100_000)


def test_convert_keeps_the_password(old: Desk) -> None:
    """From ZIP to 7z and back, and 7-Zip opens both."""
    done = old.open("convert", "a.zip", "b.7z", "--verify")
    assert done.code == 0
    assert done.err.startswith("converted a.zip into b.7z of ")
    assert "7-Zip (" in done.err
    opens(old, "b.7z", PASSWORD)
    done = old.open("convert", "b.7z", "c.zip", "--method", "store", "--json")
    assert json.loads(done.out)["format"] == "zip"
    opens(old, "c.zip", PASSWORD)


def test_convert_to_another_password(old: Desk) -> None:
    """From a file; or typed, once the old one fits."""
    assert old.open("convert", "a.zip", "b.zip", "--new-password-file", "new").code == 0
    opens(old, "b.zip", NEW)
    terminal = old.at_terminal("convert", "--ask-new-password", "a.zip", "c.7z")
    for prompt, answer in (
        ("Password for a.zip: ", PASSWORD),
        ("New password for c.7z: ", NEW),
        ("The same again: ", NEW),
    ):
        terminal.wait_for(prompt)
        terminal.type(f"{answer.decode()}\n")
    code, shown = terminal.end()
    assert code == 0, shown
    opens(old, "c.7z", NEW)


def test_convert_old_archives(old: Desk) -> None:
    """ZipCrypto takes --legacy, and the hint says so; what was plain is sealed with a password that is asked for."""
    old.put("poor.zip", zipcraft.join(zipcraft.zipcrypto("a", b"data", password=PASSWORD.decode())))
    before = old.names()
    done = old.open("convert", "poor.zip", "good.zip")
    assert (done.failure[0], "--legacy" in done.err) == (1, True)
    assert old.names() == before
    assert old.open("convert", "--legacy", "poor.zip", "good.zip").code == 0
    assert old.open("cat", "--manifest", "required", "good.zip").out == b"data"
    old.put("plain.zip", zipcraft.join(zipcraft.plain("a", b"data")))
    terminal = old.at_terminal("convert", "--allow-plaintext", "plain.zip", "sealed.7z")
    for prompt in ("New password for sealed.7z: ", "The same again: "):
        terminal.wait_for(prompt)
        terminal.type(f"{PASSWORD.decode()}\n")
    code, shown = terminal.end()
    assert code == 0, shown
    assert old.open("cat", "sealed.7z").out == b"data"


def test_convert_to_age_and_back(old: Desk) -> None:
    """To recipients; what an identity opened asks for a password."""
    assert old.run("keygen", "-o", "key.txt", "--classic").code == 0
    recipient = old.run("keygen", "--recipient", "-i", "key.txt").out.decode().strip()
    assert old.open("convert", "a.zip", "b.zip.age", "-r", recipient).code == 0
    subprocess.run([tool("age"), "-d", "-i", "key.txt", "-o", "plain.zip", "b.zip.age"], cwd=old.folder, check=True)
    subprocess.run([tool("7zz"), "t", "plain.zip"], cwd=old.folder, check=True, capture_output=True)
    done = old.run("convert", "-i", "key.txt", "b.zip.age", "c.zip", "--new-password-file", "new")
    assert done.code == 0, done.err
    opens(old, "c.zip", NEW)
    assert old.run("convert", "-i", "key.txt", "b.zip.age", "d.zip").failure[0] == 2  # no terminal to ask on


def test_convert_of_several_to_one(old: Desk) -> None:
    """The error names the suffix that takes them."""
    before = old.names()
    done = old.open("convert", "a.zip", "b.age")
    assert (done.failure[0], ".zip.age" in done.err) == (2, True)
    assert old.names() == before


def test_convert_through_pipes(old: Desk) -> None:
    """From standard input, and to standard output, whose format has to be named."""
    data = (old.folder / "a.zip").read_bytes()
    assert old.open("convert", "-", "-", stdin=data).failure[0] == 2
    done = old.open("convert", "-", "-", "--to", "zip", "--method", "store", stdin=data)
    old.put("b.zip", done.out)
    opens(old, "b.zip", PASSWORD)
    assert old.open("convert", "-", "-", "--to", "7z", stdin=data).failure[0] == 2


@pytest.mark.parametrize("arguments", [("a.zip", "b"), ("a.zip", "a.zip"), ("none.zip", "b.zip"), ("a.zip", "x/b.zip")])
def test_convert_fails(old: Desk, arguments: tuple[str, ...]) -> None:
    """Formats, targets and sources that are none: an error, a hint, and nothing is made."""
    before = old.names()
    code, _, hint = old.open("convert", *arguments).failure
    assert (code in (1, 2), hint) == (True, True)
    assert old.names() == before
    assert old.open("convert", "--ask-new-password", "--new-password-file", "new", "a.zip", "b.zip").failure[0] == 2
    assert old.open("convert", "--new-password-fd", "0", "-", "b.zip").failure[0] == 2


@pytest.mark.parametrize("name", ["a.zip", "a.7z"])
def test_rekey_zip_and_7z(old: Desk, name: str) -> None:
    """In place: the old password is wrong from then on, and 7-Zip opens it with the new one; damage leaves it alone."""
    if name != "a.zip":
        assert old.open("convert", "a.zip", name).code == 0
    done = old.open("rekey", name, "--new-password-file", "new", "--verify")
    assert (done.code, done.err.splitlines()[0]) == (0, f"rekeyed {name}")
    assert old.open("cat", name, "x").failure[0] == 3
    opens(old, name, NEW)
    damaged = bytearray((old.folder / name).read_bytes())
    damaged[len(damaged) // 3] ^= 1
    old.put(name, damaged)
    before = old.names()
    failure = old.run("rekey", name, "--password-file", "new", "--new-password-file", "pw").failure
    assert failure[0] == 4
    assert (old.folder / name).read_bytes() == damaged
    assert old.names() == before


def test_a_full_disk_leaves_the_old_archive(old: Desk) -> None:
    """Rekey and convert that cannot write: the file is as it was."""
    before, names = (old.folder / "a.zip").read_bytes(), old.names()
    for arguments in (["rekey", "a.zip", "--new-password-file", "new"], ["convert", "--overwrite", "a.zip", "a.zip"]):
        command = ["bash", "-c", 'ulimit -f 2; exec "$@"', "-", *COMMAND, *arguments, "--password-file", "pw"]
        done = subprocess.run(command, cwd=old.folder, check=False, capture_output=True)
        assert done.returncode == 1, done.stderr
        assert (old.folder / "a.zip").read_bytes() == before
        assert old.names() == names
