from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import running
from tests.cli.running import Desk
from tests.helpers import listing, tool

LESS = """
import sys
from strongroom.audit import child, proof
from strongroom.cli import main
child.STEPS = {"seal": child.STEPS["seal"]}
proof.SIZES = {"30 bytes": 30}
sys.exit(main())
"""


def test_audit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit of this machine finds nothing but on the stack, says so to programs, and leaves nothing."""
    monkeypatch.setattr(running, "PATIENCE", 300)
    done = desk.run("audit", "--json")
    assert done.code == 0, done.out
    report = json.loads(done.out)
    assert report["ok"] is True
    places = {measure["place"] for measure in report["measures"]}
    assert {"memory: heap", "memory: maps", "memory: stack", "arguments and environments"} <= places
    assert all(measure["found"] == 0 for measure in report["measures"] if measure["judged"])
    assert desk.names() == []


@pytest.fixture
def commons() -> Iterator[Path]:
    """A folder that any user may write to and reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_user_who_is_not_root(commons: Path) -> None:
    """An ordinary user gets the same proof; the report says that the process stayed readable for it."""
    become: list[str] = []
    if os.geteuid() == 0:  # with the right to read the interpreter, which may be in a folder of root's
        become = [tool("setpriv"), "--reuid=nobody", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search"]
        become += ["--ambient-caps=+dac_read_search", "--"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(commons)}

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [*become, sys.executable, "-c", LESS, *arguments]
        return subprocess.run(command, cwd=commons, env=environment, capture_output=True, check=False)

    done = run("audit", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["setting"]["readable"].startswith("by its own user")
    assert all(measure["found"] == 0 for measure in report["measures"] if measure["judged"])
    assert listing(commons) == []
    assert run("audit", "/").returncode == 1


def test_folder_is_missing(desk: Desk) -> None:
    """A folder that is not there is a mistake of the user."""
    assert desk.run("audit", "nowhere").failure[0] == 2
