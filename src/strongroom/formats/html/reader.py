"""Finds the archive in a page. Nothing else of the page is read, and none of it is run.

What the page's script does to who opens it in a browser is not known here, nor can it be authenticated with a key that
the reader has: so a page that is not the one of this version is told of, in a warning.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, StrongroomWarning, TruncatedError
from strongroom.formats.html.spec import ARMOR, ARMOR_END, CLOSING, LONGEST_FRONT, MAGIC, OPENING, front
from strongroom.source import read

if TYPE_CHECKING:
    from strongroom.formats import Enveloped, Format, ReaderOptions
    from strongroom.source import Source

_SPEC: Final = "docs/formats/html.md"


class Window:
    """A part of a source, as a `Source`; `source` is the caller's."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source = source
        self._start = start
        self.size: int = end - start

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        if offset + len(buffer) > self.size:
            message = "the archive in the page ends early"
            raise TruncatedError(message, offset=self._start + self.size, spec=_SPEC)
        self._source.read_into(self._start + offset, buffer)

    def close(self) -> None:
        """See `Source`; what it reads is the caller's."""


FOREIGN: Final = (
    "the page around the archive is not the one of this version of strongroom: "
    "whoever made or changed it decides what it does with a password that is typed into it"
)


def open_payload(source: Source, options: ReaderOptions, carried: Format) -> Enveloped:
    """Open the archive in a page, a file of the format `carried`, and warn of a page that is not ours.

    Raises as `locate`, and what that format raises.
    """
    archive, ours = locate(source)
    if not ours:
        warnings.warn(FOREIGN, StrongroomWarning, stacklevel=5)
    return carried.payload(archive, options)


def locate(source: Source) -> tuple[Source, bool]:
    """Return the archive in a page, and whether the page is the one of this version.

    Raises `FormatError`, `TruncatedError`.
    """
    head = read(source, 0, min(source.size, LONGEST_FRONT + len(ARMOR)))
    if not head.startswith(MAGIC):
        message = "the file does not begin as a page of strongroom's"
        raise FormatError(message, offset=0, spec=_SPEC)
    opening = head.find(OPENING)
    start = opening + len(OPENING)
    if opening < 0:
        if source.size <= len(head):
            message = "the page ends before the archive in it"
            raise TruncatedError(message, offset=source.size, spec=_SPEC)
        message = f"no archive begins in the first {LONGEST_FRONT} bytes of the page"
        raise FormatError(message, offset=0, spec=_SPEC)
    if head[start:] == CLOSING:
        message = "the page has no archive in it: it opens others"
        raise FormatError(message, offset=start, spec=_SPEC)
    if not head.startswith(ARMOR, start):
        message = "what is in the page does not begin as an armored age file"
        raise FormatError(message, offset=start, spec=_SPEC)
    tail = ARMOR_END + CLOSING
    place = max(source.size - len(tail), start)
    if read(source, place, source.size - place) != tail:
        message = "the page does not end as it should"
        raise TruncatedError(message, offset=source.size, spec=_SPEC)
    return Window(source, start, source.size - len(CLOSING)), head[:start] == front()
