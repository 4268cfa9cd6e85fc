"""A Room that is being sealed."""

from __future__ import annotations

import warnings
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast, overload

from strongroom.errors import OutputError, StrongroomWarning
from strongroom.flow import Chunk, as_bytes, chunks_of
from strongroom.formats import Entry, Format, Member, WriterOptions
from strongroom.limits import Limits
from strongroom.names import Tree
from strongroom.room.base import Meter, Progress, Room, parse_mode
from strongroom.room.files import EntryFile, TextEntryFile
from strongroom.room.rereading import Hashed, reread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from typing_extensions import Buffer

    from strongroom.flow import Readable
    from strongroom.layers import Layer
    from strongroom.output import Output
    from strongroom.room.receipting import Receipting
    from strongroom.room.staging import Item

    Data = Buffer | Readable | Iterable[Buffer]
else:
    Data = object

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
_LONGEST_NAME = Limits().name_length


class WriteRoom(Room):
    """An archive that is being sealed, made by `create`.

    It appears under its name when `close` is called or the `with` block ends. An exception in the block, or in the
    block of a file that `open` gave, discards it; where such an exception was swallowed, `close` raises `OutputError`.
    """

    def __init__(
        self,
        row: Format,
        options: WriterOptions,
        output: Output,
        *,
        verify: bool,
        progress: Progress | None,
        receipt: Receipting | None = None,
    ) -> None:
        super().__init__()
        self._format = row
        self._options = options._replace(patchable=output.patchable)
        self._output = output if not verify or row.manifest else Hashed(output)
        self._writer = row.writer(self._options)
        self._verify = verify
        self._receipt = receipt
        self._progress = progress
        self._done = 0
        self._total: int | None = None  # as progress is told
        self._expected: int | None = None
        self._tree = Tree()
        self._current: EntryFile | None = None
        self._last_check: Callable[[], object] | None = None
        self._state: Literal["open", "closed", "discarded"] = "open"
        self._reason = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries that are complete."""
        return tuple(self._writer.entries)

    def write(
        self,
        name: str,
        data: Data,
        *,
        layer: Layer | None = None,
        modified: datetime | None = None,
        mode: int = _FILE_MODE,
    ) -> None:
        """Add an entry with `data`: a bytes-like object, a binary file, or an iterable of bytes-like objects.

        `modified` is an aware datetime, by default now; `mode` the Unix permissions that are recorded. With a `layer`
        it is encrypted once more, into entries that the layer names.
        Raises `ValueError` for a name that is there already or could not be extracted safely; the archive is then as it
        was. An error of `data` or of the output discards the archive.
        """
        if layer is not None:
            self._write_wrapped(layer, name, data, modified, mode)
            return
        chunks = chunks_of(data)
        entry = self._begin(name, "file", modified, mode)
        if self._total is None and (view := as_bytes(data)) is not None:
            self._total = self._done + len(view)
        with entry:
            for chunk in chunks:
                entry.take(chunk)

    def mkdir(self, name: str, *, modified: datetime | None = None, mode: int = _FOLDER_MODE) -> None:
        """Add an empty folder. Folders of files need not be added."""
        self._begin(name, "directory", modified, mode).close()

    def add(self, item: Item) -> None:
        """Add a file or folder of the local disk or of a RamFS, with its time."""
        if item.folder:
            self.mkdir(item.name, modified=item.modified)
            return
        with item.open() as file:
            self.write(item.name, file, modified=item.modified, mode=item.mode)

    @overload
    def open(
        self, name: str, mode: Literal["w", "wt", "r", "rt"] = ..., *, modified: datetime | None = ...
    ) -> TextEntryFile: ...
    @overload
    def open(self, name: str, mode: Literal["wb", "rb"], *, modified: datetime | None = ...) -> EntryFile: ...
    def open(self, name: str, mode: str = "r", *, modified: datetime | None = None) -> EntryFile | TextEntryFile:
        """Begin an entry, and return a file to write it to: "w" for text in UTF-8, "wb" for bytes.

        One entry is written at a time. Raises `ValueError` where the one before is still open.
        """
        text = parse_mode(mode, "w")
        entry = self._begin(name, "file", modified, _FILE_MODE)
        return TextEntryFile(entry) if text else entry

    def expect(self, total: int | None) -> None:
        """Tell `progress` how many bytes will come in all, if that is known."""
        self._expected = total

    def before_it_appears(self, check: Callable[[], object]) -> None:
        """Have `close` call `check` when all is on the disk; what that raises discards the archive."""
        self._last_check = check

    def close(self) -> None:
        """End the archive, bring it to the disk, verify it if that was asked for, and let it appear under its name.

        Its receipt follows it; where that fails, the archive is there, and the `OutputError` says so.
        """
        if self._state == "closed":
            return
        try:
            if self._current is not None:
                self._discard(f"entry {self._current.name!r} was not closed")
            self._check()
            self._warn_of_bomb()
            self._output.write(self._writer.finish())
            self._output.finish()
            if self._verify:
                self._reread()
            if self._receipt is not None:
                self._receipt.prepare(self._output, self.entries, self._rereading())
            if self._last_check is not None:
                self._last_check()
            self._output.publish()
        except BaseException:
            self._discard("it could not be completed")
            raise
        finally:
            self._release()
        if self._receipt is not None:
            self._receipt.publish()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        self._discard("an exception was raised")
        self._release()

    def __del__(self) -> None:
        if getattr(self, "_state", "closed") != "closed":
            if self._state == "open":
                message = "the archive was not closed, and so was not written: use `with`, or close()"
                warnings.warn(message, StrongroomWarning, stacklevel=2)
            self._discard("it was not closed")
            self._release()

    def _write_wrapped(self, layer: Layer, name: str, data: Data, modified: datetime | None, mode: int) -> None:
        self._check()
        begun = False
        try:
            for part, pieces in layer.wrap(name, data):
                with closing(pieces):  # which wipes the key, also where the archive fails
                    self.write(part, pieces, modified=modified, mode=mode)
                begun = True
        except BaseException:
            if begun:
                self._discard(f"entry {name!r} failed")
            raise

    def _begin(self, name: str, kind: Literal["file", "directory"], modified: datetime | None, mode: int) -> EntryFile:
        self._check()
        if not isinstance(cast("object", name), str):
            message = f"an entry name is a str, not {type(name).__name__}"
            raise TypeError(message)
        if self._current is not None:
            message = f"entry {self._current.name!r} is still open: one is written at a time"
            raise ValueError(message)
        modified = datetime.now(UTC).replace(microsecond=0) if modified is None else modified
        if modified.utcoffset() is None:
            message = "modified is an aware datetime, with a time zone"
            raise ValueError(message)
        if (size := len(name.encode(errors="surrogatepass"))) > _LONGEST_NAME:
            message = f"the entry name has {size} bytes; readers are only sure to take {_LONGEST_NAME}"
            raise ValueError(message)
        try:
            modified = modified.astimezone(UTC)
        except OverflowError:
            message = "modified is outside the years 1 to 9999 in UTC"
            raise ValueError(message) from None
        if reason := self._tree.add(name, folder=kind == "directory"):  # last, since it takes the name
            message = f"entry name {name!r} {reason}"
            raise ValueError(message)
        member = Member(name=name, kind=kind, modified=modified, mode=mode & 0o777)
        self._total = self._expected
        self._encoder = self._writer.entry(member)
        self._current = EntryFile(name, self._take, self._end, self._discard)
        return self._current

    def _check(self) -> None:
        self._check_process()
        if self._state == "discarded":
            message = f"the archive was discarded, because {self._reason}"
            raise OutputError(message)
        if self._state == "closed":
            message = "the Room is closed"
            raise ValueError(message)

    def _reread(self) -> None:
        if isinstance(self._output, Hashed):
            self._output.compare(self._rereading())
        else:
            reread(self._format, self._options, self._output, len(self.entries), self._progress)

    def _rereading(self) -> Callable[[int, int], None]:
        """Return what tells `progress` of bytes of the file that are read again, as bytes of the entries' data."""
        total = sum(entry.size for entry in self.entries)
        meter = Meter(self._progress, total)
        return lambda done, size: meter.reach(total * done // size)

    # For EntryFile

    def _take(self, chunk: Chunk) -> None:
        self._check()
        self._done += len(chunk.data)
        self._output.write(self._encoder.update(chunk))
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _end(self) -> None:
        self._check()
        self._output.write(self._encoder.finish())
        self._encoder.close()
        self._current = None

    def _warn_of_bomb(self) -> None:
        limits = Limits()
        sizes = [(entry.size, entry.packed_size) for entry in self._writer.entries]
        whole = sum(size for size, _ in sizes), sum(packed_size for _, packed_size in sizes)
        if worst := [pair for pair in (*sizes, whole) if limits.is_bomb(*pair)]:
            ratio = max(size // max(packed_size, 1) for size, packed_size in worst)
            message = f"the data packs {ratio}:1; readers take it for a bomb until their ratio limit is {ratio + 1}"
            warnings.warn(message, StrongroomWarning, stacklevel=3)

    def _discard(self, reason: str) -> None:
        """Forget the archive. The first reason is the one that counts."""
        if self._state != "open":
            return
        self._state, self._reason = "discarded", reason
        current, self._current = self._current, None
        if current is not None:
            current.abort()
            self._encoder.close()
        self._output.discard()
        if self._receipt is not None:
            self._receipt.discard()

    def _release(self) -> None:
        self._state = "closed"
        try:
            self._writer.close()
        finally:
            if self._options.manifest is not None:
                self._options.manifest.close()
            if self._options.password is not None:
                self._options.password.close()
