"""`strongroom doctor`: what protects secrets in memory, on this machine and in this program."""

from __future__ import annotations

from dataclasses import asdict

import click

from strongroom.cli.messages import data, data_json, printable
from strongroom.cli.options import SETTINGS, json_option
from strongroom.memory.machine import machine
from strongroom.memory.process import harden
from strongroom.memory.report import ProtectionReport


@click.command(
    "doctor",
    context_settings=SETTINGS,
    short_help="Show how well this machine protects secrets in memory.",
    epilog="Example:  strongroom doctor --json",
)
@json_option
def command(*, as_json: bool) -> None:
    """Show what protects secrets in memory: of this machine, and of this program, as it runs.

    Where a protection is missing, the line below says what to do about it. Nothing is changed.
    """
    report = ProtectionReport((*machine(), *harden().checks))
    if as_json:
        data_json({"ok": report.ok, "checks": [asdict(check) for check in report.checks]})
        return
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        data(f"{'ok' if check.ok else 'NO'}  {check.name.ljust(width)}  {printable(check.found)}")
        if check.advice:
            data(f"    {' ' * width}  {check.advice}")
