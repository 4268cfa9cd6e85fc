"""The receipt of an archive that is being sealed: made before that appears, and put in place after it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.errors import OutputError
from strongroom.output import FileOutput
from strongroom.receipt.sshsig import SUFFIX
from strongroom.room.rereading import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from strongroom.formats import Entry
    from strongroom.output import Output
    from strongroom.receipt.request import Request


class Receipting:
    """A receipt, and with a signer its signature, as files that have no name until `publish`.

    Raises `OutputExistsError` where they are there already and `overwrite` is False, `OutputError` where there is a
    signature that would not fit, or no file can be made, and `ValueError` for a receipt in the archive's own place.
    """

    def __init__(self, request: Request, archive: str | os.PathLike[str], row: str, *, overwrite: bool) -> None:
        self._request = request
        self._archive = Path.cwd() / os.fsdecode(archive)
        self._row = row
        path = os.fsdecode(request.path)
        signature = path + SUFFIX
        if _place(str(self._archive)) in (_place(path), _place(signature)):
            message = f"the receipt would stand in the place of the archive {os.fsdecode(archive)!r}"
            raise ValueError(message)
        self._outputs: list[FileOutput] = []
        try:
            if request.signer is not None:  # it appears first, so that a signed receipt is never there without it
                self._outputs.append(FileOutput(signature, overwrite=overwrite))
            elif os.path.lexists(signature):
                message = f"{signature} is there, and would not fit the new receipt: remove it, or have that signed"
                raise OutputError(message)  # noqa: TRY301 - what was opened is discarded below
            self._outputs.append(FileOutput(path, overwrite=overwrite))
        except BaseException:
            self.discard()
            raise

    def prepare(self, output: Output, entries: Sequence[Entry], progress: Callable[[int, int], object]) -> None:
        """Read the archive again from the disk, and bring its receipt there. Raises `OutputError`, `TamperedError`."""
        from strongroom.receipt.spec import Receipt  # noqa: PLC0415 - few archives have one

        found = file_digest(output, progress)
        request = self._request
        listed = None if request.brief else entries
        receipt = Receipt.of(
            self._archive.name, self._row, found.size, found.sha256, listed, now=datetime.now(UTC)
        ).encode()
        files = [receipt] if request.signer is None else [request.signer.sign(receipt), receipt]
        for place, data in zip(self._outputs, files, strict=True):
            place.write([data])
            place.finish()

    def publish(self) -> None:
        """Put the files in place, once the archive is. Raises `OutputError` that says how far it came."""
        try:
            for output in self._outputs:
                output.publish()
        except OutputError as error:
            message = f"{self._archive} is in place and whole, but its receipt is not: {error}"
            raise type(error)(message) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing of what is not in place."""
        for output in self._outputs:
            output.discard()


def _place(path: str) -> tuple[str, str]:
    folder, name = os.path.split(path)
    return os.path.realpath(folder or os.curdir), name
