"""Packages of npm for tests, as lock files have them, kept beside the virtual environment's own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.helpers import missing, tool

OLDEST_NODE: Final = 20
_FILES: Final = ("package.json", "package-lock.json", ".npmrc")


def node() -> str:
    """Return the path of a Node that is new enough."""
    path = tool("node")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        missing(f"node is {version}, and the tests take {OLDEST_NODE} or later")
    return path


def installed(here: Path) -> Path:
    """A folder with the packages that the lock file in `here` names, installed where they are not yet."""
    npm = tool("npm")
    name = f"{here.name}-{hashlib.sha256((here / 'package-lock.json').read_bytes()).hexdigest()[:16]}"
    folder = Path(sys.prefix) / "npm" / name
    if not folder.exists():
        half = folder.with_name(f"{name}.{os.getpid()}")  # another process may be at it as well
        half.mkdir(parents=True)
        for file in _FILES:
            shutil.copy(here / file, half)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=half, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            shutil.rmtree(half)
            missing(f"npm could not install what {here.name} needs: {done.stderr.strip()}")
        try:
            half.rename(folder)
        except OSError:  # the other process was first
            shutil.rmtree(half)
    return folder
