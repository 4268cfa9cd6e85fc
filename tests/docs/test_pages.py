"""What the documents tell people to do, works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import pages


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: str(page.relative_to(pages.ROOT)))
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """From top to bottom, in an empty folder, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(pages.ROOT)}
    command = [sys.executable, "-m", "tests.docs.pages", str(page.relative_to(pages.ROOT))]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["SECURITY.md"])
def test_every_test_that_a_promise_names_is_there(page: str) -> None:
    """A promise without its test is none."""
    named = set(re.findall(r"`(tests/[\w./]+)`", (pages.ROOT / page).read_text("utf-8")))
    assert named
    assert [name for name in sorted(named) if not (pages.ROOT / name).exists()] == []
