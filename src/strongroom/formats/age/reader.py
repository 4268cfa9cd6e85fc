"""Reads an age file: one entry, whose name is the file's own.

Opening checks the header and the last chunk. Who reads from the start gets nothing before the whole file is checked,
unless they ask for `streaming`; who reads from anywhere else gets each chunk once it is. The second reading needs no
marks of the first: it authenticates each chunk again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

from strongroom.errors import WrongKeyError
from strongroom.formats import Entry
from strongroom.formats.age.envelope import Sealed
from strongroom.formats.age.passphrase import KIND as SCRYPT
from strongroom.formats.age.passphrase import ScryptIdentity
from strongroom.formats.age.writer import ENCRYPTION, METHOD
from strongroom.limits import MIB
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strongroom.formats import ReaderOptions
    from strongroom.formats.age.identities import Identity
    from strongroom.formats.age.payload import Payload
    from strongroom.source import Source

_SUFFIX: Final = ".age"
_NAMELESS: Final = "data"
_TIMELESS: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE: Final = 16 * MIB
"""Up to this size what is read from the start is opened once, into memory; a longer file is opened twice."""


class Reader:
    """See `formats.Reader`. Without a password and identities it opens, and reading is a `WrongKeyError`."""

    def __init__(self, source: Source, options: ReaderOptions) -> None:
        self._streaming = options.streaming
        self._checked = False
        self._payload: Payload | None = None
        self._sealed = sealed = Sealed(source, options.limits)
        name = options.name[: -len(_SUFFIX)] if options.name.lower().endswith(_SUFFIX) else options.name
        self.entries: tuple[Entry] = (
            Entry(
                name=name or _NAMELESS,
                kind="file",
                size=sealed.size,
                packed_size=source.size,
                modified=options.modified or _TIMELESS,
                mode=None,
                method=METHOD,
                encryption=ENCRYPTION,
            ),
        )
        if own := own_identities(options):
            open_ = sealed.unlock if options.streaming else sealed.open
            self._payload = open_(own, options.threads)

    def chunks(self, entry: Entry, start: int = 0) -> Iterator[memoryview]:
        """See `formats.Reader`. Raises `WrongKeyError`, `TamperedError`, `TruncatedError`.

        From a `start` other than 0, and with `streaming`, what comes before an error is authentic, and was given.
        """
        payload = self._open(entry)
        if start or self._streaming or self._checked:
            yield from payload.chunks(start)
        elif payload.size <= _WHOLE:
            yield from self._once(payload)
        else:
            payload.check()
            self._checked = True
            yield from payload.chunks()

    def fill(self, entry: Entry, target: memoryview) -> None:
        """See `formats.Reader`. One reading, since nobody sees `target` before it is over."""
        self._open(entry).fill(target)

    def check(self, entry: Entry, tick: Callable[[int], object]) -> None:
        """See `formats.Reader`."""
        self._open(entry).check(tick)
        self._checked = True

    def seekable(self, entry: Entry) -> bool:  # noqa: ARG002 - there is but one
        """See `formats.Reader`."""
        return True

    def piecewise(self, entry: Entry) -> bool:  # noqa: ARG002 - the same
        """See `formats.Reader`."""
        return True

    def close(self) -> None:
        """See `formats.Reader`. The identities are the caller's."""
        if self._payload is not None:
            self._payload.close()

    def _open(self, entry: Entry) -> Payload:
        if self._payload is None:
            raise _locked(self._sealed, repr(entry.name))
        return self._payload

    @staticmethod
    def _once(payload: Payload) -> Iterator[memoryview]:
        with memoryview(bytearray(payload.size)) as data:
            payload.fill(data)
            try:
                for start in range(0, len(data), MIB):
                    yield data[start : start + MIB]
            finally:
                wipe(data)


def open_payload(source: Source, options: ReaderOptions) -> Payload:
    """Return what an age file holds, as a `Source` that the caller closes. Raises as `Sealed.open`."""
    sealed = Sealed(source, options.limits)
    own = own_identities(options)
    if not own:
        raise _locked(sealed, "the file")
    return sealed.open(own, options.threads)


def _locked(sealed: Sealed, what: str) -> WrongKeyError:
    if any(stanza.kind == SCRYPT for stanza in sealed.header.stanzas):
        return WrongKeyError(f"{what} is encrypted, and no password was given")
    message = f"{what} is encrypted to public keys, and the identity of one of them was not given"
    return WrongKeyError(message, identity=True)


def own_identities(options: ReaderOptions) -> tuple[Identity, ...]:
    """Return the identities in `options`, the password among them."""
    own = cast("tuple[Identity, ...]", options.identities)
    if options.password is not None:
        own += (ScryptIdentity(options.password, options.limits),)
    return own
