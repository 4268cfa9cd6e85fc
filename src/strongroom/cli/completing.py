"""What a shell can complete beside verbs and options: archives, folders, and entries where their names can be read."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from strongroom.errors import StrongroomError
from strongroom.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click
    from click.shell_completion import CompletionItem

SUFFIXES: Final = tuple(
    dict.fromkeys(f".{suffix.rpartition('.')[2]}" for row in FORMATS.values() for suffix in row.suffixes)
)

_ARCHIVE: Final = "archive"
_DASH: Final = "-"


def archives(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Give the archives in a folder, by their suffixes, and the folders in it."""
    return _items(_archives(incomplete), _ARCHIVE)


def folders(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Leave it to the shell to give folders."""
    return _items([incomplete], "dir")


def entries(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Give the entries of the archive that the line names, a folder at a time; none where that takes a password."""
    archive: str | None = ctx.params.get("archive")
    if archive in (None, _DASH):
        return []
    return _items(_entries(os.path.expanduser(str(archive)), incomplete), "entry")  # noqa: PTH111 - as it was typed


def _items(values: Iterable[str], kind: str) -> list[CompletionItem[str]]:
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - not in other runs

    return [CompletionItem(value, type=kind) for value in values]


def _archives(incomplete: str) -> Iterator[str]:
    folder, _, start = incomplete.rpartition("/")
    written = incomplete[: len(incomplete) - len(start)]
    with suppress(OSError), os.scandir(Path(written).expanduser() if folder or written else ".") as found:
        for one in sorted(found, key=lambda one: one.name):
            if one.name.startswith(start) and (start or not one.name.startswith(".")):
                if one.is_dir():
                    yield from _typeable(f"{written}{one.name}/")
                elif one.name.lower().endswith(SUFFIXES):
                    yield from _typeable(written + one.name)


def _entries(archive: str, incomplete: str) -> list[str]:
    import strongroom  # noqa: PLC0415 - not for verbs and options

    found: dict[str, None] = {}
    with warnings.catch_warnings(), suppress(StrongroomError, OSError, ValueError):
        warnings.simplefilter("ignore")
        with strongroom.open(archive) as room:
            for entry in room:
                name = entry.name + "/" * (entry.kind == "directory")
                if name.startswith(incomplete):
                    head, slash, _ = name[len(incomplete) :].partition("/")
                    found |= dict.fromkeys(_typeable(incomplete + head + slash))
    return list(found)


def _typeable(name: str) -> Iterator[str]:
    """Pass on a name that is neither taken for an option nor obeyed by a terminal; names come from strangers."""
    if name.isprintable() and not name.startswith(_DASH):
        yield name
