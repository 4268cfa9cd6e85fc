"""`strongroom inspect`."""

from __future__ import annotations

import json

import pytest

from tests import zipcraft
from tests.cli.running import Desk
from tests.helpers import text

EVIL = "\x1b[31mred\u202e"


@pytest.mark.parametrize("name", ["a.zip", "a.7z", "a.zip.age"])
def test_explains(desk: Desk, name: str) -> None:
    """It says what an archive is, in lines of 80 columns, and asks for nothing; programs get the same, with codes."""
    desk.put("note.txt", text(100))
    desk.seal(name, "note.txt")
    done = desk.run("inspect", name)
    assert (done.code, done.err) == (0, "")
    lines = done.out.decode().splitlines()
    assert lines[0].startswith(f"{name}: ")
    assert all(len(line) <= 80 for line in lines)
    labels = [line[2:12].strip() for line in lines[1:] if line[2:3].strip()]
    assert any("strongroom extract" in line for line in lines)
    assert {"cipher", "key", "manifest", "visible", "hidden", "opens", "not"} <= set(labels)
    done = desk.run("inspect", name, "--json")
    found = json.loads(done.out)
    assert (done.code, found["archive"], found["ok"]) == (0, name, True)
    assert found["size"] == (desk.folder / name).stat().st_size
    assert found["manifest"] == ("unneeded" if name == "a.zip.age" else "present")
    assert all(set(one) == {"code", "level", "text"} for one in found["weaknesses"])
    assert any(one["opens"] for one in found["tools"])


def test_from_a_pipe(desk: Desk) -> None:
    """An archive that comes from standard input is explained as well."""
    done = desk.run("inspect", "-", stdin=zipcraft.join(zipcraft.aes("a", b"x")))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(b"-: ZIP archive")


def test_what_readers_differ_on(desk: Desk) -> None:
    """It is explained all the same, and exits with 4; that tools differ stands in place of which open it."""
    desk.put("a.zip", zipcraft.join(zipcraft.aes("a", b"x").but(local={"name": b"b"})))
    done = desk.run("inspect", "a.zip")
    assert done.code == 4
    assert b"AES-256" in done.out
    assert b"BROKEN" in done.out
    assert b"7-Zip" not in done.out
    done = desk.run("inspect", "a.zip", "--json")
    assert done.code == 4
    found = json.loads(done.out)
    assert found["ok"] is False
    assert found["tools"] == []


def test_what_is_beyond_a_limit(desk: Desk) -> None:
    """It exits with 1: the archive is not damaged."""
    desk.put("a.zip", zipcraft.join(*(zipcraft.aes("a", b"x").but(name=bytes([97 + one])) for one in range(9))))
    assert desk.run("inspect", "a.zip", "--limit", "entries=3").code == 1


def test_what_is_no_archive(desk: Desk) -> None:
    """The error is that of other verbs."""
    desk.put("note.txt", b"hello")
    assert desk.run("inspect", "note.txt").failure[0] == 4
    assert desk.run("inspect", "missing.zip").failure[0] == 1


def test_names_do_not_reach_the_terminal(desk: Desk) -> None:
    """A fault that names an entry shows its control characters escaped."""
    desk.put("a.zip", zipcraft.join(zipcraft.plain(EVIL, b"x").but(local={"name": b"b"})))
    done = desk.run("inspect", "a.zip")
    assert done.code == 4
    assert b"\x1b" not in done.out
    assert "\u202e" not in done.out.decode()
