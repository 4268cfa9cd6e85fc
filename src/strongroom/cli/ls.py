"""`strongroom ls`: what is in an archive, without its password where the format shows that."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.messages import data, data_json, printable
from strongroom.cli.options import SETTINGS, archive_argument, json_option, limit_option, opening_options
from strongroom.cli.reading import open_listed

if TYPE_CHECKING:
    from strongroom.cli.passwords import PasswordOptions
    from strongroom.formats import Entry
    from strongroom.limits import Limits

_HEADINGS: Final = ("size", "modified (UTC)", "method", "cipher", "name")


@click.command(
    "ls",
    context_settings=SETTINGS,
    short_help="List what is in an archive.",
    epilog="Example:  strongroom ls case-42.zip",
)
@archive_argument
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Show the names alone, one a line.")
@limit_option
@opening_options
def command(
    archive: str, *, as_json: bool, quiet: bool, limits: Limits, password: PasswordOptions, format_name: str | None
) -> None:
    """List the entries of ARCHIVE. A password is needed only where the names are encrypted, as in a 7z.

    Sizes are in bytes. Without the password the list is not authenticated: `strongroom verify` checks it and all data.
    """
    with open_listed(archive, password, limits, format_name) as room:
        if as_json:
            data_json({"archive": archive, "ok": True, "entries": [_fields(entry) for entry in room]})
            return
        rows = [_HEADINGS, *map(_row, room)]
    if quiet:
        for *_, name in rows[1:]:
            data(name)
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
    for size, *others, name in rows:
        columns = [size.rjust(widths[0]), *(text.ljust(width) for text, width in zip(others, widths[1:], strict=True))]
        data("  ".join([*columns, name]))


def _fields(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "modified": entry.modified.isoformat(), "encrypted": entry.encrypted}


def _row(entry: Entry) -> tuple[str, ...]:
    """Return what leaves room for the name in 80 columns; --json has the rest."""
    folder = entry.kind == "directory"
    return (
        str(entry.size),
        entry.modified.strftime("%Y-%m-%d %H:%M"),
        entry.method if entry.kind == "file" else "-" if folder else "symlink",
        entry.encryption.partition(" (")[0] if entry.encryption else "-" if folder else "none",
        printable(entry.name) + ("/" if folder else ""),
    )
