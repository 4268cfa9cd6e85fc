"""The site is whole: built strictly, complete, and nothing in it asks the network for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

from strongroom.cli import VERBS
from tests.docs.pages import ROOT

PUBLIC = ("strongroom", "strongroom.aio", "strongroom.compat.pyzipper", "strongroom.errors", "strongroom.fs",
          "strongroom.receipt")  # fmt: skip
FETCHED = {"audio": "src", "embed": "src", "iframe": "src", "image": "href", "img": "src", "link": "href",
           "object": "data", "script": "src", "source": "src", "use": "href", "video": "src"}  # fmt: skip
"""What a browser loads without being asked, by the attribute that says from where."""


class Page(NamedTuple):
    """What a page of the site fetches, where it leads, and what can be led to."""

    fetched: set[str]
    links: set[str]
    anchors: set[str]


class Reader(HTMLParser):
    """Collects these."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page(set(), set(), set())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        given = {name: value or "" for name, value in attrs}
        if tag in FETCHED and given.get(FETCHED[tag]):
            self.page.fetched.add(given[FETCHED[tag]])
        if tag == "a" and "href" in given:
            self.page.links.add(given["href"])
        if "id" in given:
            self.page.anchors.add(given["id"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as `make docs` does."""
    (line,) = (line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if "sphinx-build" in line)
    folder = tmp_path_factory.mktemp("site")
    options = line.split("sphinx-build", 1)[1].split()
    command = [sys.executable, "-m", "sphinx", *options[:-1], "-d", str(folder / "doctrees"), str(folder / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Read all of its pages."""
    return dict(_read(site))


def _read(site: Path) -> Iterator[tuple[Path, Page]]:
    for path in site.rglob("*.html"):
        reader = Reader()
        reader.feed(path.read_text("utf-8"))
        yield path, reader.page


def test_every_page_is_there(site: Path, pages: dict[Path, Page]) -> None:
    """Each file of docs/ is a page, and the front page, whose side bar has all, leads to it."""
    files = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    expected = {site / (path.parent if path.name == "index" else path) / "index.html" for path in files}
    assert expected <= set(pages)
    front = site / "index.html"
    led = {(site / unquote(urlsplit(link).path) / "index.html").resolve() for link in pages[front].links}
    assert expected - led - {front} == set()


def test_no_link_is_broken(site: Path, pages: dict[Path, Page]) -> None:
    """Every link inside the site leads to a page, and every anchor to a place in it."""
    broken: set[tuple[str, str]] = set()
    for path, page in pages.items():
        for link in page.links | page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            lost = target in pages and parts.fragment and unquote(parts.fragment) not in pages[target].anchors
            if lost or not target.exists():
                broken.add((str(path.relative_to(site)), link))
    assert broken - {(page, link) for page, link in broken if link == "#"} == set()


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    """P10 holds for the documents, too: no fonts, scripts, styles or pictures of other hosts."""
    fetched = {url for page in pages.values() for url in page.fetched}
    assert any(url.endswith(".css") or ".css?" in url for url in fetched)
    assert {url for url in fetched if urlsplit(url).netloc} == set()
    styles = {path.name: path.read_text("utf-8") for path in site.rglob("*.css")}
    assert {
        name for name, text in styles.items() if re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", text)
    } == set()


def test_every_public_name_has_its_place(pages: dict[Path, Page]) -> None:
    """The reference has all that can be imported, and all verbs."""
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    documented = {anchor.rsplit(".", 1)[-1] for anchor in anchors if anchor.startswith("strongroom.")}
    named: set[str] = set()
    for name in PUBLIC:
        named |= set(getattr(import_module(name), "__all__", ()))
    assert named - documented == set()
    assert {f"strongroom-{verb}" for verb in VERBS} <= anchors
