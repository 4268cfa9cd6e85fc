"""The committed page is what its sources and lock file make: anybody can build it, and compare."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

from strongroom.formats.html import spec
from tests.node import installed, node

SOURCES: Final = Path(__file__).parents[2] / "page"


def test_the_page_is_built_from_its_sources(tmp_path: Path) -> None:
    """In a fresh folder, from the lock file: the same bytes; and the type checker has nothing to say."""
    folder = tmp_path / "page"
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("node_modules"))
    packages = installed(SOURCES) / "node_modules"
    (folder / "node_modules").symlink_to(packages)
    target = tmp_path / "page.html"
    done = subprocess.run([node(), "build.mjs", target], cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert target.read_bytes() == spec.empty_page(), "`make page` builds it anew"
    checked = subprocess.run(
        [node(), packages / "typescript" / "bin" / "tsc"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert not checked.returncode, checked.stdout


def test_versions_are_exact() -> None:
    """Each package by one version, locked with its hash, from no particular host."""
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    given = json.loads((SOURCES / "package.json").read_text())
    for version in (given["dependencies"] | given["devDependencies"]).values():
        assert version[0].isdigit()
    for name, package in lock["packages"].items():
        if name:
            assert package["integrity"].startswith("sha512-"), name
            assert "resolved" not in package, name
