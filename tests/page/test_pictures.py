"""Pictures of the page for docs/send.md, and that it fits the screens that people have."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

import strongroom
from tests.page import making
from tests.page.driving import drive, each_browser

PASSWORD: Final = "amber-otter-walks-nine-hills"
DOCS: Final = Path(__file__).parents[2] / "docs" / "pictures"
SHOWN: Final = {"page-unlock.png": "unlock-768-light.png", "page-contents.png": "contents-768-light.png",
                "page-table.png": "table-768-light.png", "page-phone.png": "contents-360-dark.png"}  # fmt: skip
VIEWS: Final = {"table": "patients.csv", "text": "report.txt", "picture": "scans/slice.png"}
WIDTHS: Final = (360, 768, 1280)


def make(page: Path) -> None:
    """Seal what the pictures show."""
    report = b"Ward 7, March\n\nAll samples arrived at the laboratory. Two were taken again.\n"
    data = {
        "report.txt": report,
        "patients.csv": making.table(2000),
        "scans/slice.png": making.picture(640, 400),
        "letter.pdf": making.letter("Discharge letter"),
    }
    with strongroom.create(page, password=PASSWORD) as room:
        for name, content in data.items():
            room.write(name, content, modified=datetime(2026, 3, 2, 9, 30, tzinfo=UTC))


def width_of(picture: Path) -> int:
    """The width of a PNG."""
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    return int.from_bytes(data[16:20], "big")


@each_browser
def test_every_screen_fits(browser: str, tmp_path: Path) -> None:
    """At three widths, in both colour schemes, nothing is wider than the window; some are for the docs."""
    page, out = tmp_path / "case-42.html", tmp_path / "out"
    out.mkdir()
    make(page)
    schemes = ["light", "dark"] if browser == "chromium" else [None]  # Firefox's driver cannot set it
    scenario = {
        "name": "pictures", "kind": "pictures", "file": str(page), "password": PASSWORD, "views": VIEWS,
        "widths": WIDTHS, "schemes": schemes, "out": str(out),
    }  # fmt: skip
    made = drive(browser, tmp_path, [scenario])["pictures"]["made"]
    assert len(made) == len(WIDTHS) * len(schemes) * (4 + len(VIEWS))
    for picture in made:
        assert picture["wide"] <= picture["width"], picture["path"]
        assert width_of(Path(picture["path"])) == picture["width"]
        assert Path(picture["path"]).stat().st_size > 3000, "something is painted"
    if (target := os.environ.get("STRONGROOM_PICTURES")) and browser == "chromium":
        Path(target).mkdir(exist_ok=True)
        for name, source in SHOWN.items():
            shutil.copy(out / source, Path(target) / name)


@pytest.mark.parametrize("name", SHOWN)
def test_the_docs_have_their_pictures(name: str) -> None:
    """The how-to shows each, and they are small."""
    assert f"pictures/{name}" in (DOCS.parent / "send.md").read_text()
    assert width_of(DOCS / name) == int(SHOWN[name].split("-")[1])
    assert (DOCS / name).stat().st_size < 100_000
