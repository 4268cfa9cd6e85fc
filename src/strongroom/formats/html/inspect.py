"""Explains a page without the password of what is in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from strongroom.errors import FormatError
from strongroom.formats.facts import Inspection, Tool, Weakness, structure
from strongroom.formats.html.reader import FOREIGN, locate
from strongroom.formats.html.spec import MAGIC
from strongroom.source import read

if TYPE_CHECKING:
    from strongroom.formats import Format
    from strongroom.limits import Limits
    from strongroom.source import Source

_DESCRIPTION = "page that opens itself in a browser, with an age file in it, and in that a ZIP"

_KINDS = ("passphrase", "X25519", "ML-KEM-768 with X25519")
"""The recipients, as age's own explanation names them, whose identities the page takes."""


def inspect(source: Source, limits: Limits, carried: Format) -> Inspection:
    """Explain a page, and the file of the format `carried` in it. Raises `FormatError` for what is no page of ours."""
    try:
        archive, ours = locate(source)
    except FormatError as error:
        if read(source, 0, min(source.size, len(MAGIC))) != MAGIC:
            raise
        return Inspection(description=_DESCRIPTION, manifest="unneeded", weaknesses=structure([str(error)]))
    found = carried.inspect(archive, limits)
    weaknesses = found.weaknesses if ours else (*found.weaknesses, Weakness("foreign-page", "weak", FOREIGN))
    fit = any(name.startswith(_KINDS) for name in found.recipients)
    return replace(
        found,
        description=_DESCRIPTION,
        weaknesses=weaknesses,
        tools=(
            Tool("any browser", fit, "" if fit else "its keys are none that the page takes"),
            Tool("age", opens=True, note="what is cut out of the page"),
        ),
    )


def recipient_count(source: Source, limits: Limits, carried: Format) -> int:
    """Return how many recipients the file in a page has: none, where it takes a password. Raises as `locate`."""
    return carried.recipient_count(locate(source)[0], limits)
