"""AgeLayer: an entry as an age file, to a password or to public keys."""

from __future__ import annotations

import io
import os
from contextlib import closing
from typing import TYPE_CHECKING, Final, Self

from strongroom.errors import LimitError, SecureMemoryError, WrongKeyError
from strongroom.flow import chunks_of, default_threads
from strongroom.formats.age import identities as age_identities
from strongroom.formats.age import recipients as age_recipients
from strongroom.formats.age.envelope import Envelope, open_pieces
from strongroom.formats.age.given import given_identities, given_recipients
from strongroom.formats.age.passphrase import LOG_N, ScryptIdentity, ScryptRecipient
from strongroom.formats.age.writer import check_password
from strongroom.layers import entry_chunks
from strongroom.layers.fernet import find_token
from strongroom.limits import Limits
from strongroom.memory.secret import Secret, wipe

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from strongroom.flow import Chunk, Readable
    from strongroom.formats.age.given import GivenIdentity, GivenRecipient
    from strongroom.formats.age.identities import Identity
    from strongroom.formats.age.recipients import Recipient
    from strongroom.layers import Entries

_SUFFIX: Final = ".age"


class AgeLayer:
    """age around an entry: NAME goes into `NAME.age`, which `age -d` opens. Data of any length, in constant memory.

    recipients  who can read: `age1…`, `age1pq1…`, `ssh-ed25519 …`, or the path of a file with one on each line
    identities  who reads: `AGE-SECRET-KEY-…` as text, bytes or a `Secret`, or the path of a file of them
    password    in place of both: scrypt takes a second and 256 MiB, for each entry anew
    threads     as for `create`

    With recipients alone it writes and cannot read (`WrongKeyError`); with identities alone it reads and does not write
    (`ValueError`). Raises `ValueError` for keys that are none or do not go together. A context manager; `close` wipes.
    """

    def __init__(
        self,
        *,
        recipients: GivenRecipient | Iterable[GivenRecipient] = (),
        identities: GivenIdentity | Iterable[GivenIdentity] = (),
        password: str | Buffer | None = None,
        threads: int | None = None,
    ) -> None:
        self._password: Secret | None = None
        self._recipients: tuple[Recipient, ...] = ()
        self._identities: tuple[Identity, ...] = ()
        self._closed = False
        self._process = os.getpid()
        if threads is not None and threads < 1:
            message = f"threads is at least 1, not {threads}"
            raise ValueError(message)
        self._threads = threads or default_threads()
        try:
            self._recipients = given_recipients(recipients, Limits())
            if self._recipients:
                age_recipients.check(self._recipients)
            self._identities = given_identities(identities, Limits())
            if bool(self._recipients or self._identities) == (password is not None):
                message = "AgeLayer takes a password, or recipients and identities"
                raise ValueError(message)  # noqa: TRY301 - identities that were read are closed below
            if password is not None:
                self._password = Secret(password)
        except BaseException:
            self.close()
            raise
        finally:
            del identities, password  # tracebacks that show local variables would show them
        # The seams by which tests enter: what is new for each file, and what a guess costs.
        self._random = os.urandom
        self._log_n = LOG_N

    def wrap(self, name: str, data: Buffer | Readable | Iterable[Buffer]) -> list[tuple[str, Generator[Buffer]]]:
        """See `Layer`."""
        self._check_open()
        if self._password is None and not self._recipients:
            message = "the layer has identities alone, with which it reads: give it recipients too"
            raise ValueError(message)
        if self._password is not None:
            check_password(self._password)
        return [(name + _SUFFIX, self._seal(chunks_of(data)))]

    def unwrap(self, name: str, entries: Entries, limits: Limits) -> bytes:
        """See `Layer`."""
        self._check_open()
        file = find_token(name + _SUFFIX, entries, limits)
        own: Sequence[Identity] = self._identities
        if self._password is not None:
            own = (ScryptIdentity(self._password, limits),)
        if not own:
            message = f"the layer has recipients alone, and an identity is needed to read {file.name!r}"
            raise WrongKeyError(message)
        plain = io.BytesIO()  # gives up its memory as bytes without a copy
        try:
            with (
                entry_chunks(entries, file.name) as chunks,
                closing(open_pieces(chunks, own, limits, self._threads)) as pieces,
            ):
                for piece in pieces:
                    plain.write(piece)
            return plain.getvalue()
        except BaseException as error:
            if not plain.closed:  # as it is where there was no memory for it to grow
                with plain.getbuffer() as view:
                    wipe(view)
            if isinstance(error, MemoryError):
                message = f"there is no memory for {file.name!r} of {file.size} bytes"
                raise LimitError(message) from None
            raise

    def close(self) -> None:
        """Wipe the password and the identities."""
        self._closed = True
        if self._password is not None:
            self._password.close()
        age_identities.close(self._identities)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._password is not None:
            return "<AgeLayer with a password>"
        return f"<AgeLayer with {len(self._recipients)} recipients and {len(self._identities)} identities>"

    def _check_open(self) -> None:
        if (self._password is not None or self._identities) and self._process != os.getpid():
            message = "a layer with secrets does not go to a forked child"
            raise SecureMemoryError(message)
        if self._closed:
            message = "the layer is closed"
            raise ValueError(message)

    def _seal(self, chunks: Iterator[Chunk]) -> Generator[Buffer]:
        recipients = self._recipients
        if self._password is not None:
            recipients = (ScryptRecipient(self._password, self._log_n),)
        with closing(Envelope(recipients, self._random, self._threads)) as envelope:
            for chunk in chunks:
                yield from envelope.take(chunk)
            yield from envelope.finish()
