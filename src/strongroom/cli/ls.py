"""`strongroom ls`: what is in an archive, without its password where the format shows that."""

from __future__ import annotations

import stat
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli.messages import data, data_json, printable
from strongroom.cli.options import SETTINGS, archive_argument, json_option, limit_option, password_options
from strongroom.cli.reading import open_listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.cli.passwords import PasswordOptions
    from strongroom.formats import Entry
    from strongroom.limits import Limits

_HEADINGS: Final = ("mode", "size", "packed", "modified (UTC)", "method", "encryption", "name")
_RIGHT: Final = (1, 2)
_TYPES: Final = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK}


@click.command(
    "ls",
    context_settings=SETTINGS,
    short_help="List what is in an archive.",
    epilog="Example:  strongroom ls case-42.zip",
)
@archive_argument
@json_option
@limit_option
@password_options
def command(archive: str, *, as_json: bool, limits: Limits, password: PasswordOptions) -> None:
    """List the entries of ARCHIVE. A password is needed only where the names are encrypted, as in a 7z.

    Sizes are in bytes. Without the password the list is not authenticated: `strongroom verify` checks it and all data.
    """
    with open_listed(archive, password, limits) as room:
        if as_json:
            data_json({"archive": archive, "entries": [_fields(entry) for entry in room]})
            return
        rows = [_HEADINGS, *map(_row, room)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
    for row in rows:
        data("  ".join([*_aligned(row, widths), row[-1]]))


def _fields(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "modified": entry.modified.isoformat(), "encrypted": entry.encrypted}


def _row(entry: Entry) -> tuple[str, ...]:
    mode = None if entry.mode is None else stat.filemode(stat.S_IMODE(entry.mode) | _TYPES[entry.kind])
    folder = entry.kind == "directory"
    return (
        mode or "?",
        str(entry.size),
        str(entry.packed_size),
        entry.modified.strftime("%Y-%m-%d %H:%M:%S"),
        "-" if folder else entry.method,
        entry.encryption or ("-" if folder else "none"),
        printable(entry.name) + ("/" if folder else ""),
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    for column, width in enumerate(widths):
        yield row[column].rjust(width) if column in _RIGHT else row[column].ljust(width)
