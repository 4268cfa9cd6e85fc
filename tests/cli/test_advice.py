"""What the user is told to type."""

from __future__ import annotations

import os
import subprocess

import pytest

from strongroom.cli.advice import quoted
from tests.helpers import tool

NAMES = [
    "-n", "a b", "a'b", "$(touch x)", "`x`", "a\\", "a\n", "a'\x07\\", "\x1b[31m\xe9", "x\u202ey", "a\xa0b", "a\xad1",
    "\x85", "\x01f", "\udcff1", "\U000e00011", "!x", "~", "*?[a]", "#",
]  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_quoted(shell: str) -> None:
    """A shell makes of it the very name, as a path that is no option, and a terminal shows it as it is."""
    words = " ".join(map(quoted, NAMES))
    assert words.isprintable()
    command = [tool(shell), "-c", f"printf '%s\\0' {words}"]
    done = subprocess.run(command, env=os.environ | {"LC_ALL": "C.UTF-8"}, check=True, capture_output=True)
    expected = [os.fsencode(f"./{name}" if name.startswith("-") else name) for name in NAMES]
    assert done.stdout.split(b"\0")[:-1] == expected
