"""`strongroom audit`: the promises, proved on the user's own machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.failure import Unsound
from strongroom.cli.messages import data, data_json, printable
from strongroom.cli.options import SETTINGS, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.audit.report import Measure, Report

_UNKNOWN: Final = "?"
_SUBJECTS: Final = ("plaintext", "password", "key", "files")


@click.command(
    "audit",
    context_settings=SETTINGS,
    short_help="Prove on this machine that nothing leaks.",
    epilog="Example:  strongroom audit --json ~/cases > audit.json",
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@json_option
def command(folder: Path, *, as_json: bool) -> None:
    """Seal and read canaries in FOLDER (or here), in a process of its own, and look for what they leave behind.

    Looks into that process's memory, into its arguments and environment, into the files that it opened for writing, and
    into all files in FOLDER and in the folders for temporary files that changed meanwhile. The archives are removed.

    Exits with 4 where anything is found, or could not be measured. What is on the stack is counted, but not judged.
    """
    from strongroom.audit.proof import audit  # noqa: PLC0415 - loads numpy

    report = audit(folder)
    if as_json:
        data_json({"ok": report.ok} | asdict(report))
    else:
        for line in _lines(report):
            data(printable(line))
    if not report.ok:
        raise Unsound(damaged=True)


def _lines(report: Report) -> Iterator[str]:
    for name, value in report.setting.items():
        yield f"{name}: {value}"
    yield ""
    table = [("found", *_SUBJECTS), *_rows(report.measures)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for place, *counts in table:
        yield "  ".join([place.ljust(widths[0]), *map(str.rjust, counts, widths[1:])]).rstrip()
    for title, lines in (
        ("traces", report.traces),
        ("opened for writing", sorted({f"{file.path} by {file.program}" for file in report.opened})),
        ("not looked into", report.unseen),
    ):
        if lines:
            yield ""
            yield f"{title}:"
            yield from (f"  {line}" for line in lines)
    yield ""
    yield "ok: nothing was left behind" if report.ok else "NOT ok"


def _rows(measures: tuple[Measure, ...]) -> Iterator[tuple[str, ...]]:
    for place in dict.fromkeys(measure.place for measure in measures):
        here = {measure.subject: measure for measure in measures if measure.place == place}
        judged = all(measure.judged for measure in here.values())
        counts = (_count(here[subject]) if subject in here else "" for subject in _SUBJECTS)
        yield (place if judged else f"{place} (not judged)", *counts)


def _count(measure: Measure) -> str:
    return _UNKNOWN if measure.found is None else str(measure.found)
