"""The Python blocks of pages of `docs/` run as they stand there, one after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import listing

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = {"data-tools.md": 8, "migrate-pyzipper.md": 2}
"""How many blocks each has, lest a fence that is mistyped hides one."""


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(tmp_path: Path, page: str) -> None:
    """They do what they say, with a `password` that is there, and leave archives alone in the folder."""
    blocks = BLOCK.findall((DOCS / page).read_text())
    assert len(blocks) == PAGES[page]
    code = "\n".join(["password = b'nine tame owls read maps'", *blocks])
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], cwd=tmp_path, check=True)
    assert {Path(name).suffix for name in listing(tmp_path)} <= {".zip", ".7z", ""}
