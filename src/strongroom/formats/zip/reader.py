"""Reads a ZIP file, strictly: what two readers could read in two ways is refused.

The central directory is read once and used from that copy. An entry's local header, data descriptor and data are
checked when it is read, and nothing of it is given out before its authentication code holds.
"""

from __future__ import annotations

import hmac
import zlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from strongroom.compression import BY_ZIP_METHOD, Request, decode
from strongroom.errors import FormatError, TamperedError, UnsupportedError, WrongKeyError
from strongroom.flow import CHUNK, Pipeline, Stage
from strongroom.formats.marks import Marks
from strongroom.formats.zip import crypto, extras, spec
from strongroom.formats.zip.directory import Directory, Record
from strongroom.limits import MIB
from strongroom.memory.secret import wipe
from strongroom.source import Cursor, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strongroom.formats import Entry, ReaderOptions
    from strongroom.memory.secret import Secret
    from strongroom.source import Source

_WHOLE: Final = 16 * MIB
"""Up to this packed size an entry is read once into memory; a longer one is read twice."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an encrypted or plain entry's data stands in the file, without salt and codes."""

    offset: int
    size: int


class Reader:
    """See `formats.Reader`."""

    def __init__(self, source: Source, options: ReaderOptions) -> None:
        self._source = source
        self._options = options
        self._directory = Directory(source, options.limits)
        self._marks: dict[str, Marks] = {}
        self.entries: tuple[Entry, ...] = tuple(record.entry for record in self._directory.records)
        first = next((record for record in self._directory.records if record.aes), None)
        if first and first.aes and options.password:
            self._keys(first, first.aes, self._place(first)).close()

    def seekable(self, entry: Entry) -> bool:
        """See `formats.Reader`."""
        return entry.method == "store" and self._directory.by_name[entry.name].aes is not None

    def chunks(self, entry: Entry, start: int = 0) -> Iterator[memoryview]:
        """See `formats.Reader`.

        Raises `WrongKeyError`, `TamperedError`, `FormatError`, and `UnsupportedError`, also where it takes an option to
        read the entry, which it names.
        """
        record = self._directory.by_name[entry.name]
        self._refuse(record)
        codec = BY_ZIP_METHOD.get(record.method)
        if codec is None:
            message = f"{entry.name!r} is compressed with method {record.method}, which is not supported"
            raise UnsupportedError(message)
        place = self._place(record)
        direct = self.seekable(entry)
        first, skip = (start // CHUNK, start % CHUNK) if direct else (0, start)
        packed = self._decrypted(record, place, first)
        end_mark = codec.name != "lzma" or bool(record.header.flags & spec.LZMA_END_MARK)
        request = Request(size=max(entry.size - first * CHUNK, 0), limits=self._options.limits, end_mark=end_mark)
        plain = decode(codec, request, packed)
        if record.aes is None or record.aes.version == 1:
            plain = self._with_crc(record, plain, whole=not first)
        for chunk in plain:
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
            for chunk in self.chunks(entry):
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
                self._marks[entry.name] = self._mark(record, self._data(record, record.aes, place), keys, tick)
        else:
            for chunk in self.chunks(entry):
                tick(len(chunk))

    def close(self) -> None:
        """See `formats.Reader`."""
        self._marks.clear()

    @staticmethod
    def _long_and_stored(record: Record) -> bool:
        """Whether an entry is checked by its authentication code alone, and too long to be read at once."""
        ae2 = record.aes is not None and record.aes.version != 1
        return ae2 and record.entry.method == "store" and record.entry.size > _WHOLE

    def _refuse(self, record: Record) -> None:
        """Raise what an entry is refused with before its data is looked at."""
        entry, flags, options = record.entry, record.header.flags, self._options
        if flags & (spec.STRONG | spec.PATCH_DATA):
            message = f"{entry.name!r} has PKWARE strong encryption or patch data, which is not supported"
            raise UnsupportedError(message)
        if entry.kind == "directory" and not entry.encrypted:
            return
        if not entry.encrypted and not options.allow_plaintext:
            message = f"{entry.name!r} is not encrypted"
            raise UnsupportedError(message, option="allow_plaintext")
        if entry.encrypted and not record.aes and not options.legacy:
            message = f"{entry.name!r} has ZipCrypto encryption, which is broken"
            raise UnsupportedError(message, option="legacy")
        if entry.encrypted and options.password is None:
            message = f"{entry.name!r} is encrypted, and no password was given"
            raise WrongKeyError(message)

    # Where the data is

    def _place(self, record: Record) -> _Place:
        """Check the local header, and all that stands before the next entry, against the central directory."""
        header, offset = record.header, record.offset
        fixed = read(self._source, offset, spec.LOCAL_SIZE)
        lengths = int.from_bytes(fixed[26:28], "little") + int.from_bytes(fixed[28:30], "little")
        length = min(spec.LOCAL_SIZE + lengths, record.limit - offset)
        cursor = Cursor(read(self._source, offset, length), offset)
        local = spec.LocalHeader.decode(cursor)
        extra_place = cursor.offset - len(local.extra)
        records = extras.decode_extra(local.extra, extra_place)
        size, packed_size = extras.resolve_zip64(records, (local.size, local.packed_size), extra_place)
        streamed = bool(local.flags & spec.STREAMED)
        self._same("name", local.name, header.name, record)
        # Info-ZIP takes bit 3 back in the local header alone, where it could seek.
        self._same("flags", local.flags | spec.STREAMED, header.flags | spec.STREAMED, record)
        if extras.UNICODE_PATH_ID in records:
            path = extras.decode_name(local.name, local.flags, records, offset)
            self._same("name", path, record.entry.name + "/" * (record.entry.kind == "directory"), record)
        self._same("compression method", local.method, header.method, record)
        self._same("time", local.dos_time, header.dos_time, record)
        if record.aes:
            aes = records.get(extras.AES_ID)
            found = extras.AesExtra.decode(aes, extra_place) if aes is not None else None
            self._same("AES extra field", found, record.aes, record)
        declared = (local.crc, packed_size, size)
        if streamed and record.entry.encrypted and not record.aes and local.crc == (local.dos_time & spec.U16) << 16:
            declared = (0, packed_size, size)  # Info-ZIP puts the time there: the encryption header's check byte
        central = (header.crc, record.entry.packed_size, record.entry.size)
        for what, mine, theirs in zip(("CRC-32", "packed size", "size"), declared, central, strict=True):
            if not (streamed and mine == 0):
                self._same(what, mine, theirs, record)
        place = _Place(cursor.offset, record.entry.packed_size)
        end = place.offset + place.size
        if end > record.limit:
            message = f"entry {record.entry.name!r} overlaps what follows it at byte {record.limit}"
            raise FormatError(message, offset=offset)
        self._check_gap(record, end, central if streamed else None)
        return place

    @staticmethod
    def _same(what: str, local: object, central: object, record: Record) -> None:
        if local != central:
            message = f"local header and central directory differ in the {what} of {record.entry.name!r}"
            raise FormatError(message, offset=record.offset, spec="APPNOTE 4.3.7")

    def _check_gap(self, record: Record, end: int, descriptor: tuple[int, int, int] | None) -> None:
        """Check the data descriptor (APPNOTE 4.3.9), and that no entry hides behind the data."""
        gap = read(self._source, end, min(record.limit - end, 64))
        if descriptor is not None:
            form = next((form for form in spec.descriptors(*descriptor) if gap.startswith(form)), None)
            if form is None:
                message = f"the data descriptor of {record.entry.name!r} differs from the central directory"
                raise FormatError(message, offset=end, spec="APPNOTE 4.3.9")
            gap = gap[len(form) :]
        if gap.startswith(spec.LOCAL):
            message = f"an entry that the central directory does not have follows {record.entry.name!r}"
            raise FormatError(message, offset=end)

    # What the data is, packed

    def _decrypted(self, record: Record, place: _Place, first: int) -> Iterator[memoryview]:
        """Give an entry's data, authenticated and decrypted but still compressed, from chunk `first`."""
        if record.aes:
            return self._aes(record, record.aes, place, first)
        raw = self._raw(place.offset, place.size, first)
        return self._zipcrypto(record, raw) if record.entry.encrypted else raw

    def _raw(self, offset: int, size: int, first: int = 0) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(min(size, CHUNK)))
        for position in range(first * CHUNK, size, CHUNK):
            chunk = buffer[: min(CHUNK, size - position)]
            self._source.read_into(offset + position, chunk)
            yield chunk

    def _password(self) -> Secret:
        if self._options.password is None:
            message = "no password was given"
            raise WrongKeyError(message)
        return self._options.password

    def _keys(self, record: Record, aes: extras.AesExtra, place: _Place) -> crypto.Keys:
        """Derive an entry's keys; raises `WrongKeyError` where they don't fit its verifier."""
        bits = aes.key_bits
        if place.size < crypto.overhead(bits):
            message = f"encrypted entry {record.entry.name!r} is too short for its salt and codes"
            raise FormatError(message, offset=place.offset, spec="AES II.A")
        head = read(self._source, place.offset, crypto.salt_size(bits) + crypto.VERIFIER_SIZE)
        salt, verifier = head[: -crypto.VERIFIER_SIZE], head[-crypto.VERIFIER_SIZE :]
        keys = crypto.Keys(self._password(), salt, bits)
        if not hmac.compare_digest(keys.verifier, verifier):
            keys.close()
            message = f"the password does not fit {record.entry.name!r}"
            raise WrongKeyError(message)
        return keys

    def _aes(self, record: Record, aes: extras.AesExtra, place: _Place, first: int) -> Iterator[memoryview]:
        with self._keys(record, aes, place) as keys:
            data = self._data(record, aes, place)
            if data.size <= _WHOLE:
                yield from self._once(record, data, keys, first)
            else:
                yield from self._twice(record, data, keys, first)

    def _data(self, record: Record, aes: extras.AesExtra, place: _Place) -> _Place:
        """Return where the ciphertext stands, between salt and authentication code."""
        before = crypto.salt_size(aes.key_bits) + crypto.VERIFIER_SIZE
        data = _Place(place.offset + before, place.size - crypto.overhead(aes.key_bits))
        if record.entry.method == "store" and data.size != record.entry.size:
            message = f"stored entry {record.entry.name!r} has {data.size} bytes, but declares {record.entry.size}"
            raise FormatError(message, offset=record.offset)
        return data

    def _check_tag(self, record: Record, data: _Place, computed: bytes) -> None:
        stored = read(self._source, data.offset + data.size, crypto.TAG_SIZE)
        if not hmac.compare_digest(computed, stored):
            message = f"the authentication code of {record.entry.name!r} does not hold"
            raise TamperedError(message)

    def _once(self, record: Record, data: _Place, keys: crypto.Keys, first: int) -> Iterator[memoryview]:
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

    def _twice(self, record: Record, data: _Place, keys: crypto.Keys, first: int) -> Iterator[memoryview]:
        """A first reading that checks and marks, unless there was one before, and a second that decrypts."""
        marks = self._marks.get(record.entry.name)
        if marks is None:
            marks = self._mark(record, data, keys)
            self._marks[record.entry.name] = marks
        slots: list[tuple[memoryview, memoryview]] = []

        def load(number: int) -> memoryview:
            packed, out = slots[number % len(slots)]
            packed = packed[: data.size - number * CHUNK]
            self._source.read_into(data.offset + number * CHUNK, packed)
            if not marks.fits(number, packed):
                message = f"{record.entry.name!r} changed while it was read"
                raise TamperedError(message)
            keys.keystream(number * CHUNK // 16).apply(packed, out)
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
        self, record: Record, data: _Place, keys: crypto.Keys, tick: Callable[[int], object] | None = None
    ) -> Marks:
        """Check an entry's authentication code, and mark each chunk as it was then."""
        marks = Marks()
        authenticator = keys.authenticator()
        with Pipeline[memoryview, None]([Stage(authenticator.update)], self._options.threads) as pipeline:
            buffers = [memoryview(bytearray(CHUNK)) for _ in range(pipeline.depth + 1)]
            for number, position in enumerate(range(0, data.size, CHUNK)):
                chunk = buffers[number % len(buffers)][: data.size - position]
                self._source.read_into(data.offset + position, chunk)
                deque(pipeline.push(chunk), maxlen=0)
                marks.add(number, chunk)
                if tick is not None:
                    tick(len(chunk))
            deque(pipeline.drain(), maxlen=0)
        self._check_tag(record, data, crypto.tag(authenticator))
        return marks

    def _fill_stored(self, record: Record, data: _Place, keys: crypto.Keys, target: memoryview) -> None:
        """Decrypt into `target` beside the check, side by side."""
        authenticator = keys.authenticator()

        def decrypt(number: int) -> memoryview:
            packed, spare = slots[number % len(slots)]
            packed = packed[: data.size - number * CHUNK]
            self._source.read_into(data.offset + number * CHUNK, packed)
            out = target[number * CHUNK :]
            if len(out) < len(packed) + crypto.SLACK:
                out = spare
            keys.keystream(number * CHUNK // 16).apply(packed, out)
            if out is spare:
                target[number * CHUNK :] = spare[: len(packed)]
                wipe(spare)
            return packed

        stages = [Stage(decrypt, parallel=True), Stage(authenticator.update)]
        with Pipeline[int, None](stages, self._options.threads) as pipeline:
            slots = [_slot() for _ in range(pipeline.depth + 1)]
            for number in range(-(-data.size // CHUNK)):
                deque(pipeline.push(number), maxlen=0)
            deque(pipeline.drain(), maxlen=0)
        self._check_tag(record, data, crypto.tag(authenticator))

    def _zipcrypto(self, record: Record, raw: Iterator[memoryview]) -> Iterator[memoryview]:
        """Decrypt what traditional encryption made. The last byte of its header tells most wrong passwords."""
        size = record.entry.packed_size - crypto.ZipCrypto.HEADER_SIZE
        if size < 0 or (record.entry.method == "store" and size != record.entry.size):
            message = f"encrypted entry {record.entry.name!r} has {size} bytes, but declares {record.entry.size}"
            raise FormatError(message, offset=record.offset, spec="APPNOTE 6.1.5")
        cipher = crypto.ZipCrypto(self._password())
        header = record.header
        check = header.dos_time >> 8 & 0xFF if header.flags & spec.STREAMED else header.crc >> 24
        head = b""
        for chunk in raw:
            plain = cipher.decrypt(chunk)
            if not head:
                head, plain = plain[: cipher.HEADER_SIZE], plain[cipher.HEADER_SIZE :]
                if head[-1] not in (check, header.crc >> 24):
                    message = f"the password does not fit {record.entry.name!r}"
                    raise WrongKeyError(message)
            if plain:
                yield memoryview(plain)

    def _with_crc(self, record: Record, plain: Iterator[memoryview], *, whole: bool) -> Iterator[memoryview]:
        """Check the CRC-32 where there is one: AE-1, ZipCrypto, and files that are not encrypted.

        Where it is the only check there is, entries of up to 16 MiB are held back until it is done.
        """
        held: list[memoryview] | None = [] if not record.aes and record.entry.size <= _WHOLE else None
        crc = 0
        for chunk in plain:
            crc = zlib.crc32(chunk, crc)
            if held is None:
                yield chunk
            else:
                held.append(memoryview(chunk.tobytes()))
        if whole and crc != record.header.crc:
            message = f"the CRC-32 of {record.entry.name!r} does not fit"
            if record.entry.encrypted:
                raise TamperedError(message + ("" if record.aes else ": the password is wrong, or the data damaged"))
            raise FormatError(message, offset=record.offset, spec="APPNOTE 4.4.7")
        yield from held or ()


def _slot() -> tuple[memoryview, memoryview]:
    """Return room for a chunk as it is read, and as it is decrypted."""
    return memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK + crypto.SLACK))
