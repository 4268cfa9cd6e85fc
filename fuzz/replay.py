"""`python -m fuzz.replay TARGET [FILE…]`: tries these files, or a target's seeds and what was kept, without atheris."""

from __future__ import annotations

import sys
from pathlib import Path

from fuzz import kept, target


def main(name: str, *files: str) -> None:
    """Try them in the current folder, and say how many there were."""
    chosen = target(name)
    inputs = [Path(file).read_bytes() for file in files]
    if not files:
        inputs = [*chosen.seeds(), *(path.read_bytes() for path in kept(name))]
    for data in inputs:
        chosen.one(data)
    print(f"\n{len(inputs)}")  # behind what a target wrote


if __name__ == "__main__":
    main(*sys.argv[1:])
