from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder to work in."""
    return Desk(tmp_path)
