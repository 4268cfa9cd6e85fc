from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz import KEPT, TARGETS, kept
from fuzz.running import ROOT, run
from tests.helpers import missing
from tests.proof import Tried

each_target = pytest.mark.parametrize("name", TARGETS)


@each_target
def test_nothing_is_found(name: str, tmp_path: Path, times: Callable[[int, int], int], tried: Tried) -> None:
    """Fuzzed for a while, a reader gives a result or a `StrongroomError`, within 25 s and 1 GiB.

    STRONGROOM_FUZZ_SECONDS says for how long; `make fuzz` does it for ten minutes each.
    """
    if find_spec("atheris") is None:
        missing("atheris is not installed")
    seconds = int(os.environ.get("STRONGROOM_FUZZ_SECONDS") or times(5, 60))
    outcome = run(name, seconds, tmp_path)
    assert not outcome.found, outcome.log
    assert outcome.tried
    tried("P8", f"mutated input: {name}", "a result or a StrongroomError", count=outcome.tried)


@each_target
def test_what_was_found_once(name: str, tmp_path: Path, tried: Tried) -> None:
    """The seeds themselves, and each input that was a finding, are as they have to be; atheris is not needed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "fuzz.replay", name]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    tried("P8", f"seeds: {name}", "a result or a StrongroomError", count=int(done.stdout.split()[-1]))


def test_what_is_kept_is_described() -> None:
    """Each finding stands below its target, and README.md says in a line what it is."""
    lines = (KEPT / "README.md").read_text().splitlines()
    found = {f"{name}/{path.name}" for name in TARGETS for path in kept(name)}
    assert found == {path.relative_to(KEPT).as_posix() for path in KEPT.glob("*/*")}
    assert all(any(line.startswith(f"- `{name}`: ") for line in lines) for name in found)
