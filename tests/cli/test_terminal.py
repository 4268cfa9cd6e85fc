"""Passwords, binary data and progress on a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import pytest

import strongroom
from strongroom.cli.progress import facts
from tests.cli.running import COMMAND, PASSWORD, Desk, Terminal
from tests.helpers import noise

WORD = "typed secret"


@pytest.fixture
def pipe() -> Iterator[int]:
    """The reading end of a pipe with some data."""
    ours, theirs = os.pipe()
    os.write(theirs, b"data")
    os.close(theirs)
    yield ours
    os.close(ours)


def test_sealing_asks_twice(desk: Desk) -> None:
    """The password is asked for twice, with a warning that there is no way back, and is not shown."""
    desk.put("x", b"data")
    terminal = desk.at_terminal("seal", "a.zip", "x")
    terminal.wait_for("There is no way back")
    terminal.wait_for("Password for a.zip: ")
    terminal.type(f"{WORD}\n")
    terminal.wait_for("The same again: ")
    terminal.type(f"{WORD}\n")
    code, shown = terminal.end()
    assert code == 0
    assert WORD not in shown
    assert "sealed 1 entry" in shown
    with strongroom.open(desk.folder / "a.zip", password=WORD) as room:
        assert room.read("x") == b"data"


def test_sealing_standard_input_asks_on_the_terminal(desk: Desk, pipe: int) -> None:
    """Data may come through a pipe while the password is typed."""
    terminal = desk.at_terminal("seal", "a.zip", "--name", "x", "-", stdin=pipe)
    for prompt in ("Password for a.zip: ", "The same again: "):
        terminal.wait_for(prompt)
        terminal.type(f"{WORD}\n")
    assert terminal.end()[0] == 0
    with strongroom.open(desk.folder / "a.zip", password=WORD) as room:
        assert room.read("x") == b"data"


def test_sealing_with_two_passwords(desk: Desk) -> None:
    """Two that differ, or none, are asked for again."""
    desk.put("x", b"data")
    terminal = desk.at_terminal("seal", "a.zip", "x")
    for prompt, keys in (
        ("Password for a.zip: ", WORD),
        ("The same again: ", "other"),
        ("The two passwords differ.", ""),
        ("Password for a.zip: ", "\n"),
        ("The password is empty.", ""),
        ("Password for a.zip: ", WORD),
        ("The same again: ", WORD),
    ):
        terminal.wait_for(prompt)
        terminal.type(f"{keys}\n" if keys.strip() else keys)
    assert terminal.end()[0] == 0
    with strongroom.open(desk.folder / "a.zip", password=WORD) as room:
        assert room.read("x") == b"data"


def test_sealing_gives_up(desk: Desk) -> None:
    """After three pairs that differ nothing is made."""
    desk.put("x", b"data")
    terminal = desk.at_terminal("seal", "a.zip", "x")
    for _ in range(3):
        terminal.wait_for("Password for a.zip: ")
        terminal.type(f"{WORD}\n")
        terminal.wait_for("The same again: ")
        terminal.type("\n")
    code, shown = terminal.end()
    assert code == 1
    assert "strongroom: error: no password was given twice the same in 3 tries\n" in shown
    assert desk.names() == ["x"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["a.zip", "x"], "is there already"), (["b.foo", "x"], "suffix"), (["b.zip", "y"], "'y' cannot be read: No")],
)
def test_nobody_types_in_vain(desk: Desk, arguments: list[str], reason: str) -> None:
    """What can be refused beforehand is refused before the password is asked for."""
    desk.put("x", b"data")
    desk.seal("a.zip", "x")
    code, shown = desk.at_terminal("seal", *arguments).end()
    assert code in (1, 2)
    assert reason in shown
    assert "Password" not in shown


def test_a_stopped_prompt_stays_silent(desk: Desk) -> None:
    """After Ctrl-Z and `fg` the prompt comes again, and what is typed is still not shown."""
    desk.put("x", b"data")
    terminal = desk.at_terminal("seal", "a.zip", "x")
    terminal.wait_for("Password for a.zip: ")
    terminal.stop_and_continue()
    terminal.wait_for("Password for a.zip: ")
    terminal.type(f"{WORD}\n")
    terminal.wait_for("The same again: ")
    terminal.type(f"{WORD}\n")
    code, shown = terminal.end()
    assert code == 0
    assert WORD not in shown


def test_opening_allows_three_tries(desk: Desk) -> None:
    """The third password may be the right one."""
    desk.seal("a.zip", "--name", "x", "-", stdin=b"data\n")
    terminal = desk.at_terminal("cat", "a.zip", "x")
    for keys in ("wrong", "", PASSWORD.decode()):
        terminal.wait_for("Password for a.zip: ")
        terminal.type(f"{keys}\n")
    code, shown = terminal.end()
    assert code == 0
    assert shown.endswith("\ndata\n")
    assert "2 tries left" in shown
    assert "1 try left" in shown
    assert PASSWORD.decode() not in shown


@pytest.mark.parametrize("verb", [["cat", "a.7z", "x"], ["ls", "a.7z"], ["verify", "a.7z"]], ids=" ".join)
def test_opening_what_hides_its_names(desk: Desk, verb: list[str]) -> None:
    """A 7z asks for the password before it shows anything at all."""
    desk.seal("a.7z", "--name", "x", "-", stdin=b"data\n")
    terminal = desk.at_terminal(*verb)
    for keys in ("wrong", PASSWORD.decode()):
        terminal.wait_for("Password for a.7z: ")
        terminal.type(f"{keys}\n")
    code, shown = terminal.end()
    assert code == 0
    assert "2 tries left" in shown


@pytest.mark.parametrize(
    "verb", [["cat", "a.zip", "x"], ["verify", "a.zip"], ["extract", "a.zip", "out"]], ids=" ".join
)
def test_opening_gives_up(desk: Desk, verb: list[str]) -> None:
    """After the third wrong password it ends, with 3."""
    desk.seal("a.zip", "--name", "x", "-", stdin=b"data")
    terminal = desk.at_terminal(*verb)
    for _ in range(3):
        terminal.wait_for("Password for a.zip: ")
        terminal.type("wrong\n")
    code, shown = terminal.end()
    assert code == 3
    assert "strongroom: error: a.zip: none of 3 passwords fits\n" in shown
    assert desk.names() == ["a.zip"]


def test_an_archive_from_a_pipe_has_three_tries_too(desk: Desk, pipe: int) -> None:
    """What can be read only once is kept for the next try."""
    desk.seal("a.zip", "--name", "x", "-", stdin=b"data\n")
    ours, theirs = os.pipe()
    os.write(theirs, (desk.folder / "a.zip").read_bytes())
    os.close(theirs)
    terminal = desk.at_terminal("cat", "-", "x", stdin=ours)
    os.close(ours)
    for keys in ("wrong", PASSWORD.decode()):
        terminal.wait_for("Password for the archive on standard input: ")
        terminal.type(f"{keys}\n")
    code, shown = terminal.end()
    assert (code, shown.endswith("\ndata\n")) == (0, True)


PIPELINE = " | ".join(
    " ".join([*COMMAND, *verb]) for verb in (["cat", "a.zip", "x"], ["seal", "b.zip", "--name", "y", "-q", "-"])
)


def test_a_pipeline_asks_one_question_at_a_time(desk: Desk) -> None:
    """Of two processes on a terminal one waits until the other has asked; each prompt names its archive."""
    desk.seal("a.zip", "--name", "x", "-", stdin=b"data")
    terminal = desk.script_at_terminal(PIPELINE)
    terminal.wait_for("Password for ")
    terminal.wait_for_a_waiting_process()
    for _ in range(2):
        terminal.wait_for(".zip: ")
        assert terminal.shown.endswith(b".zip: ")
        if terminal.shown.endswith(b"a.zip: "):
            terminal.type(f"{PASSWORD.decode()}\n")
        else:
            terminal.type(f"{WORD}\n")
            terminal.wait_for("The same again: ")
            terminal.type(f"{WORD}\n")
    assert terminal.end()[0] == 0
    assert terminal.shown.count(b": ") == 4  # with the one of the line that there is no way back
    with strongroom.open(desk.folder / "b.zip", password=WORD) as room:
        assert room.read("y") == b"data"


def test_waiting_for_the_terminal_can_be_interrupted(desk: Desk) -> None:
    """Ctrl-C ends both: the process that asks, and the one that waits."""
    desk.seal("a.zip", "--name", "x", "-", stdin=b"data")
    terminal = desk.script_at_terminal(f"trap : INT; {PIPELINE}; echo $?")
    terminal.wait_for("Password for ")
    terminal.wait_for_a_waiting_process()
    terminal.type("\x03")
    terminal.wait_for("130")
    assert terminal.end()[1].count("strongroom: error: interrupted\n") == 2
    assert desk.names() == ["a.zip"]


@pytest.mark.parametrize(
    "arguments",
    [["cat", "a.zip", "y"], ["extract", "a.zip", "out", "y"], ["extract", "a.zip", "x"], ["cat", "a.zip", "folder/"]],
    ids=" ".join,
)
def test_nobody_types_in_vain_to_read(desk: Desk, arguments: list[str]) -> None:
    """What the list of entries shows to be wrong is said before the password is asked for."""
    desk.put("folder/y", b"2")
    desk.put("x", b"1")
    desk.seal("a.zip", "folder", "x")
    (desk.folder / "x").unlink()
    code, shown = desk.at_terminal(*arguments).end()
    assert code in (1, 2)
    assert "Password" not in shown
    assert "strongroom: hint: " in shown
    assert desk.names() == ["a.zip", "folder"]


def test_no_line_is_wider_than_a_terminal(desk: Desk) -> None:
    """What is shown before the prompt, and the list of an archive with names of a usual length, fits 80 columns."""
    desk.put("scans/2026/patient-00001/scan.dcm", noise(3_000_000))
    terminal = desk.at_terminal("seal", "a.zip", "scans")
    for prompt in ("Password for a.zip: ", "The same again: "):
        terminal.wait_for(prompt)
        terminal.type(f"{PASSWORD.decode()}\n")
    assert terminal.end()[0] == 0
    lines = terminal.shown.decode().splitlines() + desk.run("ls", "a.zip").out.decode().splitlines()
    assert max(map(len, lines)) < 80


def test_damage_is_found_before_the_password_is_asked_for(desk: Desk) -> None:
    """What is no archive needs no password."""
    desk.put("a.zip", b"no archive")
    code, shown = desk.at_terminal("verify", "a.zip").end()
    assert code == 4
    assert "Password" not in shown


@pytest.mark.parametrize(("key", "code", "said"), [("\x03", 130, "interrupted"), ("\x04", 1, "no password was given")])
def test_keys_that_end_the_prompt(desk: Desk, key: str, code: int, said: str) -> None:
    """Ctrl-C interrupts and Ctrl-D ends, and the terminal echoes again afterwards."""
    desk.put("x", b"data")
    terminal = desk.at_terminal("seal", "a.zip", "x")
    terminal.wait_for("Password for a.zip: ")
    terminal.type(key)
    ended, shown = terminal.end()
    assert ended == code
    assert f"strongroom: error: {said}\n" in shown
    assert desk.names() == ["x"]


@pytest.mark.parametrize("data", [noise(1000), b"text\x1b[31m", b"\xff\xfe", "right\u202eleft".encode()], ids=repr)
def test_cat_keeps_binary_data_off_the_terminal(desk: Desk, data: bytes) -> None:
    """A terminal gets text; `--force` gives it anything."""
    desk.seal("a.zip", "--name", "x", "-", stdin=data)
    code, shown = desk.at_terminal("cat", "a.zip", "x", "--password-file", "pw").end()
    assert code == 1
    assert shown.startswith("strongroom: error: 'x' is not plain text")
    assert "--force" in shown
    forced = desk.at_terminal("cat", "a.zip", "x", "--password-file", "pw", "--force", "-q")
    assert forced.end_raw() == (0, data.replace(b"\n", b"\r\n"))


def test_cat_shows_text(desk: Desk) -> None:
    """Text of any script is text, also where a character is split between two chunks."""
    data = ("x" + "Größe 10 µm, 体温\t37\n" * 60_000).encode()
    desk.seal("a.zip", "--name", "x", "-", stdin=data)
    code, shown = desk.at_terminal("cat", "a.zip", "x", "--password-file", "pw").end()
    assert code == 0
    assert shown.encode() == data


def test_no_archive_on_the_terminal(desk: Desk) -> None:
    """A terminal gets no archive, unless it is forced to."""
    desk.put("x", b"data")
    code, shown = desk.at_terminal("seal", "-", "x", "--password-file", "pw").end()
    assert code == 1
    assert "--force" in shown
    terminal = desk.at_terminal("seal", "-", "x", "--password-file", "pw", "--force")
    terminal.wait_for("PK\x03\x04")
    terminal.wait_for("sealed 1 entry")
    assert terminal.end_raw()[0] == 0


SLOW = ["sh", "-c", "for i in 1 2 3 4 5; do head -c 1048576 /dev/zero; sleep 0.4; done"]


@pytest.mark.parametrize("quiet", [False, True])
def test_progress(desk: Desk, *, quiet: bool) -> None:
    """Work of more than a second shows a bar with a rate, without colours where NO_COLOR says so, or none if quiet."""
    options = ["--name", "x", "--password-file", "pw", *(["--quiet"] if quiet else [])]
    terminal = desk.at_terminal("seal", "a.zip", *options, "--from-command", "--", *SLOW, NO_COLOR="1")
    code, shown = terminal.end()
    assert code == 0
    assert bool(re.search(r"sealing +[\d.]+ MB, [\d.]+ MB/s", shown)) == (not quiet)
    assert " left" not in shown  # which nobody can know here
    assert not re.search(r"\x1b\[[\d;]*3\dm", shown)


def test_no_progress_for_short_work(desk: Desk) -> None:
    """What is done at once shows no bar."""
    desk.put("x", noise(3_000_000))
    shown = desk.at_terminal("seal", "a.zip", "x", "--password-file", "pw").end()[1]
    assert "\x1b" not in shown
    assert "sealing" not in shown


def test_no_progress_in_a_pipe(desk: Desk) -> None:
    """Standard error that is no terminal gets lines only."""
    done = desk.run("seal", "a.zip", "--name", "x", "--password-file", "pw", "--from-command", "--", *SLOW)
    assert done.err.count("\n") == 7
    assert not {"\x1b", "\r"} & set(done.err)


def test_progress_of_known_work(desk: Desk) -> None:
    """Where the size is known, the part that is done and the time that is left are shown, also on a narrow terminal."""
    rows = {}
    for columns in ("100", "40"):
        script = (
            "import sys, time; from strongroom.cli.progress import Bar\n"
            "with Bar('sealing', quiet=False) as bar:\n"
            "    for done in range(0, 60_000_001, 5_000_000): bar(done, 200_000_000); time.sleep(0.12)\n"
        )
        terminal = Terminal(
            [sys.executable, "-c", script], desk.folder, {"COLUMNS": columns, "NO_COLOR": "1"}, None, None
        )
        code, shown = terminal.end()
        assert code == 0
        rows[columns] = re.findall(r"sealing [^\r\n\x1b]*left", shown)
        assert rows[columns], shown
        assert max(map(len, rows[columns])) <= int(columns)
    assert re.search(r"━.* 30% of 200 MB, [\d.]+ MB/s, 0:\d\d left", rows["100"][-1])
    assert re.search(r"━.* 30%, [\d.]+ MB/s, 0:\d\d left", rows["40"][-1])


@pytest.mark.parametrize(
    ("done", "total", "speed", "said"),
    [
        (0, None, 0.0, "0 bytes, 0 bytes/s"),
        (5_000_000, None, 2.5e6, "5.0 MB, 2.5 MB/s"),
        (0, 10**9, 0.0, "0% of 1.0 GB, 0 bytes/s"),  # and nothing is foretold
        (10**8, 10**9, 1e8, "10% of 1.0 GB, 100 MB/s, 0:09 left"),
        (10**8, 10**9, 1e5, "10% of 1.0 GB, 100 kB/s, 2:30:00 left"),
        (10**8, 10**9, 1.0, "10% of 1.0 GB, 1 byte/s"),
        (2 * 10**9, 10**9, 1e8, "100% of 1.0 GB, 100 MB/s"),  # a file that grew
    ],
)
def test_what_progress_says(done: int, total: int | None, speed: float, said: str) -> None:
    """A part only of what is known, and a time only where one can be told."""
    assert facts(done, total, speed, narrow=False) == said
