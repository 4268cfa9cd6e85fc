"""New keys, for formats that have some: the file of an identity, as age-keygen writes it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Final

from strongroom.formats import FORMATS, WriterOptions
from strongroom.limits import Limits
from strongroom.room import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from strongroom.memory.secret import Secret

_ROW: Final = FORMATS["age"]


def recipients_of(
    identities: Iterable[keys.Identities], password: Secret | None = None, ask: keys.Ask | None = None
) -> list[str]:
    """Return to whom others seal what `identities` open; these, `password` and `ask` are as for `open`."""
    given, identities = identities, ()
    try:
        hidden = keys.hide(given)
    finally:
        del given  # tracebacks that show local variables would show it
    with hidden:
        own = keys.own_keys(_ROW, hidden, password, ask, Limits())
        try:
            return [identity.recipient for identity in own]
        finally:
            keys.close(own)


class NewIdentity:
    """A new identity; `classic` makes an X25519 key in place of a post-quantum one. `close` wipes it."""

    def __init__(self, *, classic: bool = False) -> None:
        self._identity = _ROW.generate(classic=classic)
        self.recipient: str = self._identity.recipient

    def file(self, created: datetime, passphrase: Secret | None = None) -> Iterator[bytes | memoryview]:
        """Give the file, sealed with `passphrase` where there is one. A piece is wiped once the next is asked for."""
        if passphrase is None:
            yield from self._lines(created)
            return
        options = WriterOptions(
            password=passphrase,
            compression=_ROW.compressions[0],
            level=None,
            threads=1,
            patchable=False,
            random=os.urandom,
            armored=True,
        )
        with closing(_ROW.envelope(options)) as envelope:
            for line in self._lines(created):
                yield from envelope.update(line)
            yield from envelope.finish()

    def close(self) -> None:
        """Wipe the identity."""
        self._identity.close()

    def _lines(self, created: datetime) -> Iterator[bytes | memoryview]:
        """See age, cmd/age-keygen."""
        yield f"# created: {created.isoformat(timespec='seconds')}\n# public key: {self.recipient}\n".encode()
        with _ROW.encode_identity(self._identity) as text, memoryview(text) as view:
            yield view
        yield b"\n"
