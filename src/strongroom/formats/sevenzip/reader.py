"""Reads a 7z file, strictly: what two readers could read in two ways is refused.

7z has no authentication code. Where there is a manifest, it vouches for the header before that is decoded, and for an
entry's pack streams, by their digests, before the first byte of them is. Without one there is a CRC-32 of each entry,
and of the header. It tells damage and a wrong password, not someone who changes the file on purpose: whoever knows some
of the plaintext can flip bits in it and mend the CRCs, at least where the header is not encrypted. Nothing of an entry
is then given out before all of it matches its CRC.

An entry is a part of what its folder unpacks to, behind those before it. So the reader keeps its place in a folder, and
who reads in order decodes each folder once.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from strongroom.compression import crc32
from strongroom.errors import FormatError, LimitError, StrongroomError, TamperedError, UnsupportedError, WrongKeyError
from strongroom.flow import CHUNK
from strongroom.formats.marks import Marks
from strongroom.formats.sevenzip import coders, crypto, directory, stored
from strongroom.formats.sevenzip.evidence import Shown, derive, described, salts
from strongroom.limits import KIB, MIB
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from strongroom.formats import Entry, ReaderOptions
    from strongroom.formats.sevenzip.digests import Digests
    from strongroom.formats.sevenzip.directory import Archive, Outline, Place, Record
    from strongroom.formats.sevenzip.stored import Stored
    from strongroom.manifest.checking import Guard
    from strongroom.source import Source

_HELD: Final = 16 * MIB
"""Up to this size an entry is held in memory until its CRC is known; a longer one is decoded twice."""

_PROBES: Final = 4  # folders that are tried before the password is said to be wrong, and not one of them damaged
_PROBE_WHOLE: Final = 1 * MIB  # entries up to here are checked whole when the archive is opened;
_PROBE_START: Final = 4 * KIB  # of longer ones the decoder must accept the start, where a wrong key makes noise
_MOST_WORK: Final = 16  # times `kdf_work`: what all keys together may cost; 512 keys as other tools derive them
_LEAST_WORK: Final = 1 << 16  # rounds that a key counts at least, since each takes a page of memory


class _Walk:
    """A way through what a folder unpacks to, forward only. `index` is the entry that a check comes to next."""

    def __init__(self, folder: int, size: int, chunks: Iterator[memoryview]) -> None:
        self.folder = folder
        self.position = 0
        self.index = 0
        self._left = size
        self._chunks = chunks
        self._chunk = memoryview(b"")

    def take(self, size: int) -> Iterator[memoryview]:
        """Give the next `size` bytes in pieces; with the last ones the decoder must come to its end."""
        while size:
            if not self._chunk:
                self._chunk = self._next()
            piece = self._chunk[:size]
            self._chunk = self._chunk[len(piece) :]
            size -= len(piece)
            self.position += len(piece)
            self._left -= len(piece)
            yield piece
        if not self._left and next(self._chunks, None) is not None:
            message = "the folder unpacks to more than its size"
            raise FormatError(message)

    def skip(self, size: int) -> None:
        for _ in self.take(size):
            pass

    def _next(self) -> memoryview:
        for chunk in self._chunks:
            if chunk:
                return chunk
        message = "the folder could not be decoded up to here"
        raise FormatError(message)


class Reader:
    """See `formats.Reader`."""

    def __init__(self, source: Source, options: ReaderOptions) -> None:
        self._source = source
        self._options = options
        self._keys: dict[tuple[bytes, int], crypto.Key] = {}
        self._keys_lock = threading.Lock()
        self._work = 0
        self._marks = Marks()
        self._before: dict[int, bytes] = {}  # the block of ciphertext before the chunk at an offset
        self._vouched: set[str] = set()  # entries whose pack streams the manifest has
        self._sound: set[str] = set()  # entries that matched their CRC
        self._verdicts: dict[str, StrongroomError | None] = {}
        self._checking: _Walk | None = None
        self._check_lock = threading.Lock()
        self._releasing: _Walk | None = None
        self._shown: Shown | None = None
        self._digests: Digests | None = None  # there where the manifest is
        self._tools = coders.Tools(options.limits, options.threads, self._key)
        try:
            self._archive = self._open(directory.locate(source, options.limits), options.guard)
            self._by_name = {record.entry.name: record for record in self._archive.records}
            self.entries: tuple[Entry, ...] = tuple(record.entry for record in self._archive.records)
            self._check_password()
        except BaseException:
            self.close()
            raise

    def _open(self, outline: Outline, guard: Guard | None) -> Archive:
        """Decode the header, once the manifest has vouched for it, or the archive shows no sign that it had one."""
        load = partial(directory.load, outline, self._options.limits, self._tools)
        if guard is None:
            return load()
        guard.share(partial(derive, self._key))
        shown = self._shown = Shown(self._source, outline, self._options.limits, load, self._key)
        guard.open(shown)
        archive = shown.archive()
        if guard.covers_data:
            self._digests = shown.digests(self._options.threads)
        for salt in {salt for folder in archive.folders for salt in salts(folder)}:
            self._miss(salt)
        if guard.covers_data and any(record.number >= len(shown.fields) for record in archive.records):
            message = f"the manifest has {len(shown.fields)} records for {len(archive.records)} entries"
            raise FormatError(message)
        return archive

    def seekable(self, entry: Entry) -> bool:
        """See `formats.Reader`."""
        return self._stored(self._by_name[entry.name]) is not None

    def piecewise(self, entry: Entry) -> bool:  # noqa: ARG002 - there is no tag but the manifest's
        """See `formats.Reader`."""
        return False

    def chunks(self, entry: Entry, start: int = 0) -> Iterator[memoryview]:
        """See `formats.Reader`.

        Raises `WrongKeyError` without a password, `TamperedError` where encrypted data does not decode or match its CRC
        (the password is then wrong, or the data damaged), `FormatError` where unencrypted data does not,
        `UnsupportedError`, also where it takes an option to read the entry, which it names.
        """
        record = self._by_name[entry.name]
        self._refuse(record)
        if record.folder is None:
            return
        if not self._vouch(record) and entry.name not in self._sound:
            if entry.size <= _HELD:
                yield from self._held(record, start)
                return
            self.check(entry, lambda _: None)
        data = self._stored(record)
        first, skip = (0, start) if data is None else divmod(start, CHUNK)
        if data is None:
            plain = self._unpacked(record)
        else:
            plain = stored.chunks(self._job(data), self._before.__getitem__, first)
        for chunk in plain:
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(skip - len(chunk), 0)

    def fill(self, entry: Entry, target: memoryview) -> None:
        """See `formats.Reader`. Takes one reading of what is stored, since nobody sees `target` before it is over."""
        record = self._by_name[entry.name]
        try:
            self._refuse(record)
            if record.folder is None:
                return
            data = self._stored(record)
            if data is not None and self._guard is not None and self._guard.covers_data:
                self._fill_stored(record, data, target)
                return
            self._vouch(record)
            with self._walk_to(record) as walk:
                position = 0

                def put(chunk: memoryview) -> None:
                    nonlocal position
                    target[position : position + len(chunk)] = chunk
                    position += len(chunk)

                self._match(record, walk, put)
        except BaseException:
            wipe(target)
            raise

    def check(self, entry: Entry, tick: Callable[[int], object]) -> None:
        """See `formats.Reader`. May be called by several threads at once.

        Whoever asks for an entry of several in a folder has those before it checked as well; their verdicts are kept
        until they are asked for. So a folder is decoded once, in whatever order its entries come. What is stored, and
        the manifest vouches for, is not decoded.
        """
        record = self._by_name[entry.name]
        self._refuse(record)
        if record.folder is None:
            return
        if self._vouch(record) and self._stored(record) is not None:
            tick(entry.size)
            return
        if len(self._archive.groups[record.folder]) == 1:
            with self._as_tampering(record):
                self._match(record, self._walk(record.folder), lambda chunk: tick(len(chunk)))
            return
        with self._check_lock:
            verdict = self._verdict(record, record.folder)
        if verdict is not None:
            raise verdict
        tick(entry.size)

    def close(self) -> None:
        """See `formats.Reader`."""
        self._checking = self._releasing = None
        if self._shown is not None:
            self._shown.close()
        for key in self._keys.values():
            key.close()
        self._keys.clear()
        self._marks.close()
        self._before.clear()
        self._vouched.clear()
        self._sound.clear()
        self._verdicts.clear()

    def _refuse(self, record: Record) -> None:
        """Raise what an entry is refused with before its data is looked at. What has no data hides none."""
        entry, options = record.entry, self._options
        if record.folder is None:
            return
        if not entry.encrypted and not options.allow_plaintext:
            message = f"{entry.name!r} is not encrypted"
            raise UnsupportedError(message, option="allow_plaintext")
        if entry.encrypted and options.password is None:
            message = f"{entry.name!r} is encrypted, and no password was given"
            raise WrongKeyError(message)
        if record.crc is None:
            message = f"{entry.name!r} has no CRC-32: nothing says whether its data is whole"
            raise UnsupportedError(message)

    # The password

    def _key(self, properties: crypto.AesProperties) -> crypto.Key:
        """Return the key for a salt. An archive has one, or few; one that has thousands is there to keep us busy.

        Nothing is decrypted past this place, so that here a manifest that was removed is missed in any case.
        """
        self._miss(properties.salt)
        if self._options.password is None:
            message = "the archive is encrypted, and no password was given"
            raise WrongKeyError(message)
        limits, place = self._options.limits, (properties.salt, properties.cycles_power)
        with self._keys_lock:
            key = self._keys.get(place)
            if key is None:
                self._work += min(max(1 << properties.cycles_power, _LEAST_WORK), limits.kdf_work)
                if self._work > _MOST_WORK * limits.kdf_work:
                    message = f"the archive's {len(self._keys) + 1} keys take more than {_MOST_WORK} times kdf_work"
                    raise LimitError(message)
                key = self._keys[place] = crypto.Key(self._options.password, *place, limits)
        return key

    def _check_password(self) -> None:
        """Raise `WrongKeyError` where the password fits none of a few folders.

        An encrypted header has said so already. Else the format has no verifier: what tells is the CRC of a short
        entry, or that a decoder chokes on the first bytes that a wrong key gives it. Several folders are tried, the
        cheapest first, since one alone may be damaged. Of a single long stored entry nothing tells before its CRC.
        """
        if self._options.password is None or self._archive.encrypted:
            return
        groups = (group for group in self._archive.groups if group and group[0].entry.encrypted)
        firsts = sorted((group[0] for group in groups), key=lambda record: record.entry.size)[:_PROBES]
        if firsts and not any(map(self._fits, firsts)):
            message = f"the password does not fit {firsts[0].entry.name!r}, or its data is damaged from the start"
            raise WrongKeyError(message)

    def _fits(self, record: Record) -> bool:
        """Whether the key fits, as far as the start of a folder tells."""
        entry, folder = record.entry, record.folder or 0
        try:
            coders.check(self._archive.folders[folder])
        except UnsupportedError:
            return True
        coders.derive_keys(self._archive.folders[folder], self._tools)
        try:
            walk = self._walk(folder)
            if entry.size <= _PROBE_WHOLE and record.crc is not None:
                self._match(record, walk, lambda _: None)
            else:
                walk.skip(min(entry.size, _PROBE_START))
        except (FormatError, LimitError, TamperedError):
            return False
        return True

    # The manifest

    def _miss(self, salt: bytes) -> None:
        if self._guard is not None:
            self._guard.miss(salt, "the salt of its key says that it had one")

    @property
    def _guard(self) -> Guard | None:
        return self._options.guard

    @property
    def _known(self) -> Digests:
        return cast("Digests", self._digests)

    def _vouch(self, record: Record) -> bool:
        """Whether there is a manifest, which then says that the entry's pack streams are those that were sealed.

        They are read for that once a folder. Raises `TamperedError` where they are not.
        """
        if self._guard is None or not self._guard.covers_data:
            return False
        if record.entry.name not in self._vouched:
            self._attest(record, self._known.of(record.folder or 0, self._mark))
        return record.entry.name in self._vouched

    def _attest(self, record: Record, digests: tuple[bytes, ...]) -> None:
        guard = cast("Guard", self._guard)
        guard.entry(record.number, described(self._archive, record, digests))
        if guard.covers_data:  # else it does not hold, and that is to be ignored
            self._vouched.add(record.entry.name)

    # What is stored

    def _stored(self, record: Record) -> Stored | None:
        """Return where an entry's data is, if it is stored in a folder of its own."""
        number, archive = record.folder, self._archive
        if number is None or len(archive.groups[number]) != 1 or record.entry.size != archive.folders[number].size:
            return None
        return stored.stored(archive.folders[number], archive.places[number])

    def _job(self, data: Stored) -> stored.Job:
        return stored.Job(self._source, data, self._key(data.properties), self._options.threads, self._mark)

    def _fill_stored(self, record: Record, data: Stored, target: memoryview) -> None:
        folder = record.folder or 0
        try:
            digest = stored.fill(self._job(data), target, partial(self._known.tag, folder, 0))
        except ValueError as error:
            raise TamperedError(str(error)) from None
        self._known.put(folder, (digest,))
        if record.entry.name not in self._vouched:
            self._attest(record, (digest,))

    # What folders unpack to

    def _unpacked(self, record: Record) -> Iterator[memoryview]:
        """Give an entry's data that was checked before, packed or unpacked."""
        with self._walk_to(record) as walk:
            yield from walk.take(record.entry.size)

    def _walk(self, number: int) -> _Walk:
        """Begin a way through a folder."""
        folder = self._archive.folders[number]
        packs = [self._packed(place) for place in self._archive.places[number]]
        return _Walk(number, folder.size, coders.unpack(folder, packs, self._tools))

    def _packed(self, place: Place) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(min(place.size, CHUNK)))
        for position in range(0, place.size, CHUNK):
            chunk = buffer[: min(CHUNK, place.size - position)]
            self._source.read_into(place.offset + position, chunk)
            self._mark(place.offset + position, chunk)
            yield chunk

    def _mark(self, offset: int, chunk: memoryview) -> None:
        """Keep what packed data was when it was first read: what is decoded again must be what matched the CRC."""
        if not self._marks.same(offset, chunk):
            message = f"the archive changed while it was read, within {len(chunk)} bytes from byte {offset}"
            raise TamperedError(message)
        self._before[offset + len(chunk)] = bytes(chunk[-crypto.BLOCK :])

    @contextmanager
    def _walk_to(self, record: Record) -> Generator[_Walk]:
        """Give a way that has come to the entry: the last one that released something, or a new one.

        Nobody else has it meanwhile: two entries that are read by turns have a way each.
        """
        walk, self._releasing = self._releasing, None
        with self._as_tampering(record):
            if walk is None or walk.folder != record.folder or walk.position > record.start:
                walk = self._walk(record.folder or 0)
            walk.skip(record.start - walk.position)
            try:
                yield walk
            except GeneratorExit:
                self._releasing = walk
                raise
        self._releasing = walk

    @contextmanager
    def _as_tampering(self, record: Record) -> Generator[None]:
        """Call it tampering where encrypted data does not decode: with the right key, nothing else can be the cause."""
        try:
            yield
        except FormatError as error:
            if not record.entry.encrypted:
                raise
            message = f"{record.entry.name!r} does not decode: the password is wrong, or the data damaged ({error})"
            raise TamperedError(message) from None

    def _match(self, record: Record, walk: _Walk, put: Callable[[memoryview], object]) -> None:
        """Take an entry, and check its CRC-32."""
        crc = 0
        for chunk in walk.take(record.entry.size):
            crc = crc32(chunk, crc)
            put(chunk)
        if crc != record.crc:
            message = f"the CRC-32 of {record.entry.name!r} does not fit"
            if record.entry.encrypted:
                raise TamperedError(message + ": the password is wrong, or the data damaged")
            raise FormatError(message, spec="7zFormat, Digests")
        self._sound.add(record.entry.name)

    def _held(self, record: Record, start: int) -> Iterator[memoryview]:
        """Decode an entry into memory, check it there, and give it out."""
        data = memoryview(bytearray(record.entry.size))
        try:
            self.fill(record.entry, data)
            for position in range(start, len(data), CHUNK):
                yield data[position : position + CHUNK]
        finally:
            wipe(data)

    def _verdict(self, record: Record, number: int) -> StrongroomError | None:
        """Return what is wrong with an entry of several in a folder; checks those before it on the way."""
        if record.entry.name not in self._verdicts:
            walk = self._checking
            if walk is None or walk.folder != number or walk.index > record.nth:
                walk = self._checking = self._walk(number)
            for other in self._archive.groups[number][walk.index : record.nth + 1]:
                walk.index += 1
                self._verdicts[other.entry.name] = None
                try:
                    with self._as_tampering(other):
                        self._match(other, walk, lambda _: None)
                except StrongroomError as error:
                    self._verdicts[other.entry.name] = error
        return self._verdicts.pop(record.entry.name)
