"""Writes the page around an archive: front, armor, end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strongroom.errors import LimitError
from strongroom.formats.html.spec import CLOSING, LARGEST, front
from strongroom.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from strongroom.formats import Envelope, Format, WriterOptions


def make_envelope(options: WriterOptions, carried: Format) -> Page:
    """Return what puts a file of the format `carried` into a page. Raises `ValueError` as that does."""
    return Page(carried.envelope(options._replace(armored=True)))


class Page:
    """An envelope (see `formats.Envelope`) that puts the page around another one, which is armored. Takes it over.

    Raises `LimitError` where the page would be too large for a browser.
    """

    def __init__(self, armored: Envelope) -> None:
        self._armored = armored
        self._begun = False
        self._size = 0

    def update(self, data: Buffer, /) -> Iterator[bytes | memoryview]:
        """Take a piece."""
        return self._around(self._armored.update(data))

    def finish(self) -> Iterator[bytes | memoryview]:
        """End the file."""
        yield from self._around(self._armored.finish())
        yield CLOSING

    def close(self) -> None:
        """End the threads and wipe the keys."""
        self._armored.close()

    def _around(self, pieces: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        for piece in pieces:
            if not self._begun:
                self._begun = True
                yield front()
            self._size += len(piece)
            if _packed(self._size) > LARGEST:
                message = f"the archive has more than {LARGEST // MIB} MiB, too much for a page that a browser opens"
                error = LimitError(message)
                error.add_note("seal a .zip.age file, and send the page that `strongroom page > open.html` gives along")
                raise error
            yield piece


def _packed(armored: int) -> int:
    """Return how many bytes of an age file that many bytes of armor hold: 48 a line of 65."""
    return armored // 65 * 48
