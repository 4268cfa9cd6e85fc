"""Fuzzing: whatever bytes a reader gets, it gives a result or a `StrongroomError`, in bounded time and memory (P8).

A target is a module in `fuzz.targets`: `seeds()` gives inputs to begin with, `one(data)` tries an input and raises for
what must not be. `python -m fuzz` runs them under atheris; what it finds is made small, and kept in `tests/seeds`. The
tests try those files each time, without atheris.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

TARGETS: Final = ("zip", "sevenzip", "age", "armor", "html", "fernet", "keys", "receipt", "arguments")
KEPT: Final = Path(__file__).parents[1] / "tests" / "seeds"


class Target(Protocol):
    """A reader under test."""

    def seeds(self) -> Iterable[bytes]:
        """Give inputs to begin with."""
        ...

    def one(self, data: bytes) -> None:
        """Try an input; raises for what must not be."""
        ...


def target(name: str) -> Target:
    """Return a target."""
    return cast("Target", import_module(f"fuzz.targets.{name}"))


def kept(name: str) -> list[Path]:
    """What was found with a target, and mended."""
    return sorted(path for path in (KEPT / name).glob("*") if path.is_file())
