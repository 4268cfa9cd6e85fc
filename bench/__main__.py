"""Measure, and print one table: `python -m bench --help`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from compileall import compile_dir
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bench.measure import MIB, Case, Setting, clean
from bench.peers import UnavailableError
from bench.report import publish, report
from bench.sealed import count
from bench.table import WORKS, Row, lines
from bench.works import GROUPS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="strongroom's speed beside other tools', in one table. It takes about 15 minutes, with --quick one "
        "or two. Ctrl-C ends it with the table of what was measured until then.",
    )
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="size of the data (default: 512)")
    parser.add_argument("--entries", type=int, default=20_000, metavar="N", help="number of small entries")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each measure (default: 3)")
    parser.add_argument("--quick", action="store_true", help="--size 32 --entries 2000 --repeat 1")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"work that contains NAME: {', '.join(WORKS)}")
    parser.add_argument("--tool", action="append", metavar="NAME", help="tools that contain NAME: strongroom, 7zz, ...")
    parser.add_argument("--folder", type=Path, help="where to make the hidden folder for files (default: here)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    parser.add_argument("--page", type=Path, metavar="FOLDER", help="write a page of all figures, and plots, to FOLDER")
    options = parser.parse_args()
    if options.quick:
        options.size, options.entries, options.repeat = 32, 2000, 1
    if min(options.size, options.entries, options.repeat) < 1:
        parser.error("sizes and counts start at 1")
    return options


@contextmanager
def _folder(parent: Path | None) -> Iterator[Path]:
    folder = (parent or Path()) / f".bench-{os.getpid()}"
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _wanted(name: str, filters: list[str] | None) -> bool:
    return not filters or any(text in name for text in filters)


def _measure(cases: Iterable[Case], repeat: int, rows: dict[tuple[str, str], Row]) -> None:
    """Run the cases in turn, `repeat` times over, so that a slow minute of the machine meets them all."""
    remaining = list(cases)
    for turn in range(repeat):
        for case in list(remaining):
            mine = [rows.setdefault((work, case.tool), Row(work, case.tool)) for work in case.works]
            _note(f"{case.works[0]}: {case.tool}, {turn + 1} of {repeat}")
            try:
                for row, figure in zip(mine, case.run(), strict=True):
                    row.figures.append(figure)
            except Exception as error:  # noqa: BLE001 - one tool's trouble is a line in the table
                for row in mine:
                    row.failure = _reason(error)
                remaining.remove(case)


def _note(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _reason(error: Exception) -> str:
    if isinstance(error, UnavailableError):
        return str(error)
    if isinstance(error, subprocess.CalledProcessError):
        return f"failed: exit code {error.returncode}"
    return f"failed: {type(error).__name__}: {error}"


def _titles(options: argparse.Namespace) -> dict[str, str]:
    def amount(size: int) -> str:
        return f"{size // MIB} MiB" if size % (1024 * MIB) else f"{size // (1024 * MIB)} GiB"

    size: int = options.size * MIB
    sizes = {
        "large": amount(8 * size), "middle": amount(4 * size), "small": amount(size), "entries": options.entries,
        "records": count(size),
    }  # fmt: skip
    return {key: work.title.format(**sizes) for key, work in WORKS.items()}


def _measure_all(options: argparse.Namespace, rows: dict[tuple[str, str], Row]) -> None:
    with _folder(options.folder) as folder:
        setting = Setting(folder, options.size * MIB, options.entries)
        for works, group in GROUPS:
            if not any(_wanted(work, options.only) for work in works):
                continue
            _note(f"{works[0]}: making the data")
            cases = (
                case for case in group(setting)
                if _wanted(case.tool, options.tool) and any(_wanted(work, options.only) for work in case.works)
            )  # fmt: skip
            _measure(cases, options.repeat, rows)
            clean(setting)


def _compile() -> None:
    """Compile strongroom as an installer does: the environment may forbid that an import does it."""
    spec = find_spec("strongroom")
    for folder in (spec and spec.submodule_search_locations) or ():
        compile_dir(folder, quiet=2)


def main() -> None:
    """Run what was asked for."""
    options = _arguments()
    _compile()
    rows: dict[tuple[str, str], Row] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an exception, which takes the folder away
    interrupted = False
    try:
        _measure_all(options, rows)
    except KeyboardInterrupt:
        interrupted = True
    _note("")
    order = list(WORKS)
    found = [row for row in rows.values() if _wanted(row.work, options.only)]
    found.sort(key=lambda row: order.index(row.work))
    titles = _titles(options)
    run = f"{options.size} MiB, median of {options.repeat}"
    measured = report(found, titles, run)
    print(run, measured["machine"]["processor"], measured["machine"]["system"], sep=", ")
    print("ratio: strongroom's figure divided by the tool's; all tools read one archive, which strongroom made,")
    print("or the next tool where strongroom could not\n")
    print("\n".join(lines(found, titles)))
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    if interrupted:
        print("\ninterrupted: this is what was measured until then")
        sys.exit(130)
    if options.page:
        publish(measured, options.page)


if __name__ == "__main__":
    main()
