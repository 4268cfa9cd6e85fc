"""The calls of strongroom that are measured for age; run as a program, it seals its standard input.

It stands on the format's own layer, `Envelope` and `Payload`, with the output and the source that a Room takes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from strongroom.flow import chunks_of, default_threads
from strongroom.formats import ReaderOptions
from strongroom.formats.age.envelope import Envelope
from strongroom.formats.age.given import given_identities, given_recipients
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.formats.age.reader import Reader
from strongroom.formats.age.recipients import Recipient
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from strongroom.output import FileOutput
from strongroom.source import open_source


def seal(target: Path, data: bytes | BinaryIO, recipient: str, password: Secret | None = None) -> None:
    """Encrypt to a recipient, or with a password; durably, as `create` does."""
    keys: tuple[Recipient, ...] = given_recipients([recipient] if recipient else [], Limits())
    if password is not None:
        keys = (ScryptRecipient(password),)
    output = FileOutput(target, overwrite=True, threads=default_threads())
    try:
        with closing(Envelope(keys, os.urandom, default_threads())) as envelope:
            for chunk in chunks_of(data):
                output.write(envelope.take(chunk))
            output.write(envelope.finish())
        output.finish()
        output.publish()
    finally:
        output.discard()


@contextmanager
def _reader(source: Path, identity: Path, *, streaming: bool) -> Iterator[Reader]:
    with ExitStack() as stack:
        own = given_identities(identity, Limits())
        for one in own:
            stack.callback(one.close)
        options = ReaderOptions(
            password=None, legacy=False, allow_plaintext=False, limits=Limits(), threads=default_threads(),
            identities=own, streaming=streaming,
        )  # fmt: skip
        yield stack.enter_context(closing(Reader(stack.enter_context(closing(open_source(source, Limits()))), options)))


def open_file(source: Path, target: Path, identity: Path, *, streaming: bool = False) -> None:
    """Decrypt into a file: after a check of the whole, or each chunk once it is authenticated."""
    with _reader(source, identity, streaming=streaming) as reader, target.open("wb", buffering=0) as file:
        for piece in reader.chunks(reader.entries[0]):
            file.write(piece)


def open_memory(source: Path, identity: Path, memory: Callable[[int], bytearray]) -> int:
    """Decrypt into memory that the caller owns; return the size."""
    with _reader(source, identity, streaming=False) as reader:
        (entry,) = reader.entries
        with memoryview(memory(entry.size)) as view:
            reader.fill(entry, view)
        return entry.size


def main(target: str, recipient: str, password_file: str = "") -> None:
    """Seal standard input."""
    password = Secret.take(bytearray(Path(password_file).read_bytes().rstrip(b"\n"))) if password_file else None
    seal(Path(target), sys.stdin.buffer, recipient, password)


if __name__ == "__main__":
    main(*sys.argv[1:])
