from __future__ import annotations

from pathlib import Path

from bench.leftovers import leftovers


def test_scanner_finds_what_others_leave(tmp_path: Path) -> None:
    """After pyzipper its password, its keys and the plaintext are in memory, and the scanner finds them."""
    found = leftovers("pyzipper", tmp_path)
    assert found["password"] > 0
    assert found["key"] > 0
    assert found["plaintext"] > 0


def test_scanner_finds_what_py7zr_leaves(tmp_path: Path) -> None:
    """So does py7zr, whose key is one for all archives of a password."""
    found = leftovers("py7zr", tmp_path)
    assert found["password"] > 0
    assert found["key"] > 0
    assert found["plaintext"] > 0


def test_same_work_with_strongroom(tmp_path: Path) -> None:
    """Of the same work strongroom leaves no password and no key, and hardened nothing at all."""
    found = leftovers("strongroom", tmp_path)
    assert not found["password"]
    assert not found["key"]
    (tmp_path / "strongroom.zip").unlink()
    assert not leftovers("strongroom, hardened", tmp_path)
