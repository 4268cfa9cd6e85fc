"""The command line starts its interpreter twice, and nobody notices."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import COMMAND, PASSWORD, Desk
from tests.helpers import tool

ASK = "tr '\\0' '\\n' </proc/$PPID/environ; echo --; env; echo --; tr '\\0' ' ' </proc/$PPID/cmdline; ulimit -c"


def told(desk: Desk, *flags: str, **more: str) -> tuple[list[str], dict[str, str], str]:
    """What a command that we run sees: our environment, as lines, its own, and our arguments."""
    options = ["seal", "a.zip", "--overwrite", "--name", "x", "--password-file", "pw", "--from-command", "--"]
    subprocess.run(
        [sys.executable, *flags, "-m", "strongroom", *options, "sh", "-c", ASK],
        cwd=desk.folder,
        env={"PATH": os.environ["PATH"], **more},
        check=True,
        capture_output=True,
    )
    ours, its, arguments = desk.open("cat", "a.zip", "x").out.decode().split("--\n", 2)
    return ours.splitlines(), dict(line.partition("=")[::2] for line in its.splitlines()), arguments


@pytest.mark.parametrize(
    "users",
    [
        {},
        {"PYTHONMALLOC": "pymalloc"},
        {"GLIBC_TUNABLES": "glibc.malloc.arena_max=3:glibc.malloc.check=0", "PYTHONMALLOC": "default", "OTHER": "1"},
        {"LD_BIND_NOW": ""},
    ],
    ids=str,
)
def test_settings_are_ours_alone(desk: Desk, users: dict[str, str]) -> None:
    """We run with the settings, and with the user's own beside them; what we run has the user's environment."""
    ours, its, _ = told(desk, **users)
    assert {"PYTHONMALLOC=malloc", "LD_BIND_NOW=1"} <= set(ours)
    tunables = ":".join(":".join(ours).split(":GLIBC_TUNABLES=")[1:])  # glibc splits them up in place
    assert tunables.startswith(users.get("GLIBC_TUNABLES", ""))
    assert "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0" in tunables
    for name in ("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"):  # the shell's, and what Python coerces
        its.pop(name, None)
    assert its == {"PATH": os.environ["PATH"], **users}


def test_arguments_are_kept(desk: Desk) -> None:
    """The interpreter's own flags are kept, and children dump no core."""
    arguments = told(desk, "-X", "utf8", "-W", "ignore")[2]
    assert " -X utf8 -W ignore -m strongroom seal a.zip --overwrite " in arguments
    assert arguments.endswith("0\n")


def starts(desk: Desk, *command: str, **more: str) -> int:
    """How often a command is started while it runs."""
    log = desk.folder / "log"
    environment = {"PATH": os.environ["PATH"], **more}
    traced = [tool("strace"), "-f", "-e", "trace=execve", "-o", str(log), *command]
    subprocess.run(traced, cwd=desk.folder, env=environment, check=True, capture_output=True, timeout=60)
    return len(re.findall(r"execve\(.* = 0$", log.read_text(), re.MULTILINE))


@pytest.mark.parametrize("flags", [[], ["-E"], ["-I"]], ids=str)
def test_once(desk: Desk, flags: list[str]) -> None:
    """It starts a second time and no third, also where Python is told to ignore the environment."""
    assert starts(desk, sys.executable, *flags, "-m", "strongroom", "--version") == 2


def test_installed_command_restarts(desk: Desk) -> None:
    """So does the installed command."""
    assert starts(desk, str(Path(sys.executable).parent / "strongroom"), "--version") == 2


def test_completion_does_not_restart(desk: Desk) -> None:
    """A shell that completes a word does not wait for a second start."""
    completion = {"_STRONGROOM_COMPLETE": "bash_complete", "COMP_WORDS": "strongroom ver", "COMP_CWORD": "1"}
    assert starts(desk, *COMMAND, **completion) == 1


@pytest.mark.parametrize("executable", ["/nonexistent", "", None])
def test_goes_on_where_it_cannot_restart(executable: str | None) -> None:
    """Where the interpreter cannot be started again, the work goes on, with the environment as it was."""
    code = f"""
import os, sys
sys.executable = {executable!r}
before = dict(os.environ)
from strongroom.memory.restart import restart
restart()
print(os.environ == before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"True\n"


def test_loads_nothing_before() -> None:
    """What stands before the restart costs no more than Python's own start."""
    code = "import sys; before = set(sys.modules); import strongroom.__main__; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - {"__future__"} == {
        "strongroom",
        "strongroom.__main__",
        "strongroom.memory",
        "strongroom.memory.restart",
    }


def test_descriptors_are_kept(desk: Desk) -> None:
    """Standard input and the descriptor of the password come through as they were."""
    ours, theirs = os.pipe()
    os.write(theirs, PASSWORD)
    os.close(theirs)
    done = subprocess.run(
        [*COMMAND, "seal", "a.zip", "--name", "x", "-", "--password-fd", str(ours)],
        cwd=desk.folder,
        input=b"data",
        pass_fds=[ours],
        check=True,
        capture_output=True,
    )
    os.close(ours)
    assert done.stdout == b""
    assert desk.open("cat", "a.zip", "x").out == b"data"
