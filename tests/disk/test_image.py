from __future__ import annotations

from pathlib import Path

import pytest

from tests.disk.image import Secrets, disk, found
from tests.proof import Tried

PROGRAM = """
import sys, tempfile
data = sys.stdin.buffer.read()
with tempfile.NamedTemporaryFile() as file:
    file.write(data)
    file.flush()
"""


@pytest.mark.parametrize("options", [(), ("data=journal",)], ids=str)
def test_a_file_that_was_deleted_at_once_is_found(options: tuple[str, ...], tmp_path: Path, tried: Tried) -> None:
    """The method itself: a temporary file, and the name of a file that is gone, which the journal has as well."""
    given = Secrets()
    with disk(tmp_path, *options) as mounted:
        process = mounted.start("-c", PROGRAM)
        process.communicate(given.plaintext(100_000))
        assert process.returncode == 0
        named = mounted.out / given.name
        named.touch()
        named.unlink()
        assert not any(path.is_file() for path in mounted.place.rglob("*"))
    counts = found(tmp_path, {"content": given.content, "name": given.name.encode(), "password": given.password})
    assert counts["content"] >= (1250 if not options else 2500)
    assert counts["name"]  # in the journal: where the name stood ext4 wipes it
    assert "password" not in counts
    tried("P1", "a scan of the raw disk for a temporary file of ours", "found, in deleted blocks and the journal")


def test_nothing_is_found_by_chance(tmp_path: Path) -> None:
    """A disk that nobody wrote to has nothing."""
    with disk(tmp_path):
        pass
    assert not found(tmp_path, {"content": Secrets().content})
