"""`python -m fuzz [--seconds N] [--jobs N] [TARGET…]`: runs targets, and keeps what they find in `.fuzz-found`."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from fuzz import TARGETS
from fuzz.running import Outcome, run

FOUND: Final = Path(".fuzz-found")


def main() -> int:
    """Run them, and say how each ended."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="how long each runs")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="how many run at once")
    asked = parser.parse_args()
    bad = 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        outcomes = pool.map(lambda name: run(name, asked.seconds, FOUND), asked.targets or TARGETS)
        for outcome in outcomes:
            bad += bool(outcome.found)
            _say(outcome)
    return min(bad, 1)


def _say(outcome: Outcome) -> None:
    print(f"{outcome.target}: {outcome.tried:,} inputs, {len(outcome.found)} findings", flush=True)
    if outcome.found:
        print(outcome.log, file=sys.stderr)
        for path in outcome.found:
            print(f"  {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
