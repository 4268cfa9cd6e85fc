"""How a recipient opens an archive, in a few lines, on the systems that people have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from strongroom.cli.advice import quoted
from strongroom.cli.options import STDIO
from strongroom.openers import DESKTOPS, OPENERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.formats import Format
    from strongroom.openers import Opener

_KEY: Final = "KEY.txt"


def how_to_open(archive: str, row: Format, *, by_key: bool, post_quantum: bool) -> Iterator[str]:
    """Give lines: a heading, and a program or command for each platform, one line for those that have the same."""
    given = Path(archive).name
    file = f"FILE{row.suffixes[0]}" if archive == STDIO else quoted(given)
    named = given.lower().endswith(row.suffixes)
    inside = Path(given).stem if named else "NAME" + f".{row.inside}" * bool(row.inside)
    names = {"file": file, "name": quoted(inside), "key": _KEY}
    platforms: dict[str, list[str]] = {}
    for platform in DESKTOPS:
        platforms.setdefault(_said(OPENERS[row.name][platform], names, by_key=by_key), []).append(platform)
    as_what = f" --format {row.name}" if row.inside and not named and archive != STDIO else ""  # else one file, a ZIP
    ours = f"strongroom extract{f' -i {_KEY}' * by_key}{as_what} {file} DIR"
    rows = [*((", ".join(where), said) for said, where in platforms.items()), ("or anywhere", ours)]
    width = max(len(where) for where, _ in rows)
    later = " age 1.3 or later:" * (post_quantum and not row.carries)  # a browser brings what it takes
    yield f"the recipient opens it with the {'key' if by_key else 'password'}, and{later}"
    for where, said in rows:
        yield f"  {where.ljust(width)}  {said}"


def _said(opener: Opener, names: dict[str, str], *, by_key: bool) -> str:
    command = opener.key_command if by_key else opener.command
    if command:
        return command.format_map(names)
    return f"{opener.program} ({opener.source})" + (f", not {opener.unfit}" if opener.unfit else "")
