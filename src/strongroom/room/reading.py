"""A Room that is read."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, cast, overload
from weakref import WeakSet

from strongroom.errors import EntryNotFoundError, LimitError, StrongroomError, UnsupportedError, WrongKeyError
from strongroom.extract import extract
from strongroom.flow import as_bytes, ordered_map
from strongroom.limits import MIB
from strongroom.memory.huge import back_with_huge_pages
from strongroom.room.base import Finding, Meter, Progress, Report, Room, parse_mode
from strongroom.room.files import EntryReader, check_memory, no_memory
from strongroom.room.staging import copy, load
from strongroom.source import JoinedSource, read

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Buffer

    from strongroom.formats import Entry, Format, Reader, ReaderOptions
    from strongroom.fs.ram import RamFS
    from strongroom.layers import Layer
    from strongroom.room import CreateOptions
    from strongroom.room.staging import Item
    from strongroom.room.writing import WriteRoom
    from strongroom.source import Source

_ARMOR: Final = b"-----BEGIN"
_HEAD: Final = 4096  # may be blank in front of armor
_SMALL: Final = 1 * MIB  # up to here, entries are verified side by side


class ReadRoom(Room):
    """An archive that is open for reading, made by `open`."""

    def __init__(  # noqa: PLR0917 - `open` makes it, and rereading
        self,
        row: Format,
        reader: Reader,
        source: Source,
        options: ReaderOptions,
        progress: Progress | None,
        openers: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._openers = openers
        self._row = row
        self._reader = reader
        self._source = source
        self._options = options
        self._progress = progress
        self._by_name = {entry.name: entry for entry in reader.entries}
        self._files: WeakSet[EntryReader] = WeakSet()
        self._closed = False

    @property
    def format(self) -> str:
        """The name of the archive's format."""
        return self._row.name

    @property
    def armored(self) -> bool:
        """Whether the archive is text."""
        head = read(self._source, 0, min(self._source.size, _HEAD))
        return self._row.keys and head.lstrip().startswith(_ARMOR)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, in the archive's order."""
        return self._reader.entries

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def entry(self, name: str) -> Entry:
        """Return the entry of that name. Raises `EntryNotFoundError`."""
        return self._find(name)

    def read(self, name: str, *, layer: Layer | None = None) -> bytes:
        """Return an entry's data; with a `layer`, what was written as `name` with such a layer.

        Raises `EntryNotFoundError`, `WrongKeyError`, `TamperedError`, `FormatError`, or `LimitError` where the entry is
        larger than `Limits.memory_size`, or than memory.
        """
        if layer is not None:
            self._check_open()
            return layer.unwrap(name, self, self._options.limits)
        entry = self._find(name)
        check_memory(entry.size, self._options.limits)
        try:
            if entry.size and self._reader.seekable(entry):
                # Gives up the memory that it was made of as bytes, without a copy, unlike a bytearray.
                buffer = io.BytesIO(bytes(entry.size))
                with buffer.getbuffer() as view:
                    back_with_huge_pages(view)
                    self._reader.fill(entry, view)
            else:  # the size is only what a header declares, too little to reserve memory for
                buffer = io.BytesIO()
                for chunk in self._reader.chunks(entry):
                    buffer.write(chunk)
            return buffer.getvalue()
        except MemoryError:
            raise no_memory(entry.size) from None

    def read_into(self, name: str, buffer: Buffer) -> int:
        """Read an entry's data into the front of `buffer`, which is the caller's to wipe; return its length in bytes.

        Raises `ValueError` where the buffer is too small, else as `read`; what was written to it is then wiped.
        """
        entry = self._find(name)
        view = as_bytes(buffer)
        if view is None or (view.readonly and view):
            message = "the buffer is not writable memory"
            raise TypeError(message)
        if len(view) < entry.size:
            message = f"the buffer has {len(view)} bytes, and the entry {entry.size}"
            raise ValueError(message)
        self._reader.fill(entry, view[: entry.size])
        return entry.size

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Give an entry's data in pieces of at most 1 MiB, each valid until the next is asked for. Raises as `read`."""
        return self._ours(self._reader.chunks(self._find(name)))

    @overload
    def open(self, name: str, mode: Literal["r", "rt", "w", "wt"] = ...) -> io.TextIOWrapper: ...
    @overload
    def open(self, name: str, mode: Literal["rb", "wb"]) -> EntryReader: ...
    def open(self, name: str, mode: str = "r") -> EntryReader | io.TextIOWrapper:
        """Return an entry as a file: "r" for text in UTF-8, "rb" for bytes. It can seek. Raises as `read`."""
        text = parse_mode(mode, "r")
        file = EntryReader(self._reader, self._find(name), self._options.limits, self._check_process)
        self._files.add(file)
        return io.TextIOWrapper(file, encoding="utf-8", newline="") if text else file

    def verify(self) -> Report:
        """Read and check everything, and report what is wrong. Raises only `WrongKeyError`."""
        self._check_open()
        findings: list[Finding] = []
        wrong: list[WrongKeyError] = []
        for entry, error in self._checked(Meter(self._progress, _total(self.entries))):
            if error is not None:
                findings.append(Finding(entry.name, str(error)))
            if isinstance(error, WrongKeyError):
                wrong.append(error)
        if wrong and len(wrong) == sum(entry.encrypted for entry in self.entries):
            raise wrong[0]
        guard = self._options.guard
        return Report(not findings, self.entries, guard.state if guard else "unneeded", tuple(findings))

    def extract(self, folder: str | os.PathLike[str], names: Iterable[str] | None = None) -> None:
        """Write plaintext files: all entries, or those named, below `folder`, which is made where it is missing.

        The whole archive is verified before the first file is made. Existing files are never replaced, symlinks neither
        made nor followed, and after an error nothing that was made is left. Files get mode 0600, executable ones 0700.
        Names that Windows takes for something else (`aux.txt`, `a:b`) get an underscore, with a warning each.

        Raises `OutputError`, `OutputExistsError`, `LimitError`, and what `verify` would report.
        """
        self._check_open()
        entries = self.entries if names is None else tuple(self._find(name) for name in dict.fromkeys(names))
        self._check_total(entries)
        meter = Meter(self._progress, _total(self.entries) + _total(entries))
        self._check_all(meter)
        extract(self._reader, entries, folder, meter.tick)

    def load(self, *, limit: int | None = None) -> RamFS:
        """Return a RamFS with all entries, their names from its root on, and with their times.

        The whole archive is verified before the first byte goes there. Symlinks are reported and left out. `limit` is
        how many bytes the RamFS may hold, now and later; half of the memory that is available by default.

        Raises `LimitError` for more than that or than `Limits.memory_size`, and what `verify` would report.
        """
        from strongroom.fs.ram import RamFS  # noqa: PLC0415 - fsspec takes as long to import as all the rest

        self._check_open()
        total = _total(self.entries)
        check_memory(total, self._options.limits)
        ram = RamFS(limit)
        if total > ram.limit:  # before the work, and not in the middle of it
            message = f"{total} bytes are above the RamFS's limit of {ram.limit}"
            raise LimitError(message)
        try:
            meter = Meter(self._progress, 2 * total)
            self._check_all(meter)
            load(self._reader, self.entries, ram, meter.tick)
        except BaseException:
            ram.close()
            raise
        return ram

    def copy_to(self, room: WriteRoom, instead: Mapping[str, Item] | None = None) -> None:
        """Write all entries into `room`, an archive that is being sealed, with their names, times and permissions.

        The whole archive is verified before the first byte goes there, and whatever changed since is noticed when it is
        read. Symlinks are reported and left out; entries that `instead` has are taken from there. It takes constant
        memory; `progress` of this Room is told of the verifying, and that of `room` of the writing.

        Raises what `verify` would report, and as `WriteRoom.write`.
        """
        self._check_open()
        self._check_all(Meter(self._progress, _total(self.entries)))
        copy(self._reader, self.entries, room, instead or {})

    @property
    def compression(self) -> str | None:
        """How most of the data is compressed, if the format is written so: the name of a method."""
        sizes: Counter[str] = Counter()
        for entry in self.entries:
            if entry.method in self._row.compressions:
                sizes[entry.method] += entry.packed_size
        return max(sizes, key=lambda name: sizes[name], default=None)

    def as_sealed(self) -> CreateOptions:
        """Return the options of `create` that seal an archive as this one is. The password is this Room's own.

        Raises `UnsupportedError` where that is not known: other recipients than the one who opened it, or none at all.
        """
        options: CreateOptions = {"format": self.format, "compression": self.compression, "armor": self.armored}
        count = self._row.recipient_count(self._source, self._options.limits)
        if count:
            if (count, len(self._openers)) != (1, 1):
                message = f"the archive has {count} recipients, and who they are does not stand in it"
                raise UnsupportedError(message, option="recipient")
            return {**options, "recipients": self._openers}
        if self._options.password is None:
            message = "the archive is not encrypted, so that there is no password to seal it with again"
            raise UnsupportedError(message)
        return {**options, "password": self._options.password}

    def check_replaceable(self) -> None:
        """Raise `UnsupportedError` where an archive written anew would lack something of what the file has now."""
        what = None
        if isinstance(self._source, JoinedSource):
            what = "is cut into volumes"
        elif not read(self._source, 0, min(self._source.size, _HEAD)).lstrip().startswith(self._row.magic):
            what = "has a program in front"
        elif links := [entry.name for entry in self.entries if entry.kind == "symlink"]:
            what = f"has symlinks ({links[0]!r})"
        if what is not None:
            message = f"the archive {what}, which would be lost, and is not replaced"
            raise UnsupportedError(message)

    def close(self) -> None:
        """Close the archive and the files that `open` gave, and wipe the password."""
        if self._closed:
            return
        self._closed = True
        for file in tuple(self._files):
            file.close()
        self._reader.close()
        self._source.close()
        if self._options.guard is not None:
            self._options.guard.close()
        if self._options.password is not None:
            self._options.password.close()

    def _check_open(self) -> None:
        self._check_process()
        if self._closed:
            message = "the Room is closed"
            raise ValueError(message)

    def _find(self, name: str) -> Entry:
        self._check_open()
        try:
            return self._by_name[name]
        except KeyError:
            if not isinstance(cast("object", name), str):
                message = f"an entry is named by a str, such as entry.name, and not by {type(name).__name__}"
                raise TypeError(message) from None
            message = f"no entry {name!r}"
            raise EntryNotFoundError(message) from None

    def _ours(self, chunks: Iterator[memoryview]) -> Iterator[memoryview]:
        """Give `chunks` in this process alone: a forked child has neither the keys nor the threads."""
        while True:
            self._check_process()
            chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def _check_total(self, entries: Iterable[Entry]) -> None:
        total, limit = _total(entries), self._options.limits.total_size
        if total > limit:
            message = f"{total} bytes are above the total_size limit of {limit}"
            raise LimitError(message)

    def _check_all(self, meter: Meter) -> None:
        """Verify everything, and raise the first thing that is wrong."""
        for _, error in self._checked(meter):
            if error is not None:
                raise error

    def _checked(self, meter: Meter) -> Iterator[tuple[Entry, StrongroomError | None]]:
        """Read every entry; runs of small ones side by side, since each costs a key derivation."""
        small: list[Entry] = []
        for entry in (*self.entries, None):
            if entry is not None and entry.packed_size <= _SMALL and entry.size <= _SMALL:
                small.append(entry)
                continue
            for result in ordered_map(self._check, small, self._options.threads):
                meter.tick(result[0].size)  # in this thread, as the caller may expect
                yield result
            small.clear()
            if entry is not None:
                yield self._check(entry, meter.tick)

    def _check(
        self, entry: Entry, tick: Callable[[int], object] = lambda _: None
    ) -> tuple[Entry, StrongroomError | None]:
        try:
            self._reader.check(entry, tick)
        except StrongroomError as error:
            return entry, error
        return entry, None


def _total(entries: Iterable[Entry]) -> int:
    return sum(entry.size for entry in entries)
