"""What the page for senders says of programs is what the table of openers has."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from strongroom.formats import FORMATS
from strongroom.openers import OPENERS, Platform
from tests.docs.pages import ROOT

TEXT = (ROOT / "docs" / "send.md").read_text("utf-8")


def rows() -> dict[str, dict[str, str]]:
    """The table: by platform and heading."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"(?m)^\|.*\|$", TEXT)]
    headings = lines[0]
    return {line[0]: dict(zip(headings, line, strict=True)) for line in lines[2 : 2 + len(get_args(Platform))]}


@pytest.mark.parametrize("form", OPENERS)
@pytest.mark.parametrize("platform", get_args(Platform))
def test_the_page_agrees_with_the_table(platform: Platform, form: str) -> None:
    """Program, where it comes from, and what does not open it; an empty field where the table has nothing."""
    suffix = FORMATS[form].suffixes[0]
    row = rows()[platform]
    opener = OPENERS[form].get(platform)
    cells = [cell for heading, cell in row.items() if f"`{suffix}`" in heading]
    if opener is None:
        assert cells == [""]
        return
    if not cells:  # it has no column, since it is the same everywhere
        assert set(OPENERS[form]) == set(get_args(Platform))
        assert all(word in TEXT for word in (opener.program, opener.source, opener.unfit))
        return
    assert opener.source.split(",")[0] in cells[0]
    assert opener.program in cells[0] or opener.command
    assert opener.unfit in row["do not use"]
    file = "case.zip.age" if form.endswith("age") else f"case{suffix}"
    for command in filter(None, (opener.command, opener.key_command)):
        assert command.format(file=file, name="case.zip", key="key.txt") in TEXT
