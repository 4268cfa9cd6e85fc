"""Has a browser do things: tests/page/drive.mjs does them, and says what it saw."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.helpers import tool
from tests.node import installed, node

HERE: Final = Path(__file__).parent
SCRIPTS: Final = ("browser.mjs", "drive.mjs")
BROWSERS: Final = {"chromium": "chromium", "firefox": "firefox-esr"}

each_browser: Final = pytest.mark.parametrize("browser", BROWSERS)


def drive(browser: str, folder: Path, scenarios: list[dict[str, Any]], timeout: int = 300) -> dict[str, Any]:
    """Run scenarios in a browser, and return what each of them saw; downloads go through `folder`."""
    path, package, program = tool(BROWSERS[browser]), installed(HERE), node()
    for name in SCRIPTS:
        shutil.copy(HERE / name, package)
    downloads = folder / "downloads"
    downloads.mkdir(exist_ok=True)
    asked = [{**scenario, "folder": str(downloads)} for scenario in scenarios]
    given = {"browser": browser, "path": path, "folder": str(downloads), "scenarios": asked}
    done = subprocess.run(
        [program, package / "drive.mjs"], input=json.dumps(given), capture_output=True, text=True, check=False,
        timeout=timeout,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts
