"""Manual pages, made from the declarations of the verbs: what `--help` says, in the roff of man(7).

The build takes them into the wheel (`hatch_build.py`), so that `man strongroom-seal` works where it is installed. Loads
nothing but click beside our own modules, as the build has no more.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TYPE_CHECKING, Final

import click

from strongroom.cli import strongroom

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = "strongroom"
_PART: Final = re.compile(r"(\s*,\s+|\s+)")
_SPECIAL: Final = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "\b": ""}
)


def pages(version: str) -> dict[str, str]:
    """Return all pages by the names of their files."""
    top = click.Context(strongroom, info_name=_NAME)
    verbs = {verb: strongroom.get_command(top, verb) for verb in strongroom.list_commands(top)}
    made = {f"{_NAME}.1": "\n".join([*_page(top, version), *_verbs(verbs), *_epilog(strongroom), ""])}
    for verb, command in verbs.items():
        if command is not None:
            context = click.Context(command, info_name=verb, parent=top)
            see = (".SH SEE ALSO", f".BR {_NAME} (1)", "")
            made[f"{_NAME}-{verb}.1"] = "\n".join([*_page(context, version), *_epilog(command), *see])
    return made


def _page(context: click.Context, version: str) -> Iterator[str]:
    command, words = context.command, context.command_path
    paragraphs = re.split(r"\n{2,}", cleandoc(command.help or ""))
    summary = command.short_help or paragraphs[0].partition(";")[0]
    name = words.replace(" ", "-")
    # No date: it would be that of the build, and two builds would differ.
    yield f'.TH {_text(name.upper())} 1 "" "{_NAME} {version}" "{_NAME}"'
    yield from (".SH NAME", rf"{_text(name)} \- {_text(summary.rstrip('.'))}")
    yield from (".SH SYNOPSIS", rf"\fB{_text(words)}\fR {_text(' '.join(command.collect_usage_pieces(context)))}")
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield from map(_line, paragraph.splitlines())
    yield ".SH OPTIONS"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and isinstance(parameter, click.Option):
            names, explained = record
            yield from (".TP", "".join(map(_part, _PART.split(names))), _line(explained))


def _verbs(verbs: dict[str, click.Command | None]) -> Iterator[str]:
    yield ".SH VERBS"
    for verb, command in verbs.items():
        yield from (".TP", rf".BR {_NAME}\-{_text(verb)} (1)", _line(command.short_help or "" if command else ""))


def _epilog(command: click.Command) -> Iterator[str]:
    """Give each paragraph, whose first words end with a colon, as a section of its own, with its lines as they are."""
    for paragraph in re.split(r"\n{2,}", (command.epilog or "").replace("\b\n", "").strip()):
        title, colon, body = paragraph.partition(":")
        if not colon or "\n" in title or len(title.split()) > 5:  # noqa: PLR2004 - it is a sentence
            yield from (".PP", *map(_line, paragraph.splitlines()))
            continue
        first, *lines = body.split("\n")
        if not re.match(r"\s*strongroom", first) and first.strip():  # what follows the colon is a part of the title
            title += f", {first.strip()}"
            first = ""
        yield from (
            f".SH {_text(title.upper())}",
            ".EX",
            *map(_line, filter(str.strip, [first.strip(), *lines])),
            ".EE",
        )


def _part(word: str) -> str:
    """Give an option in bold and what it takes in italics."""
    if _PART.fullmatch(word) or not word:
        return word
    return rf"\fB{_text(word)}\fR" if word.startswith("-") else rf"\fI{_text(word)}\fR"


def _text(text: str) -> str:
    return text.translate(_SPECIAL)


def _line(text: str) -> str:
    """Give a line of text, which is no request even where it begins with a dot."""
    line = _text(text)
    return rf"\&{line}" if line.startswith(".") else line
