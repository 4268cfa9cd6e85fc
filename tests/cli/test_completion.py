"""The Tab key, in the shells themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import Desk, Terminal
from tests.helpers import tool

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(strongroom completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit; compinit -u -D; eval "$(strongroom completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "strongroom completion fish | source"),
}
OBEYED = "x$(touch pwned)`touch pwned`;touch pwned"


def variables(desk: Desk) -> dict[str, str]:
    """Find the installed command, and leave the home alone."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(desk.folder), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def files(desk: Desk) -> Desk:
    """Archives, and what is none, beside entries with names that a shell would obey."""
    desk.put("scans/first", b"1")
    desk.put("scans/second one", b"2")
    desk.put(OBEYED, b"the data")
    desk.seal("case 42.zip", "scans", OBEYED)
    desk.seal("other.7z", "scans")
    desk.put("case-notes.txt", b"no archive")
    desk.put("UPPER.ZIP", b"")
    (desk.folder / "folder").mkdir()
    return desk


@pytest.mark.parametrize("shell", SHELLS)
def test_the_tab_key(files: Desk, shell: str) -> None:
    """It completes verbs, options, archives by their suffix, and entries, which no shell obeys."""
    command, setup = SHELLS[shell]
    terminal = Terminal(
        [tool(command[0]), *command[1:]], files.folder, variables(files) | {"PS1": "$ ", "TERM": "dumb"}, None, None
    )
    terminal.type(f"{setup}; echo is rea''dy\n")
    terminal.wait_for("is ready")
    for keys, shown in (
        ("strongroom ver\t", "ify "),
        ("case\t", "\\ 42.zip "),  # and not the notes
        ("--password-fi\t", "le "),
        ("p\t", "w "),
        ("\n", "case 42.zip: ok"),
        ("strongroom cat --password-file pw case\t", "\\ 42.zip "),
        ("sc\t", "ans/"),
        ("f\t", "irst "),
        ("x\t", "pwned"),
        ("\n", "1the data"),
    ):
        terminal.type(keys)
        terminal.wait_for(shown)
    terminal.type("exit\n")
    assert terminal.end()[0] == 0
    assert not (files.folder / "pwned").exists()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("strongroom ls ", ["UPPER.ZIP", "case 42.zip", "folder/", "other.7z", "scans/"]),
        ("strongroom ls ./o", ["./other.7z"]),
        ("strongroom ls ~/o", ["~/other.7z"]),
        ("strongroom ls missing/", []),
        ("strongroom cat 'case 42.zip' ", ["scans/", OBEYED]),
        ("strongroom cat ~/'case 42.zip' scans/s", ["scans/second one"]),
        ("strongroom extract 'case 42.zip' folder sc", ["scans/"]),
        ("strongroom extract 'case 42.zip' fo", ["folder/"]),
        ("strongroom cat other.7z ", []),  # whose names are encrypted
        ("strongroom cat case-notes.txt ", []),
        ("strongroom cat missing.zip ", []),
        ("strongroom cat - ", []),
        ("strongroom ls --format z", ["zip", "zip.age"]),
        ("strongroom completion ", ["bash", "zsh", "fish"]),
        ("strongroom sea", ["seal"]),
    ],
)
def test_what_is_offered(files: Desk, line: str, offered: list[str]) -> None:
    """Fish says what it would offer."""
    script = 'strongroom completion fish | source; complete -C "$argv[1]"'
    command = [tool("fish"), "--no-config", "-c", script, line]
    done = subprocess.run(
        command, cwd=files.folder, env=variables(files), capture_output=True, text=True, timeout=60, check=True
    )
    assert sorted(one.partition("\t")[0] for one in done.stdout.splitlines()) == sorted(offered)
    assert done.stderr == ""


def test_names_that_are_not_offered(desk: Desk) -> None:
    """What a terminal would show as something else, or a verb would take for an option, is left out."""
    names = ["--force", "-x", "\u202eright", "good"]
    for name in names:
        desk.put(name, b"1")
    desk.seal("a.zip", "--", *names)
    done = desk.run(_STRONGROOM_COMPLETE="bash_complete", COMP_WORDS="strongroom cat a.zip ", COMP_CWORD="3")
    assert done.out == b"entry,good\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_both_ways_to_the_script(desk: Desk, shell: str) -> None:
    """The verb gives the script that click's variable does, and the shell's own parser takes it."""
    script = desk.run("completion", shell)
    assert script.code == 0
    assert script.out == desk.run(_STRONGROOM_COMPLETE=f"{shell}_source").out
    subprocess.run([tool(shell), "-n", desk.put("script", script.out)], check=True, capture_output=True)


def test_other_shells(desk: Desk) -> None:
    """They are refused, with those that there are."""
    assert desk.run("completion", "tcsh").failure[::2] == (2, True)
