"""The manual pages, and the wheel that has them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from strongroom.cli import VERBS
from strongroom.cli.manual import pages
from tests.helpers import tool

ROOT = Path(__file__).parents[2]
PAGES = pages("1.2.3")


def shown(page: str) -> str:
    """A page as a reader sees it; fails where groff has anything to say."""
    command = [tool("groff"), "-ww", "-man", "-Tutf8", "-P-cbou"]
    done = subprocess.run(command, input=page.encode(), capture_output=True, check=True)
    assert done.stderr == b""
    return " ".join(done.stdout.decode().replace("\u2010\n", "").split())


def test_there_is_one_a_verb() -> None:
    """And one that names them all."""
    assert PAGES.keys() == {"strongroom.1", *(f"strongroom-{verb}.1" for verb in VERBS)}
    top = shown(PAGES["strongroom.1"])
    assert all(f"strongroom-{verb}(1)" in top for verb in VERBS)
    assert "strongroom 1.2.3" in top


@pytest.mark.parametrize("name", PAGES)
def test_pages_say_what_the_help_says(name: str) -> None:
    """Every option is there, in the words of the help; neither groff nor mandoc has a complaint but for the date."""
    page = shown(PAGES[name])
    verb = name.removeprefix("strongroom").removeprefix("-").removesuffix(".1")
    helped = subprocess.run(
        [sys.executable, "-m", "strongroom", *filter(None, [verb]), "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = [word.strip(",") for word in helped.split("Options:")[1].split() if word.startswith("--")]
    assert "--help" in options
    assert not [option for option in options if option not in page]
    assert "Show this message and exit." in page
    lint = subprocess.run(
        [tool("mandoc"), "-T", "lint", "-W", "warning"], input=PAGES[name].encode(), capture_output=True, check=False
    ).stdout.decode()
    assert [line for line in lint.splitlines() if "missing date" not in line] == []


def test_text_is_never_a_request() -> None:
    """No line of a page begins with a dot or a quote but for the requests that we write."""
    requests = {".TH", ".SH", ".PP", ".TP", ".BR", ".EX", ".EE"}
    for page in PAGES.values():
        for line in page.splitlines():
            assert line[:1] != "'"
            assert line[:1] != "." or line.split()[0] in requests


def test_the_wheel_has_them(tmp_path: Path) -> None:
    """A build puts them where `man` looks, beside the package."""
    script = f"import hatchling.build; print(hatchling.build.build_wheel({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = [name.partition(".data/data/share/man/man1/")[2] for name in file.namelist()]
        seal = next(name for name in file.namelist() if name.endswith("/strongroom-seal.1"))
        text = file.read(seal).decode()
    assert {*filter(None, names)} == PAGES.keys()
    assert shown(text).startswith("STRONGROOM-SEAL(1)")
