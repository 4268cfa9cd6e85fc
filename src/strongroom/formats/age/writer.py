"""Writes an age file: one entry, whose name is the file's own. age.md has the order: header, nonce, payload."""

from __future__ import annotations

import stat
import warnings
from typing import TYPE_CHECKING, Final, cast

from strongroom.errors import StrongroomWarning
from strongroom.formats import Entry
from strongroom.formats.age.envelope import Envelope
from strongroom.formats.age.passphrase import ScryptRecipient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.flow import Chunk
    from strongroom.formats import Member, WriterOptions
    from strongroom.formats.age.recipients import Recipient
    from strongroom.memory.secret import Secret
    from strongroom.output import Piece

ENCRYPTION: Final = "age"
METHOD: Final = "store"


def check_password(password: Secret) -> None:
    """See `Format.check_password`. age's tools read a line from a terminal, and take it for UTF-8."""
    with memoryview(password) as view:
        if any(byte in b"\0\r\n" for byte in view):
            message = "the password has a NUL byte or a line end, which cannot be typed where age asks for it"
            raise ValueError(message)
        plain = all(byte < 0x80 for byte in view)  # noqa: PLR2004 - ASCII
    if not plain:
        message = "the password is not pure ASCII; what is typed elsewhere may be encoded in another way"
        warnings.warn(message, StrongroomWarning, stacklevel=5)


def make_envelope(options: WriterOptions) -> Envelope:
    """Return what encrypts as `options` say: to recipients, or with the password. Raises `ValueError` for both."""
    recipients = cast("tuple[Recipient, ...]", options.recipients)
    if options.password is not None:
        recipients += (ScryptRecipient(options.password),)
    return Envelope(recipients, options.random, options.threads, armored=options.armored)


class Writer:
    """See `formats.Writer`. Takes one entry, a file."""

    def __init__(self, options: WriterOptions) -> None:
        if options.compression != METHOD or options.level is not None:
            message = "age does not compress: put a ZIP file into it (.zip.age)"
            raise ValueError(message)
        self._options = options
        self._envelope: Envelope | None = None
        self.entries: list[Entry] = []
        make_envelope(options).close()  # wrong recipients are the caller's to know at once

    def entry(self, member: Member) -> FileEncoder:
        """See `formats.Writer`. Raises `ValueError` for a second entry and for a folder."""
        if self._envelope is not None or member.kind != "file":
            message = "an age file holds one file, and no folder: put a ZIP file into it (.zip.age)"
            raise ValueError(message)
        self._envelope = make_envelope(self._options)
        return FileEncoder(self, self._envelope, member)

    def finish(self) -> Iterator[Piece]:
        """See `formats.Writer`. Raises `ValueError` where there was no entry."""
        if not self.entries:
            message = "an age file holds one file, and there was none"
            raise ValueError(message)
        yield from ()

    def close(self) -> None:
        """See `formats.Writer`."""
        if self._envelope is not None:
            self._envelope.close()


class FileEncoder:
    """The data of the one file."""

    def __init__(self, writer: Writer, envelope: Envelope, member: Member) -> None:
        self._writer = writer
        self._envelope = envelope
        self._member = member

    def update(self, chunk: Chunk) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        return self._envelope.take(chunk)

    def finish(self) -> Iterator[Piece]:
        """See `formats.EntryEncoder`."""
        yield from self._envelope.finish()
        entry = Entry(
            name=self._member.name,
            kind="file",
            size=self._envelope.size,
            packed_size=self._envelope.packed_size,
            modified=self._member.modified,
            mode=stat.S_IFREG | self._member.mode,
            method=METHOD,
            encryption=ENCRYPTION,
        )
        self._writer.entries.append(entry)

    def close(self) -> None:
        """See `formats.EntryEncoder`."""
        self._envelope.close()
