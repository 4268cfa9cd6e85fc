"""The formats: the contract between them and the rest, and the table that they are found in.

A format does no I/O, reads no clock and rolls no dice. Its writer turns entries into pieces of a file; its reader gets
a bounded random-access view and gives entries and their data, nothing of it before it is authenticated. Nobody but the
table below knows which formats there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, cast

from strongroom.formats import composed
from strongroom.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from typing_extensions import Buffer

    from strongroom.flow import Chunk
    from strongroom.formats.facts import Inspection
    from strongroom.limits import Limits
    from strongroom.manifest.checking import Guard
    from strongroom.manifest.sealing import Sealer
    from strongroom.memory.secret import Secret
    from strongroom.output import Piece

Kind = Literal["file", "directory", "symlink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of an archive. Sizes are in bytes.

    `modified` is aware and in UTC. `mode` is the Unix mode with its type bits, or None where the archive has none.
    `method` is the compression's name, or its number where we don't know it. `encryption` names the scheme, or is
    None where the entry is not encrypted.
    """

    name: str
    kind: Kind
    size: int
    packed_size: int
    modified: datetime
    mode: int | None
    method: str
    encryption: str | None

    @property
    def encrypted(self) -> bool:
        """Whether the entry's data is encrypted."""
        return self.encryption is not None


class Member(NamedTuple):
    """What a writer is told of an entry before its data comes."""

    name: str
    kind: Literal["file", "directory"]
    modified: datetime
    mode: int


class EntryEncoder(Protocol):
    """Turns the chunks of one entry, each of them `CHUNK` bytes but the last, into pieces of the file."""

    def update(self, chunk: Chunk) -> Iterator[Piece]:
        """Take a chunk, and release it."""
        ...

    def finish(self) -> Iterator[Piece]:
        """End the entry."""
        ...

    def close(self) -> None:
        """End the threads and wipe the keys; also in the middle of an entry."""
        ...


class Writer(Protocol):
    """Turns entries into a file."""

    @property
    def entries(self) -> Sequence[Entry]:
        """The entries that are complete."""
        ...

    def entry(self, member: Member) -> EntryEncoder:
        """Begin an entry; the one before has been finished."""
        ...

    def finish(self) -> Iterator[Piece]:
        """End the archive."""
        ...

    def close(self) -> None:
        """End the threads and wipe the keys."""
        ...


class Reader(Protocol):
    """Gives the entries of a file, and their data once it is authenticated."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, in the archive's order."""
        ...

    def chunks(self, entry: Entry, start: int = 0) -> Iterator[memoryview]:
        """Give an entry's data from byte `start`, in pieces that are valid until the next one.

        Raises before the first piece where the entry's own authentication code does not hold.
        """
        ...

    def fill(self, entry: Entry, target: memoryview) -> None:
        """Put an entry's data into `target`, which has its size. Raises as `chunks`, and has then wiped `target`."""
        ...

    def check(self, entry: Entry, tick: Callable[[int], object]) -> None:
        """Check all of an entry, and call `tick` with the number of bytes that were; raises as `chunks`."""
        ...

    def seekable(self, entry: Entry) -> bool:
        """Whether `chunks` reaches any `start` without the work for what stands before it."""
        ...

    def piecewise(self, entry: Entry) -> bool:
        """Whether it does so without a check of the whole entry either, since its pieces are authentic each."""
        ...

    def close(self) -> None:
        """Wipe the keys."""
        ...


class Recipient(Protocol):
    """To whom a file is encrypted: a public key, of which only the format that read it knows how it is used."""

    @property
    def post_quantum(self) -> bool:
        """Whether a quantum computer leaves it secure."""
        ...


class Identity(Protocol):
    """Who opens a file: a secret key, of which only the format that read it knows how it is used."""

    @property
    def recipient(self) -> str:
        """To whom others encrypt."""
        ...

    def close(self) -> None:
        """Wipe the key."""
        ...


class WriterOptions(NamedTuple):
    """How a writer is made. `patchable` says whether the output takes patches; else it must be written in one go.

    `manifest` makes the tamper evidence and the salts; without one, what is around the archive has to authenticate it.
    Where a format has public keys, `recipients` can stand in place of the password, and `armored` asks for text.
    `enveloped` is for `composed` alone: what is around the archive encrypts it, and its entries are not encrypted.
    """

    password: Secret | None
    compression: str
    level: int | None
    threads: int
    patchable: bool
    random: Callable[[int], bytes]
    manifest: Sealer | None = None
    recipients: tuple[Recipient, ...] = ()
    armored: bool = False
    enveloped: bool = False

    @property
    def secret(self) -> Secret:
        """The password, for what cannot do without one."""
        if self.password is None:
            message = "the format takes a password"
            raise ValueError(message)
        return self.password


class ReaderOptions(NamedTuple):
    """How a reader is made. `legacy` accepts broken encryption, `allow_plaintext` unencrypted files.

    `guard` checks the manifest; without one it is not looked at. Where a format has public keys, `identities` open it
    as well. `streaming` gives data out piece by piece before all of it is checked, where the pieces are authentic by
    themselves. `name` and `modified` are the file's own, for a format that stores neither. `authenticate` is for
    `composed` alone: it checks a part of the file, by offset and length, with what is around the archive, which stands
    for the encryption of entries.
    """

    password: Secret | None
    legacy: bool
    allow_plaintext: bool
    limits: Limits
    threads: int
    guard: Guard | None = None
    identities: tuple[Identity, ...] = ()
    streaming: bool = False
    name: str = ""
    modified: datetime | None = None
    authenticate: Callable[[int, int], object] | None = None


class Envelope(Protocol):
    """Encrypts a file that is written in pieces of any size."""

    def update(self, data: Buffer, /) -> Iterator[bytes | memoryview]:
        """Take a piece."""
        ...

    def finish(self) -> Iterator[bytes | memoryview]:
        """End the file."""
        ...

    def close(self) -> None:
        """End the threads and wipe the keys."""
        ...


class Enveloped(Source, Protocol):
    """What is in such a file. Whatever is read of it is authentic."""

    def check(self, tick: Callable[[int], object] | None = None) -> None:
        """Authenticate all of it, and call `tick` with the number of bytes that were."""
        ...

    def check_range(self, offset: int, length: int) -> None:
        """Authenticate a part of it."""
        ...

    def chunks(self, start: int = 0) -> Iterator[memoryview]:
        """Give what is there from byte `start`, in pieces that are valid until the next one."""
        ...


class Format(NamedTuple):
    """A row of the table. `module` has `writer.Writer`, `writer.check_password`, `reader.Reader` and `inspect.inspect`.

    `readable` is what anyone can read without the password. With `keys` the module also has `recipients`, `envelope`,
    `writer.make_envelope` and `reader.open_payload`; `inside` then names the format of what is in the envelope. With
    `carries` a file of that format stands in one of this, and the row of it comes as one argument more.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: tuple[bytes, ...]
    compressions: tuple[str, ...]
    module: str
    readable: str
    keys: bool = False
    manifest: bool = True  # else the format authenticates the whole file
    single: bool = False  # holds one entry, without its name
    inside: str = ""
    carries: str = ""
    from_end: bool = False  # is found from its end, whatever stands before it
    behind_program: bool = False  # `directory.find` finds it behind a program that unpacks it

    @property
    def manifest_label(self) -> str:
        """What the key of the format's manifest is derived with, beside password and salt."""
        return f"strongroom manifest 1 {self.name}"

    @property
    def outermost(self) -> Format:
        """The format that takes such a file for one whole, whatever is inside it."""
        if self.carries:
            return self
        return next(row for row in FORMATS.values() if row.module == self.module and not row.inside)

    @property
    def _carried(self) -> tuple[Format, ...]:
        """The format that this one carries, if it does."""
        return (FORMATS[self.carries],) if self.carries else ()

    @property
    def _keys_module(self) -> str:
        """The module that knows the keys: this format's, or that of what it carries."""
        return next((row.module for row in self._carried), self.module)

    def writer(self, options: WriterOptions) -> Writer:
        """Make a writer."""
        if self.inside:
            return composed.Writer(
                self.envelope(options), FORMATS[self.inside].writer(composed.inner(options)), self._keys_module
            )
        return cast("Writer", self._load("writer").Writer(options))

    def reader(self, source: Source, options: ReaderOptions) -> Reader:
        """Make a reader; raises a `StrongroomError` where `source` is not an archive that we read."""
        if self.inside:
            return composed.Reader(self.payload(source, options), FORMATS[self.inside], options, self._keys_module)
        return cast("Reader", self._load("reader").Reader(source, options))

    def inspect(self, source: Source, limits: Limits) -> Inspection:
        """Explain a file without its password; raises `FormatError` where it is none of this format."""
        found = self._load("inspect").inspect(source, limits, *self._carried)
        if self.inside and not self.carries:
            found = replace(found, description=f"{found.description}, by its name with a ZIP in it")
        return replace(cast("Inspection", found), format=self.name, size=source.size)

    def envelope(self, options: WriterOptions) -> Envelope:
        """Make what encrypts a file to recipients or with a password; raises `ValueError` where they do not fit."""
        return cast("Envelope", self._load("writer").make_envelope(options, *self._carried))

    def payload(self, source: Source, options: ReaderOptions) -> Enveloped:
        """Open an envelope; raises `WrongKeyError` and other `StrongroomError`s."""
        return cast("Enveloped", self._load("reader").open_payload(source, options, *self._carried))

    def read_recipients(self, given: Iterable[Any], limits: Limits) -> tuple[Recipient, ...]:
        """Read recipients, text or paths of files of them; raises as `given.given_recipients`."""
        return cast("tuple[Recipient, ...]", self._load_keys("given").given_recipients(given, limits))

    def identities_in(self, source: Source, name: str, ask: Callable[[], Secret], limits: Limits) -> list[Identity]:
        """Read a file of identities; `ask` gives the passphrase of one that has one. See `envelope.open_identities`."""
        return cast("list[Identity]", self._load_keys("envelope").open_identities(source, name, ask, limits))

    def generate(self, *, classic: bool) -> Identity:
        """Make a new identity; a `classic` one is not post-quantum, and known to older tools."""
        return cast("Identity", self._load_keys("identities").generate(classic=classic))

    def encode_identity(self, identity: Identity) -> Secret:
        """Return the text of an identity that `generate` made."""
        return cast("Secret", self._load_keys("identities").encode(identity))

    def recipient_count(self, source: Source, limits: Limits) -> int:
        """Return how many recipients an archive has: none, where it takes a password."""
        return cast("int", self._load("inspect").recipient_count(source, limits, *self._carried)) if self.keys else 0

    def is_behind_program(self, source: Source) -> bool:
        """Whether `source`, which is a program, has such an archive behind it."""
        return self.behind_program and self._load("directory").find(source) is not None

    def check_password(self, password: Secret) -> None:
        """Raise `ValueError` for a password that the format's tools cannot use; warn of one that few can."""
        self._load_keys("writer").check_password(password)

    def _load(self, name: str) -> Any:  # noqa: ANN401 - a module
        return import_module(f"strongroom.formats.{self.module}.{name}")

    def _load_keys(self, name: str) -> Any:  # noqa: ANN401 - the same
        return import_module(f"strongroom.formats.{self._keys_module}.{name}")


_AGE: Final = (b"age-encryption.org/", b"-----BEGIN AGE")

FORMATS: Final = {
    row.name: row
    for row in (
        Format(
            name="zip",
            suffixes=(".zip",),
            magic=(b"PK\x03\x04", b"PK\x05\x06"),
            compressions=("deflate", "store", "zstd", "lzma", "bzip2", "xz"),
            module="zip",
            readable="names, sizes and dates",
            from_end=True,
        ),
        Format(
            name="7z",
            suffixes=(".7z",),
            magic=(b"7z\xbc\xaf\x27\x1c",),
            compressions=("lzma", "deflate", "bzip2", "store"),
            module="sevenzip",
            readable="nothing but the size of the file and the number of entries",
            behind_program=True,
        ),
        Format(
            name="zip.age",
            suffixes=(".zip.age",),
            magic=_AGE,
            compressions=("deflate", "store", "zstd", "lzma", "bzip2", "xz"),
            module="age",
            readable="",
            keys=True,
            manifest=False,
            inside="zip",
        ),
        Format(
            name="html",
            suffixes=(".html",),
            magic=(b'<!DOCTYPE html>\n<html lang="en" data-page="strongroom">\n',),
            compressions=("deflate", "store"),  # what every browser unpacks
            module="html",
            readable="",
            keys=True,
            manifest=False,
            inside="zip",
            carries="age",
        ),
        Format(
            name="age",
            suffixes=(".age",),
            magic=_AGE,
            compressions=("store",),
            module="age",
            readable="",
            keys=True,
            manifest=False,
            single=True,
        ),
    )
}
"""All formats by name; the first of a format's compressions is its default. Of two suffixes the longer comes first."""
