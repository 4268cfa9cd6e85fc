"""Reads a ZIP file, strictly: what two readers could read in two ways is refused.

The central directory is read once and used from that copy. An entry's local header, data descriptor and data are
checked when it is read, and nothing of it is given out before its authentication code holds.

Inside an envelope, which authenticates the file piece by piece, entries have no code of their own. There, what is read
from an entry's start is authenticated first, up to its end, and what is read from anywhere else piece by piece.
"""

from __future__ import annotations

import hmac
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, Final

from strongroom.compression import BY_ZIP_METHOD, Request, crc32, decode
from strongroom.errors import FormatError, StrongroomError, TamperedError, UnsupportedError, WrongKeyError
from strongroom.flow import CHUNK, Pipeline, Stage
from strongroom.formats.marks import Marks
from strongroom.formats.zip import crypto, extras, spec
from strongroom.formats.zip.directory import Directory, Record
from strongroom.formats.zip.evidence import Shown, located
from strongroom.formats.zip.local import Place, check_local, locate
from strongroom.limits import MIB
from strongroom.memory.secret import wipe
from strongroom.memory.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from strongroom.formats import Entry, ReaderOptions
    from strongroom.manifest.checking import Guard
    from strongroom.memory.secret import Secret
    from strongroom.source import Source

_WHOLE: Final = 16 * MIB
"""Up to this packed size an entry is read once into memory; a longer one is read twice."""
_ALONE: Final = 2  # chunks; what somebody asks for seldom begins where one does


class Reader:
    """See `formats.Reader`."""

    def __init__(self, source: Source, options: ReaderOptions) -> None:
        self._source = source
        self._options = options
        self._directory = Directory(source, options.limits)
        self._slots = Slots(crypto.KEYS_SIZE)
        self._marks = Marks()
        self._marked: set[str] = set()  # entries whose first reading is done
        self.entries: tuple[Entry, ...] = tuple(record.entry for record in self._directory.records)
        self._guard: Guard | None = None  # until it has checked the directory
        self._check_open(options.guard)

    def _check_open(self, guard: Guard | None) -> None:
        """Check the password and the manifest.

        Where that says that the password is right, the verifier was changed, and its record does not hold; or else what
        was given is the SHA-256 digest of a long password, which HMAC-SHA256 takes for the password itself.
        """
        shown = Shown(self._source, self._directory, self._authentic)
        first = next((record for record in self._directory.records if record.aes), None)
        wrong: WrongKeyError | None = None
        if first and first.aes and self._options.password:
            try:
                self._keys(first, first.aes, locate(self._source, first)).close()
            except WrongKeyError as error:
                if guard is None or not guard.fits(shown):
                    raise
                wrong = error
        if guard is not None:
            guard.open(shown)
            self._guard = guard
        if first and self._options.password:
            self._place(first)
        if wrong is not None and guard is not None and guard.covers_data:
            raise wrong

    def _authentic(self) -> bool:
        """See `manifest.Shown`; the shortest entry says it."""
        records = [record for record in self._directory.records if record.aes]
        record = min(records, key=lambda record: record.entry.packed_size, default=None)
        if record is None or record.aes is None:
            return False
        try:
            place = locate(self._source, record)
            data = self._data(record, record.aes, place)
            with self._keys(record, record.aes, place) as keys:
                self._mark(record, data, keys)
        except StrongroomError:
            return False
        return True

    def seekable(self, entry: Entry) -> bool:
        """See `formats.Reader`."""
        if entry.method != "store":
            return False
        return self._directory.by_name[entry.name].aes is not None or self._enveloped(entry)

    def piecewise(self, entry: Entry) -> bool:
        """See `formats.Reader`."""
        return self._enveloped(entry) and self.seekable(entry)

    def chunks(self, entry: Entry, start: int = 0) -> Iterator[memoryview]:
        """See `formats.Reader`.

        Raises `WrongKeyError`, `TamperedError`, `FormatError`, and `UnsupportedError`, also where it takes an option to
        read the entry, which it names.
        """
        return self._chunks(entry, start, self._options.authenticate)

    def _chunks(
        self, entry: Entry, start: int, authenticate: Callable[[int, int], object] | None
    ) -> Iterator[memoryview]:
        record = self._directory.by_name[entry.name]
        self._refuse(record)
        codec = BY_ZIP_METHOD.get(record.method)
        if codec is None:
            message = f"{entry.name!r} is compressed with method {record.method}, which is not supported"
            raise UnsupportedError(message)
        place = self._place(record)
        direct = self.seekable(entry)
        first, skip = (start // CHUNK, start % CHUNK) if direct else (0, start)
        if authenticate is not None and not first and entry.size > _WHOLE and entry.name not in self._marked:
            authenticate(place.offset, place.size)
            self._marked.add(entry.name)
        end_mark = codec.name != "lzma" or bool(record.header.flags & spec.LZMA_END_MARK)
        request = Request(size=max(entry.size - first * CHUNK, 0), limits=self._options.limits, end_mark=end_mark)
        with closing(self._decrypted(record, place, first)) as packed:  # and so the keys, which a traceback may hold
            plain = decode(codec, request, packed)
            if record.aes is None or record.aes.version == 1:
                plain = self._with_crc(record, plain, whole=not first)
            for chunk in _ended(plain, request.size):
                if skip < len(chunk):
                    yield chunk[skip:]
                skip = max(skip - len(chunk), 0)

    def fill(self, entry: Entry, target: memoryview) -> None:
        """See `formats.Reader`. Long stored entries take one reading, since nobody sees `target` before it is over."""
        record = self._directory.by_name[entry.name]
        try:
            if record.aes and self._long_and_stored(record):
                self._refuse(record)
                place = self._place(record)
                with self._keys(record, record.aes, place) as keys:
                    self._fill_stored(record, self._data(record, record.aes, place), keys, target)
                return
            position = 0
            for chunk in self._chunks(entry, 0, None):  # what raises is not seen
                target[position : position + len(chunk)] = chunk
                position += len(chunk)
        except BaseException:
            wipe(target)
            raise

    def check(self, entry: Entry, tick: Callable[[int], object]) -> None:
        """See `formats.Reader`. Of a long stored entry the authentication code says all that decrypting it would."""
        record = self._directory.by_name[entry.name]
        if record.aes and self._long_and_stored(record):
            self._refuse(record)
            place = self._place(record)
            with self._keys(record, record.aes, place) as keys:
                self._mark(record, self._data(record, record.aes, place), keys, tick)
        else:
            for chunk in self._chunks(entry, 0, None):
                tick(len(chunk))
            if self._enveloped(entry):
                self._marked.add(entry.name)

    def close(self) -> None:
        """See `formats.Reader`."""
        self._marks.close()
        self._marked.clear()
        self._slots.close()

    @staticmethod
    def _long_and_stored(record: Record) -> bool:
        """Whether an entry is checked by its authentication code alone, and too long to be read at once."""
        ae2 = record.aes is not None and record.aes.version != 1
        return ae2 and record.entry.method == "store" and record.entry.size > _WHOLE

    def _enveloped(self, entry: Entry) -> bool:
        """Whether what is around the archive stands for an entry's encryption."""
        return self._options.authenticate is not None and not entry.encrypted

    def _refuse(self, record: Record) -> None:
        """Raise what an entry is refused with before its data is looked at."""
        entry, flags, options = record.entry, record.header.flags, self._options
        if flags & (spec.STRONG | spec.PATCH_DATA):
            message = f"{entry.name!r} has PKWARE strong encryption or patch data, which is not supported"
            raise UnsupportedError(message)
        if entry.kind == "directory" and not entry.encrypted:
            return
        if entry.encrypted and options.authenticate is not None:
            message = f"{entry.name!r} is encrypted once more, inside the envelope"
            raise UnsupportedError(message)
        if not entry.encrypted and not options.allow_plaintext and not self._enveloped(entry):
            message = f"{entry.name!r} is not encrypted"
            raise UnsupportedError(message, option="allow_plaintext")
        if entry.encrypted and not record.aes and not options.legacy:
            message = f"{entry.name!r} has ZipCrypto encryption, which is broken"
            raise UnsupportedError(message, option="legacy")
        if entry.encrypted and options.password is None:
            message = f"{entry.name!r} is encrypted, and no password was given"
            raise WrongKeyError(message)

    # Where the data is

    def _place(self, record: Record) -> Place:
        """Find an entry, and check all that is around its data: against the manifest, against the directory."""
        place = locate(self._source, record)
        if self._guard is not None:
            self._guard.entry(record.number, located(record, place))
        check_local(record, place)
        return place

    # What the data is, packed

    def _decrypted(self, record: Record, place: Place, first: int) -> Generator[memoryview]:
        """Give an entry's data, authenticated and decrypted but still compressed, from chunk `first`."""
        if record.aes:
            return self._aes(record, record.aes, place, first)
        raw = (self._raw_ahead if self._enveloped(record.entry) else self._raw)(place.offset, place.size, first)
        return self._zipcrypto(record, raw) if record.entry.encrypted else raw

    def _raw(self, offset: int, size: int, first: int = 0) -> Generator[memoryview]:
        buffer = memoryview(bytearray(min(size, CHUNK)))
        for position in range(first * CHUNK, size, CHUNK):
            chunk = buffer[: min(CHUNK, size - position)]
            self._source.read_into(offset + position, chunk)
            yield chunk

    def _raw_ahead(self, offset: int, size: int, first: int) -> Generator[memoryview]:
        """As `_raw`, of an envelope: reading is decrypting, and what is read is plaintext.

        Nothing is read ahead of the first chunks, which are all that somebody who seeks may want.
        """
        slots: list[memoryview] = []

        def load(number: int) -> memoryview:
            chunk = slots[number % len(slots)][: size - number * CHUNK]
            self._source.read_into(offset + number * CHUNK, chunk)
            return chunk

        with Pipeline[int, memoryview]([Stage(load, parallel=True)], self._options.threads) as pipeline:
            slots.append(memoryview(bytearray(min(size, CHUNK))))
            try:
                end = -(-size // CHUNK)
                for number in range(first, min(first + _ALONE, end)):
                    yield load(number)
                if end > first + _ALONE:
                    slots += [memoryview(bytearray(CHUNK)) for _ in range(pipeline.depth)]
                for number in range(first + _ALONE, end):
                    yield from pipeline.push(number)
                yield from pipeline.drain()
            finally:
                pipeline.close()
                for chunk in slots:
                    wipe(chunk)

    def _password(self) -> Secret:
        if self._options.password is None:
            message = "no password was given"
            raise WrongKeyError(message)
        return self._options.password

    def _keys(self, record: Record, aes: extras.AesExtra, place: Place) -> crypto.Keys:
        """Derive an entry's keys; raises `WrongKeyError` where they don't fit its verifier."""
        salt, verifier = place.head[: -crypto.VERIFIER_SIZE], place.head[-crypto.VERIFIER_SIZE :]
        keys = crypto.Keys(self._password(), salt, aes.key_bits, self._slots)
        if not hmac.compare_digest(keys.verifier, verifier):
            keys.close()
            message = f"the password does not fit {record.entry.name!r}"
            raise WrongKeyError(message)
        return keys

    def _aes(self, record: Record, aes: extras.AesExtra, place: Place, first: int) -> Generator[memoryview]:
        with self._keys(record, aes, place) as keys:
            data = self._data(record, aes, place)
            if data.size <= _WHOLE:
                yield from self._once(record, data, keys, first)
            else:
                yield from self._twice(record, data, keys, first)

    def _data(self, record: Record, aes: extras.AesExtra, place: Place) -> Place:
        """Return where the ciphertext stands, between salt and authentication code."""
        before = crypto.salt_size(aes.key_bits) + crypto.VERIFIER_SIZE
        data = place._replace(offset=place.offset + before, size=place.size - crypto.overhead(aes.key_bits))
        if record.entry.method == "store" and data.size != record.entry.size:
            message = f"stored entry {record.entry.name!r} has {data.size} bytes, but declares {record.entry.size}"
            raise FormatError(message, offset=record.offset)
        return data

    def _check_tag(self, record: Record, data: Place, computed: bytes) -> None:
        if not hmac.compare_digest(computed, data.code):
            message = f"the authentication code of {record.entry.name!r} does not hold"
            raise TamperedError(message)

    def _once(self, record: Record, data: Place, keys: crypto.Keys, first: int) -> Iterator[memoryview]:
        """One reading into memory, one check, then decryption from that memory."""
        packed = memoryview(bytearray(data.size))
        self._source.read_into(data.offset, packed)
        authenticator = keys.authenticator()
        authenticator.update(packed)
        self._check_tag(record, data, crypto.tag(authenticator))
        out = memoryview(bytearray(min(data.size, CHUNK) + crypto.SLACK))
        keystream = keys.keystream(first * CHUNK // 16)
        try:
            for position in range(first * CHUNK, data.size, CHUNK):
                chunk = packed[position : position + CHUNK]
                keystream.apply(chunk, out)
                yield out[: len(chunk)]
        finally:
            wipe(out)

    def _twice(self, record: Record, data: Place, keys: crypto.Keys, first: int) -> Iterator[memoryview]:
        """A first reading that checks and marks, unless there was one before, and a second that decrypts."""
        if record.entry.name not in self._marked:
            self._mark(record, data, keys)
        slots: list[tuple[memoryview, memoryview]] = []

        def load(number: int) -> memoryview:
            packed, out = slots[number % len(slots)]
            packed = packed[: data.size - number * CHUNK]
            self._source.read_into(data.offset + number * CHUNK, packed)
            self._check_same(record, data.offset + number * CHUNK, packed)
            with keys.keystream(number * CHUNK // 16) as keystream:
                keystream.apply(packed, out)
            return out[: len(packed)]

        with Pipeline[int, memoryview]([Stage(load, parallel=True)], self._options.threads) as pipeline:
            slots += [_slot() for _ in range(pipeline.depth + 1)]
            try:
                for number in range(first, -(-data.size // CHUNK)):
                    yield from pipeline.push(number)
                yield from pipeline.drain()
            finally:
                pipeline.close()
                for _, out in slots:
                    wipe(out)

    def _mark(
        self, record: Record, data: Place, keys: crypto.Keys, tick: Callable[[int], object] | None = None
    ) -> None:
        """Check an entry's authentication code, and mark each chunk as it was then."""
        authenticator = keys.authenticator()
        with Pipeline[memoryview, None]([Stage(authenticator.update)], self._options.threads) as pipeline:
            buffers = [memoryview(bytearray(CHUNK)) for _ in range(pipeline.depth + 1)]
            for number, position in enumerate(range(0, data.size, CHUNK)):
                chunk = buffers[number % len(buffers)][: data.size - position]
                self._source.read_into(data.offset + position, chunk)
                deque(pipeline.push(chunk), maxlen=0)
                self._check_same(record, data.offset + position, chunk)
                if tick is not None:
                    tick(len(chunk))
            deque(pipeline.drain(), maxlen=0)
        self._check_tag(record, data, crypto.tag(authenticator))
        self._marked.add(record.entry.name)

    def _check_same(self, record: Record, place: int, chunk: memoryview) -> None:
        if not self._marks.same(place, chunk):
            message = f"{record.entry.name!r} changed while it was read"
            raise TamperedError(message)

    def _fill_stored(self, record: Record, data: Place, keys: crypto.Keys, target: memoryview) -> None:
        """Decrypt into `target` beside the check, side by side."""
        authenticator = keys.authenticator()

        def decrypt(number: int) -> memoryview:
            packed, spare = slots[number % len(slots)]
            packed = packed[: data.size - number * CHUNK]
            self._source.read_into(data.offset + number * CHUNK, packed)
            out = target[number * CHUNK :]
            if len(out) < len(packed) + crypto.SLACK:
                out = spare
            with keys.keystream(number * CHUNK // 16) as keystream:
                keystream.apply(packed, out)
            if out is spare:
                target[number * CHUNK :] = spare[: len(packed)]
                wipe(spare)
            return packed

        # The authentication code takes longest, and cannot be split: this thread does nothing else.
        beside = self._options.threads - 1
        with Pipeline[int, memoryview]([Stage(decrypt, parallel=beside > 1)], self._options.threads) as pipeline:
            slots = [_slot() for _ in range(pipeline.depth + 1)]
            for number in range(-(-data.size // CHUNK)):
                deque(map(authenticator.update, pipeline.push(number)), maxlen=0)
            deque(map(authenticator.update, pipeline.drain()), maxlen=0)
        self._check_tag(record, data, crypto.tag(authenticator))

    def _zipcrypto(self, record: Record, raw: Iterator[memoryview]) -> Generator[memoryview]:
        """Decrypt what traditional encryption made. The last byte of its header tells most wrong passwords."""
        size = record.entry.packed_size - crypto.ZipCrypto.HEADER_SIZE
        if size < 0 or (record.entry.method == "store" and size != record.entry.size):
            message = f"encrypted entry {record.entry.name!r} has {size} bytes, but declares {record.entry.size}"
            raise FormatError(message, offset=record.offset, spec="APPNOTE 6.1.5")
        header = record.header
        check = header.dos_time >> 8 & 0xFF if header.flags & spec.STREAMED else header.crc >> 24
        skip = crypto.ZipCrypto.HEADER_SIZE
        with closing(crypto.ZipCrypto(self._password())) as cipher:
            for chunk in raw:
                plain = memoryview(cipher.decrypt(chunk))
                if skip and plain[skip - 1] not in (check, header.crc >> 24):
                    message = f"the password does not fit {record.entry.name!r}"
                    raise WrongKeyError(message)
                try:
                    if len(plain) > skip:
                        yield plain[skip:]
                finally:
                    wipe(plain)
                skip = 0

    def _with_crc(self, record: Record, plain: Iterator[memoryview], *, whole: bool) -> Iterator[memoryview]:
        """Check the CRC-32 where there is one: AE-1, ZipCrypto, and files that are not encrypted.

        Where it is the only check there is, entries of up to 16 MiB are held back until it is done.
        """
        hold = not record.aes and record.entry.size <= _WHOLE and (whole or not self._enveloped(record.entry))
        held: list[memoryview] | None = [] if hold else None
        crc = 0
        try:
            for chunk in plain:
                crc = crc32(chunk, crc)
                if held is None:
                    yield chunk
                else:
                    held.append(memoryview(bytearray(chunk)))
            if whole and crc != record.header.crc:
                message = f"the CRC-32 of {record.entry.name!r} does not fit"
                if record.entry.encrypted:
                    message += "" if record.aes else ": the password is wrong, or the data damaged"
                    raise TamperedError(message)
                raise FormatError(message, offset=record.offset, spec="APPNOTE 4.4.7")
            yield from held or ()
        finally:
            for chunk in held or ():
                wipe(chunk)


def _ended(plain: Iterator[memoryview], size: int) -> Iterator[memoryview]:
    """Give `plain`, the last piece only once the end was checked: whoever has `size` bytes asks for nothing more."""
    for chunk in plain:
        size -= len(chunk)
        if size > 0:
            yield chunk
            continue
        last = bytearray(chunk)  # the piece itself is gone once the next is asked for
        try:
            deque(plain, maxlen=0)
            yield memoryview(last)
        finally:
            wipe(last)


def _slot() -> tuple[memoryview, memoryview]:
    """Return room for a chunk as it is read, and as it is decrypted."""
    return memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK + crypto.SLACK))
