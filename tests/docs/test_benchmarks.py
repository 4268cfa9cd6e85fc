"""What `make bench` leaves for the documents: figures, plots of them, and a page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.plot import WIDTH, Bar, svg
from bench.report import CHAPTERS, FIGURES, PAGE, made
from bench.table import WORKS
from tests.docs.pages import ROOT
from tests.helpers import listing

SVG = "{http://www.w3.org/2000/svg}"


def test_a_run_writes_its_page(tmp_path: Path) -> None:
    """A small one, of two tools: the plot has their figures, and the page the plot."""
    page = tmp_path / "page"
    small = ["--size", "1", "--entries", "1", "--repeat", "1", "--only", "store-write", "--tool", "strongroom"]
    command = [sys.executable, "-m", "bench", *small, "--tool", "pyzipper", "--folder", tmp_path, "--page", page]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    assert [name for name in listing(page) if not name.startswith("7z-")] == [FIGURES, PAGE, "store-write.svg"]
    found = json.loads((page / FIGURES).read_text("utf-8"))
    (own,) = (row for row in found["rows"] if row["work"] == "store-write" and row["tool"] == "strongroom")
    peers = [row for row in found["rows"] if row["work"] == "store-write" and row["tool"] != "strongroom"]
    assert {row["tool"] for row in peers} == {"pyzipper", "pyzipper, in pieces"}
    assert all(row["ratio"] == pytest.approx(own["figure"] / row["figure"]) for row in peers)
    text = (page / PAGE).read_text("utf-8")
    assert "](store-write.svg)" in text
    assert all(f"| {row['tool']} |" in text for row in found["rows"])
    words = {element.text for element in ET.parse(page / "store-write.svg").iter(f"{SVG}text")}  # noqa: S314 - ours
    assert {"strongroom", "pyzipper", "pyzipper, in pieces"} <= words


def test_a_bar_is_as_long_as_its_figure_is_large() -> None:
    """The largest has the whole width; and a name is text, never markup."""
    plot = ET.fromstring(svg("<a> & b", "", [Bar("x", 50.0, "", own=True), Bar("y", 200.0, "", own=False)]))  # noqa: S314 - ours
    assert plot.findtext(f"{SVG}title") == "<a> & b"
    first, second = (float(bar.get("width", "")) for bar in plot.iter(f"{SVG}rect") if bar.get("x"))
    assert first == pytest.approx(second / 4)
    assert second < WIDTH


def test_every_work_has_one_chapter() -> None:
    """What is measured is shown, once."""
    assert [[bool(re.match(names, work)) for names in CHAPTERS.values()].count(True) for work in WORKS] == [1] * len(
        WORKS
    )


def test_the_published_page_is_of_its_figures() -> None:
    """Page and plots in the documents are what their figures give; none is of another run."""
    folder = ROOT / "docs" / "benchmarks"
    if not folder.exists():
        pytest.skip("nothing is published yet: make bench")
    files = made(json.loads((folder / FIGURES).read_text("utf-8")))
    assert listing(folder) == sorted([*files, FIGURES])
    assert {name for name, text in files.items() if (folder / name).read_text("utf-8") != text} == set()
