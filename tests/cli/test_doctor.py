"""`strongroom doctor`."""

from __future__ import annotations

import json

from tests.cli.running import Desk

ROWS = [
    "secret memory",
    "lock limit",
    "swap",
    "hibernation",
    "core pattern",
    "ptrace scope",
    "core dumps",
    "debuggers",
    "freed memory",
    "Python's small objects",
    "passwords and keys",
]


def test_table(desk: Desk) -> None:
    """Each protection has a line, and what is missing a second one."""
    done = desk.run("doctor")
    lines = done.out.decode().splitlines()
    assert (done.code, done.err) == (0, "")
    assert [line[4:26].strip() for line in lines if not line.startswith("  ")] == ROWS
    assert sum(line.startswith("NO") for line in lines) == sum(line.startswith("  ") for line in lines)


def test_json(desk: Desk) -> None:
    """Programs get the same, and the verdict as a whole; the command line itself is hardened in full."""
    done = desk.run("doctor", "--json")
    report = json.loads(done.out)
    assert [check["name"] for check in report["checks"]] == ROWS
    assert all(check["found"] and check["ok"] != bool(check["advice"]) for check in report["checks"])
    assert report["ok"] == all(check["ok"] for check in report["checks"])
    assert all(check["ok"] for check in report["checks"][-5:])


def test_protection_that_is_missing(desk: Desk) -> None:
    """Where Python may not read the environment, the restart could not help, and the report says so."""
    import subprocess
    import sys

    command = [sys.executable, "-I", "-m", "strongroom", "doctor", "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    found = {check["name"]: check for check in report["checks"]}
    assert not found["Python's small objects"]["ok"]
    assert "PYTHONMALLOC=malloc" in found["Python's small objects"]["advice"]
    assert found["freed memory"]["ok"]
