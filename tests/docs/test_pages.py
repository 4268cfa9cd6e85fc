"""What the documents tell people to do, works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import pages
from tests.examples.database import clinic, server
from tests.helpers import missing

__all__ = ["clinic", "server"]


_WITHOUT_CODE = re.compile(r"(?ms)^```.*?^```")
LINKED = sorted(
    str(path.relative_to(pages.ROOT)) for path in (*pages.ROOT.glob("*.md"), *(pages.ROOT / "docs").rglob("*.md"))
)
PATHS = [str(page.relative_to(pages.ROOT)) for page in pages.pages()]


@pytest.mark.parametrize("page", PATHS)
def test_every_block_of_a_page_runs(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """From top to bottom, in an empty folder, in a process of its own."""
    if any(block.language == "sh" and "pg_dump" in block.code for block in pages.blocks(pages.ROOT / page)):
        request.getfixturevalue("clinic")
    environment = os.environ | {"PYTHONPATH": str(pages.ROOT)}
    command = [sys.executable, "-W", "error::UserWarning", "-m", "tests.docs.pages", page]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if "cannot be had here" in done.stderr:  # the folder in memory of `edit` and `run`
        missing(done.stderr)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/threat-model.md"])
def test_every_test_that_a_promise_names_is_there(page: str) -> None:
    """A promise without its test is none."""
    named = set(re.findall(r"`(tests/[\w./]+)`", (pages.ROOT / page).read_text("utf-8")))
    assert named
    assert [name for name in sorted(named) if not (pages.ROOT / name).exists()] == []


def test_every_example_is_shown() -> None:
    """The page of examples has them all."""
    files = {path.name for path in (pages.ROOT / "examples").glob("[!_]*.py")}
    text = (pages.ROOT / "docs" / "examples.md").read_text("utf-8")
    assert set(re.findall(r"(?m)^## (\S+)$", text)) == files
    assert {Path(name).name for name in re.findall(r"(?m)^```\{literalinclude\} (\S+)$", text)} == files


def _anchors(text: str) -> set[str]:
    """What a browser of repositories, and the site, make of headings."""
    found = re.findall(r"(?m)^#+ (.+)$", _WITHOUT_CODE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", LINKED)
def test_no_link_in_the_repository_is_broken(page: str) -> None:
    """Links lead to files that are there, and to headings in them; so the site's do, and those of pages it has not."""
    here = pages.ROOT / page
    broken: list[str] = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _WITHOUT_CODE.sub("", here.read_text("utf-8"))):
        name, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = here.parent / name if name else here
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text("utf-8"))):
            broken.append(link)
    assert broken == []
