"""Signals end the work as errors do: nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.running import COMMAND, Desk
from tests.helpers import noise

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """Wait for the end; give the exit code and what was written."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_blocked_read(desk: Desk, number: int, code: int) -> None:
    """A read from a pipe where nothing comes gives way."""
    process = desk.start("seal", "a.zip", "--name", "x", "--password-file", "pw", "-")
    assert process.stdin is not None
    process.stdin.write(noise(4 << 20))  # returns once all but a pipe's buffer is read
    process.send_signal(number)
    assert ended(process)[:2] == (code, b"")
    assert desk.names() == []


@pytest.mark.parametrize("size", ["0", "8388608"])
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_the_command_ends_too(desk: Desk, number: int, code: int, size: str) -> None:
    """The program that wrote the data does not outlive us."""
    process = desk.start(
        "seal",
        "a.zip",
        "--name",
        "x",
        "--password-file",
        "pw",
        "--from-command",
        "--",
        "sh",
        "-c",
        "head -c $0 /dev/zero; echo $$ >&2; exec sleep 1000",
        size,
    )
    assert process.stderr is not None
    child = int(process.stderr.readline())
    process.send_signal(number)
    assert ended(process) == (code, b"", b"strongroom: error: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert desk.names() == []


def test_what_stands_there_stays(desk: Desk) -> None:
    """An interrupted `--overwrite` leaves the old archive."""
    old = desk.put("a.zip", b"old").read_bytes()
    process = desk.start("seal", "a.zip", "--name", "x", "--password-file", "pw", "--overwrite", "-")
    assert process.stdin is not None
    process.stdin.write(noise(4 << 20))
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    assert desk.names() == ["a.zip"]
    assert (desk.folder / "a.zip").read_bytes() == old


def test_nohup_is_respected(desk: Desk) -> None:
    """A signal that was ignored when we began stays so."""
    script = "trap '' HUP; exec " + " ".join([*COMMAND, "seal a.zip --name x --password-file pw -q -"])
    process = subprocess.Popen(
        ["sh", "-c", script], cwd=desk.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(noise(4 << 20))
    process.send_signal(signal.SIGHUP)
    assert ended(process) == (0, b"", b"")
    assert desk.names() == ["a.zip"]


HELD = """
import os, signal
from strongroom.cli.signals import Stopped, raise_on_signals, signals_held
raise_on_signals()
try:
    with signals_held():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        print("whole")
    print("never")
except Stopped as stop:
    print(stop.number)
"""


def test_a_signal_waits_while_a_program_is_started() -> None:
    """What asks for the end while a program is being started does so once that is known, and can be ended."""
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert done.stdout == "whole\n15\n"
