"""What is said of a new password, and the verb that makes a good one."""

from __future__ import annotations

import json
import re

import pytest

import strongroom
from tests.cli.running import Desk, Terminal

STRONG = "ruban-varuk-rukod-vabuv-kanoj-mumot"


def sealed_at_terminal(desk: Desk, archive: str, password: str, *options: str) -> str:
    """Seal with a password that is typed; all that was shown."""
    desk.put("x", b"data")
    terminal = desk.at_terminal("seal", archive, "x", *options)
    for prompt in (f"Password for {archive}: ", "The same again: "):
        terminal.wait_for(prompt)
        terminal.type(f"{password}\n")
    return ended(terminal)


def ended(terminal: Terminal) -> str:
    """All that was shown, where the work was done."""
    code, shown = terminal.end()
    assert code == 0, shown
    return shown


@pytest.mark.parametrize("archive", ["a.zip", "a.7z"])
def test_a_weak_password_is_no_secret(desk: Desk, archive: str) -> None:
    """Who types one learns how soon it is guessed, and how to get another; it is used all the same."""
    shown = sealed_at_terminal(desk, archive, "monkey1")
    assert "strongroom: warning: one graphics card guesses the password in " in shown
    assert "`strongroom passphrase`" in shown
    assert "monkey1" not in shown
    with strongroom.open(desk.folder / archive, password="monkey1") as room:
        assert room.read("x") == b"data"


def test_a_strong_password(desk: Desk) -> None:
    """Of a ZIP, whose passwords are quickly tried, the time is said in any case; of others only where it is short."""
    assert "one graphics card guesses the password in more than a billion years" in sealed_at_terminal(
        desk, "a.zip", STRONG
    )
    assert "graphics" not in sealed_at_terminal(desk, "a.7z", STRONG)


def test_where_nobody_reads_it(desk: Desk) -> None:
    """Nothing is said with --quiet or --json, nor where standard error is no terminal; else also with a file."""
    desk.put("weak", b"monkey1").chmod(0o600)
    assert "graphics" not in sealed_at_terminal(desk, "a.zip", "monkey1", "-q")
    arguments = ["seal", "x.zip", "x", "--overwrite", "--password-file", "weak"]
    assert "graphics" not in desk.run(*arguments).err
    assert "graphics" not in ended(desk.at_terminal(*arguments, "--json"))
    assert "graphics" in ended(desk.at_terminal(*arguments))


@pytest.mark.parametrize(("options", "words"), [([], 6), (["--words", "10"], 10)])
def test_passphrase(desk: Desk, options: list[str], words: int) -> None:
    """Words alone are on standard output, and differ each time; how much they are worth is said beside them."""
    first, second = (desk.run("passphrase", *options) for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert re.fullmatch(rb"([a-z]{5}-){%d}[a-z]{5}\n" % (words - 1), first.out)
    assert first.out != second.out
    assert first.err == f"{words} words, {16 * words} bits\n"
    assert desk.run("passphrase", "-q").err == ""


def test_passphrase_as_json(desk: Desk) -> None:
    """One object has the words, and what they are worth."""
    done = desk.run("passphrase", "--json")
    found = json.loads(done.out)
    assert (found["ok"], found["words"], found["bits"], done.err) == (True, 6, 96, "")
    assert len(found["passphrase"].split("-")) == 6


@pytest.mark.parametrize("words", ["0", "5", "11", "six", "-1"])
def test_no_weaker_passphrase(desk: Desk, words: str) -> None:
    """Fewer words than six are refused."""
    assert desk.run("passphrase", "--words", words).failure[::2] == (2, True)


def test_passphrase_that_cannot_be_written(desk: Desk) -> None:
    """It is an error where nobody gets it."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        terminal = desk.at_terminal("passphrase", stdout=full.fileno())
    code, shown = terminal.end()
    assert code == 1
    assert "strongroom: error: standard output: " in shown
