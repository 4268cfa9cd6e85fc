"""Where passwords come from, and where they never are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import strongroom
from tests.cli.running import COMMAND, PASSWORD, Desk

SEAL = ["seal", "a.zip", "--name", "x", "-"]


def opens_with(desk: Desk, password: bytes) -> bool:
    """Whether that is the password of a.zip."""
    with strongroom.open(desk.folder / "a.zip", password=password) as room:
        return room.read("x") == b"data"


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", b"secret"),
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b"two words\n", b"two words"),
    ],
)
def test_one_newline_is_cut(desk: Desk, content: bytes, password: bytes) -> None:
    """From a file, a descriptor or a command, one final newline is not part of the password; all else is."""
    desk.put("other", content).chmod(0o600)
    for option in (["--password-file", "other"], ["--password-command", "cat other"]):
        assert desk.run(*SEAL, "--overwrite", *option, stdin=b"data").err.count("\n") == 7
        assert opens_with(desk, password)
    ours, theirs = os.pipe()
    os.write(theirs, content)
    os.close(theirs)
    command = [*COMMAND, *SEAL, "--overwrite", "--password-fd", str(ours)]
    subprocess.run(command, cwd=desk.folder, input=b"data", pass_fds=[ours], check=True, capture_output=True)
    os.close(ours)
    assert opens_with(desk, password)


@pytest.mark.parametrize("content", [b"secret\n\n", b"sec\nret", b"secret\r", b"\n\nsecret\n"])
def test_line_breaks_that_nobody_can_type(desk: Desk, content: bytes) -> None:
    """No new archive gets a password with a line break in it; one that has it opens all the same."""
    desk.put("other", content).chmod(0o600)
    code, _, hint = desk.run(*SEAL, "--password-file", "other", stdin=b"data").failure
    assert (code, hint, desk.names()) == (2, True, ["other"])
    strongroom.seal({"x": b"data"}, desk.folder / "a.zip", password=content.removesuffix(b"\n"))
    done = desk.run("cat", "a.zip", "x", "--password-file", "other")
    assert (done.out, done.err) == (b"data", "")


@pytest.mark.parametrize("content", [b" secret\n", b"secret \n", b"secret\t"])
def test_spaces_that_nobody_sees(desk: Desk, content: bytes) -> None:
    """They belong to the password; who seals with it is warned, who reads is not."""
    desk.put("other", content).chmod(0o600)
    done = desk.run(*SEAL, "-q", "--password-file", "other", stdin=b"data")
    assert (done.code, done.err.count("strongroom: warning: "), done.err.count("\n")) == (0, 1, 1)
    assert opens_with(desk, content.removesuffix(b"\n"))
    assert desk.run("verify", "a.zip", "-q", "--password-file", "other").err == ""


def test_bytes_are_used_as_they_are(desk: Desk) -> None:
    """A password of another encoding is no text, and works; the warning says who may not open the file."""
    desk.put("other", b"p\xe4ss\n").chmod(0o600)
    done = desk.run(*SEAL, "--password-file", "other", stdin=b"data")
    assert done.code == 0
    assert done.err.startswith("strongroom: warning: the password is not pure ASCII")
    assert opens_with(desk, b"p\xe4ss")


def test_the_password_on_standard_input(desk: Desk) -> None:
    """Descriptor 0 gives the password where the data come from elsewhere."""
    desk.put("x", b"data")
    assert desk.run("seal", "a.zip", "x", "--password-fd", "0", "-q", stdin=b"secret\n").code == 0
    assert opens_with(desk, b"secret")


def test_a_password_file_that_others_can_read(desk: Desk) -> None:
    """It is used, with a warning."""
    (desk.folder / "pw").chmod(0o644)
    done = desk.seal("a.zip", "--name", "x", "-", "-q", stdin=b"data")
    assert done.err == "strongroom: warning: the password file 'pw' can be read by others (mode 0644): chmod 600 it\n"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--password-file", "pw", "--password-fd", "5"], 2),
        (["--password-file", "pw", "--password-command", "cat pw"], 2),
        (["--password-fd", "0"], 2),  # which has the data
        (["--password-fd", "-1"], 2),
        (["--password-fd", "99"], 1),
        (["--password-file", "missing"], 1),
        (["--password-file", "empty"], 2),
        (["--password-file", "newline"], 2),
        (["--password-file", "huge"], 2),
        (["--password-file", "nul"], 2),
        (["--password-file", "long"], 2),
        (["--password-file", "-"], 2),
        (["--password-file", "."], 1),
        (["--password-command", "false"], 1),
        (["--password-command", "sh -c 'echo half; exit 3'"], 1),
        (["--password-command", "true"], 2),
        (["--password-command", ""], 2),
        (["--password-command", "echo 'unbalanced"], 2),
        (["--password-command", "no-such-program"], 1),
        ([], 2),  # no terminal
        (["--password", "secret"], 2),
        (["--password=secret"], 2),
        (["-p", "secret"], 2),
        (["-psecret"], 2),
    ],
    ids=str,
)
def test_what_is_no_password(desk: Desk, options: list[str], code: int) -> None:
    """It is refused with its reason, nothing is made, and no password is repeated."""
    for name, content in {
        "empty": b"",
        "newline": b"\n",
        "huge": bytes(100_000),
        "nul": b"a\0b",
        "long": b"secret" * 17,
    }.items():
        desk.put(name, content).chmod(0o600)
    before = desk.names()
    done = desk.run(*SEAL, *options, stdin=b"data")
    assert done.failure[::2] == (code, True)
    assert "secret" not in done.err
    assert desk.names() == before


@pytest.mark.parametrize("options", [["--password", "secret"], ["-psecret"]], ids=" ".join)
def test_why_not_as_an_argument(desk: Desk, options: list[str]) -> None:
    """Who tries it learns why not, and what to do instead."""
    done = desk.run(*SEAL, *options, stdin=b"data")
    assert "can be read by every user" in done.err
    assert "--password-file" in done.err


def test_no_terminal(desk: Desk) -> None:
    """Without a terminal and without an option the hint names the options."""
    code, said, hint = desk.run(*SEAL, stdin=b"data").failure
    assert (code, said, hint) == (2, "there is no terminal to ask for the password on", True)


def test_a_password_command_does_not_eat_the_data(desk: Desk) -> None:
    """Its standard input is empty where ours is a pipe."""
    assert desk.run(*SEAL, "--password-command", "sh -c 'cat; echo secret'", stdin=b"data").code == 0
    assert opens_with(desk, b"secret")


def test_the_password_is_in_no_argument_and_no_environment(desk: Desk) -> None:
    """While sealing, neither our process nor those that it starts show the password."""
    command = ["sh", "-c", "echo ready >&2; cat"]
    process = desk.start(*SEAL[:-1], "--password-command", "cat pw", "--from-command", "--", *command)
    assert process.stderr is not None
    assert process.stdin is not None
    assert process.stderr.readline() == b"ready\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    for pid in [process.pid, *children]:
        for file in ("cmdline", "environ"):
            shown = Path(f"/proc/{pid}/{file}").read_bytes()
            assert shown
            assert PASSWORD not in shown
    _, err = process.communicate(b"data")
    assert process.returncode == 0, err
    assert opens_with(desk, PASSWORD)
