"""What a run leaves: its figures as JSON, and made of that alone a page with plots.

`python -m bench --page FOLDER` writes them; `python -m bench.report FOLDER` makes page and plots again.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from bench.plot import Bar, svg
from bench.table import OWN, WORKS, Row, judge, short

FIGURES: Final = "figures.json"
PAGE: Final = "figures.md"
CHAPTERS: Final = {
    "ZIP": r"(store|deflate|zstd)-|entries",
    "7z": r"7z-(?!memory)",
    "age": r"age-(?!memory)|zip-age-",
    "File systems": r"ram-|sealed-",
    "Start, and memory": r"process|memory-|7z-memory|age-memory-|left-",
}
"""The page's chapters, and the names of the works in them."""
_PACKAGES: Final = (
    "strongroom", "pyzipper", "py7zr", "stream-zip", "stream-unzip", "libarchive-c", "pyrage", "pyarrow",
    "cryptography", "isal",
)  # fmt: skip
_PROGRAMS: Final = {"7zz": (), "age": ("--version",)}

Report = Mapping[str, Any]
"""As JSON has it: `machine`, words by subject, and `rows`, each a mapping."""


def report(rows: Sequence[Row], titles: Mapping[str, str], run: str) -> Report:
    """Return all that is known of a run; `run` says how much was measured, and how often."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        verdict = judge(row, rows)
        line = {
            "work": row.work, "title": titles[row.work], "tool": row.tool, "unit": WORKS[row.work].unit,
            "figure": row.figure, "figures": row.figures, "failure": row.failure or None, "ratio": verdict.ratio,
            "target": f"{verdict.target.sign} {verdict.target.value:.3g}" if verdict.target else None,
            "met": verdict.met,
        }  # fmt: skip
        lines.append(line)
    return {"machine": _machine(run), "rows": lines}


def publish(found: Report, folder: Path) -> None:
    """Write figures, plots and page into `folder`, and take away the plots of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    (folder / FIGURES).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for name, text in made(found).items():
        (folder / name).write_text(text, "utf-8")


def made(found: Report) -> dict[str, str]:
    """Return the page and its plots, by the name of the file."""
    works = list(dict.fromkeys(row["work"] for row in found["rows"]))
    plots = {
        f"{work}.svg": plot for work in works if (plot := _plot([row for row in found["rows"] if row["work"] == work]))
    }
    return plots | {PAGE: "\n".join(_page(found, works, plots)) + "\n"}


def _plot(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Draw a work; None where there is nothing to compare. What limits the machine dwarfs tools, and is left out."""
    bars = [
        Bar(row["tool"], row["figure"], f"{short(row['figure'])} {row['unit']}{_times(row)}", own=OWN in row["tool"])
        for row in rows
        if row["figure"] is not None and not row["tool"].startswith("limit:")
    ]
    if len(bars) < 2:
        return None
    note = "more is better" if rows[0]["unit"] == "MB/s" else "less is better"
    return svg(rows[0]["title"], note, bars)


def _times(row: Mapping[str, Any]) -> str:
    return "" if row["tool"] == OWN or row["ratio"] is None else f"  ({row['ratio']:.2f})"


def _page(found: Report, works: Sequence[str], plots: Mapping[str, str]) -> Iterator[str]:
    yield "# Figures of a run"
    yield ""
    yield "Made by `make bench`; [figures.json](figures.json) has every single figure."
    yield ""
    yield "| | |"
    yield "| --- | --- |"
    for subject, words in found["machine"].items():
        yield f"| {subject} | {words} |"
    yield ""
    yield "In parentheses stands strongroom's figure divided by the tool's."
    for chapter, names in CHAPTERS.items():
        mine = [work for work in works if re.match(names, work)]
        if not mine:
            continue
        yield f"\n## {chapter}"
        for work in mine:
            if f"{work}.svg" in plots:
                title = next(row["title"] for row in found["rows"] if row["work"] == work)
                yield f"\n![{title}]({work}.svg)"
        yield ""
        yield "| work | tool | figure | ratio | target |"
        yield "| --- | --- | --- | --- | --- |"
        before = ""
        for row in found["rows"]:
            if row["work"] in mine:
                yield _line(row["title"] if row["work"] != before else "", row)
                before = row["work"]


def _line(title: str, row: Mapping[str, Any]) -> str:
    figure = row["failure"] or "not measured"
    if row["figure"] is not None:
        figure = f"{short(row['figure'])} {row['unit']}"
    ratio = "" if row["tool"] == OWN or row["ratio"] is None else f"{row['ratio']:.2f}"
    target = f"{row['target']}{', missed' if row['met'] is False else ''}" if row["target"] else ""
    return f"| {title} | {row['tool']} | {figure} | {ratio} | {target} |".replace("  ", " ")


def _machine(run: str) -> dict[str, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "measured": f"{datetime.now(UTC):%Y-%m-%d}, {run}",
        "processor": f"{_processor()}, {cores} CPUs",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(_versions()),
    }


def _processor() -> str:
    """Name it as Linux does."""
    path = Path("/proc/cpuinfo")
    named = re.search(r"(?m)^model name\s*: (.+)$", path.read_text("utf-8")) if path.exists() else None
    return named[1] if named else platform.machine()


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    for name, arguments in _PROGRAMS.items():
        try:
            said = subprocess.run([name, *arguments], capture_output=True, text=True, check=False).stdout
        except FileNotFoundError:
            continue
        if number := re.search(r"\d+(?:\.\d+)+", said):
            yield f"{name} {number[0]}"


if __name__ == "__main__":
    where = Path(sys.argv[1])
    publish(json.loads((where / FIGURES).read_text("utf-8")), where)
