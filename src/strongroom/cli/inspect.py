"""`strongroom inspect`: what an archive is and what is weak about it, without its password."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO, Final, get_args

import click

import strongroom
from strongroom.cli.failure import Unsound
from strongroom.cli.handover import how_to_open
from strongroom.cli.messages import data, data_json, printable
from strongroom.cli.options import SETTINGS, STDIO, archive_argument, json_option, limit_option
from strongroom.cli.reading import stdin
from strongroom.cli.units import count, size
from strongroom.formats import FORMATS
from strongroom.formats.facts import Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strongroom.inspection import Derivation, Inspection
    from strongroom.limits import Limits

_WIDTH: Final = 80
_LABEL: Final = 10
_SCRYPT: Final = "scrypt"
_MANIFEST: Final = {
    "present": "there, not checked: that takes the password (strongroom verify)",
    "absent": "none: nothing vouches for names, dates and the list of entries",
    "unneeded": "not needed: the file is authenticated as a whole",
    "unknown": "not known",
}


@click.command(
    "inspect",
    context_settings=SETTINGS,
    short_help="Explain an archive without its password.",
    epilog="Example:  strongroom inspect case-42.zip",
)
@archive_argument
@json_option
@limit_option
def command(archive: str, *, as_json: bool, limits: Limits) -> None:
    """Explain ARCHIVE without its password.

    Shown are how it is encrypted, what anyone can see of it, what is weak about it, and which tools open it. Nothing
    of that is authenticated: it is what the file says of itself.

    Exits with 4 where readers could differ about the file, or it is damaged; with 1 where it asks for something that
    is not done here.
    """
    place: str | BinaryIO = stdin() if archive == STDIO else archive
    found = strongroom.inspect(place, limits=limits)
    if as_json:
        data_json({"archive": archive, "ok": found.ok, **asdict(found)})
    else:
        _show(archive, found)
    if not found.ok:
        raise Unsound(damaged=any(weakness.code == "structure" for weakness in found.weaknesses))


def _show(archive: str, found: Inspection) -> None:
    entries = [] if found.entries is None else [count(found.entries, "entry", "entries")]
    data(printable(f"{archive}: {', '.join([found.description, size(found.size), *entries])}"))
    data("")
    for cipher in found.ciphers:
        _line("cipher", cipher.name + ("" if cipher.files is None else f": {count(cipher.files, 'file')}"))
    for recipient in found.recipients:
        _line("for", recipient)
    for derivation in found.derivations:
        _line("key", _derivation(derivation))
    _line("manifest", _MANIFEST[found.manifest])
    _list("visible", found.visible)
    _list("hidden", found.hidden)
    if found.weaknesses:
        data("")
    for weakness in sorted(found.weaknesses, key=lambda weakness: get_args(Level).index(weakness.level)):
        _line("BROKEN" if weakness.level == "broken" else weakness.level, weakness.text)
    data("")
    if not found.tools:
        _line("opens", "tools differ on such a file, if they open it at all")
    for label, opens in (("opens", True), ("unsure", None), ("not", False)):
        named = [one.name + (f" ({one.note})" if one.note else "") for one in found.tools if one.opens is opens]
        _list(label, named)
    if found.ok and found.hidden and any(one.opens for one in found.tools):
        data("")
        by_key = bool(found.recipients) and not any(derivation.name == _SCRYPT for derivation in found.derivations)
        newest = by_key and all(weakness.code != "not-post-quantum" for weakness in found.weaknesses)
        for line in how_to_open(archive, FORMATS[found.format], by_key=by_key, post_quantum=newest):
            data(f"  {printable(line)}")


def _derivation(derivation: Derivation) -> str:
    rounds = f"N = {derivation.rounds:,}" if derivation.name == _SCRYPT else f"{derivation.rounds:,} rounds"
    salt = f"a salt of {derivation.salt} bytes" if derivation.salt else "no salt"
    purpose = f" ({derivation.purpose})" if derivation.purpose else ""
    return f"{derivation.name}, {rounds}, {salt}{purpose}"


def _list(label: str, items: Iterable[str]) -> None:
    if text := ", ".join(items):
        _line(label, text)


def _line(label: str, text: str) -> None:
    indent = " " * (_LABEL + 2)
    lines = textwrap.wrap(printable(text), _WIDTH - len(indent), break_on_hyphens=False) or [""]
    data(f"  {label.ljust(_LABEL)}{lines[0]}")
    for line in lines[1:]:
        data(indent + line)
