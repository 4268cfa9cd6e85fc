"""The coders of a folder: one table, `METHODS`, from a method ID to what decodes it, and how they are joined.

"7zFormat" is DOC/7zFormat.txt and "Methods" DOC/Methods.txt of the 7-Zip source, 23.01. A coder reads one or more
streams of pieces of at most `CHUNK` bytes, and gives one; a piece is valid until the next is asked for.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from strongroom import compression
from strongroom.compression import CODECS, Codec, Request
from strongroom.errors import FormatError, UnsupportedError
from strongroom.flow import CHUNK
from strongroom.formats.sevenzip import crypto, filters, lzma2, spec
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from strongroom.compression import Decoder
    from strongroom.formats.sevenzip.streams import Coder, Folder
    from strongroom.limits import Limits

    Chunks = Iterator[memoryview]
    Decode = Callable[["Job", Sequence[Chunks]], Chunks]

_PPMD_PROPERTIES: Final = struct.Struct("<BI")
_PPMD_RESERVED: Final = 2  # bytes that 7-Zip 9 and py7zr write behind them
_PPMD_ORDERS: Final = range(2, 65)  # Ppmd7.h, PPMD7_MIN_ORDER and PPMD7_MAX_ORDER
_PPMD_MEMORY: Final = range(1 << 11, (1 << 32) - 12 * 3)  # Ppmd7.h, PPMD7_MIN_MEM_SIZE and PPMD7_MAX_MEM_SIZE


class Job(NamedTuple):
    """What a coder is to do: its properties, the size that its output must come to, and what it may use."""

    properties: bytes
    size: int
    limits: Limits
    threads: int
    key: Callable[[crypto.AesProperties], crypto.Key]


class Tools(NamedTuple):
    """What the coders of a folder have in common: bounds, a number of threads, and where keys come from."""

    limits: Limits
    threads: int
    key: Callable[[crypto.AesProperties], crypto.Key]


class Role(enum.IntEnum):
    """What a coder is there for; the lowest one in a folder gives the entries' method its name."""

    COMPRESS = enum.auto()
    FILTER = enum.auto()
    COPY = enum.auto()
    ENCRYPT = enum.auto()


class Method(NamedTuple):
    """A row of the table. `decode` is None for what we know by name alone."""

    name: str
    decode: Decode | None = None
    role: Role = Role.COMPRESS
    inputs: int = 1


def unpack(folder: Folder, packs: Sequence[Chunks], tools: Tools) -> Chunks:
    """Decode a folder from its pack streams, exactly its size in bytes.

    Raises `FormatError`, `LimitError`, `UnsupportedError` that names a method, and what `tools.key` raises.
    """
    check(folder)
    starts = [sum(coder.inputs for coder in folder.coders[:number]) for number in range(len(folder.coders))]
    bound = {pair.in_index: pair.out_index for pair in folder.bind_pairs}

    def output(number: int) -> Chunks:
        coder, size = folder.coders[number], folder.sizes[number]
        inputs = [
            output(bound[index]) if index in bound else packs[folder.packed.index(index)]
            for index in range(starts[number], starts[number] + coder.inputs)
        ]
        job = Job(properties=coder.properties, size=size, limits=tools.limits, threads=tools.threads, key=tools.key)
        row = method(coder)
        return _sized(row.name, size, cast("Decode", row.decode)(job, inputs))

    return output(folder.main)


def derive_keys(folder: Folder, tools: Tools) -> None:
    """Derive what keys a folder takes, so that what is wrong with that shows before its data does.

    Raises what `tools.key` raises: `WrongKeyError` without a password, `LimitError` for too many rounds.
    """
    for coder in folder.coders:
        if method(coder).role is Role.ENCRYPT:
            tools.key(crypto.AesProperties.decode(coder.properties))


def encryption(folder: Folder) -> list[crypto.AesProperties]:
    """Return the properties of each coder that is AES. Raises `FormatError` where they are none."""
    found = (coder.properties for coder in folder.coders if method(coder) is METHODS[spec.AES])
    return [crypto.AesProperties.decode(properties) for properties in found]


def check(folder: Folder) -> None:
    """Raise `UnsupportedError` for a method that we don't have, `FormatError` where its number of streams is wrong."""
    for coder in folder.coders:
        row = method(coder)
        if row.decode is None:
            message = f"the 7z method {row.name} is not supported"
            raise UnsupportedError(message)
        if coder.inputs != row.inputs:
            message = f"the {row.name} coder has {coder.inputs} in-streams, expected {row.inputs}"
            raise FormatError(message, spec="7zFormat, Folder")


def method(coder: Coder) -> Method:
    """Return the method of a coder. Its ID is a number: leading zeros, or no digit at all, say nothing."""
    number = coder.method.lstrip(b"\0") or spec.COPY
    return METHODS.get(number) or Method(f"0x{number.hex()}")


def _sized(what: str, size: int, chunks: Chunks) -> Chunks:
    """Hold what comes out against the declared size, for the coders that do not do so themselves."""
    left = size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            message = f"the {what} data is longer than the {size} bytes that its header declares"
            raise FormatError(message)
        yield chunk
    if left:
        message = f"the {what} data ends {left} bytes before the {size} that its header declares"
        raise FormatError(message)


# The rows


def _copy(job: Job, inputs: Sequence[Chunks]) -> Chunks:  # noqa: ARG001
    return inputs[0]


def _aes(job: Job, inputs: Sequence[Chunks]) -> Chunks:
    """AES-256-CBC; the declared size says where the zeros that fill the last block begin."""
    properties = crypto.AesProperties.decode(job.properties)
    decryptor = job.key(properties).decryptor(properties.iv)
    out = memoryview(bytearray(CHUNK + crypto.BLOCK + crypto.SLACK))
    left, packed = job.size, 0
    try:
        for chunk in inputs[0]:
            packed += len(chunk)
            count = min(decryptor.update_into(chunk, out), left)
            left -= count
            if count:
                yield out[:count]
    finally:
        wipe(out)
    if packed != -(-job.size // crypto.BLOCK) * crypto.BLOCK:
        message = f"{packed} bytes under AES, for {job.size} bytes of data"
        raise FormatError(message, spec="7zAes")


def _codec(codec: str) -> Decode:
    """Return what decodes as `compression` does, for methods without properties that matter."""

    def decode(job: Job, inputs: Sequence[Chunks]) -> Chunks:
        return compression.decode(CODECS[codec], Request(size=job.size, limits=job.limits), inputs[0])

    return decode


def _lzma(job: Job, inputs: Sequence[Chunks]) -> Chunks:
    """LZMA; the declared size ends it, and an end mark may stand there as well."""
    properties = job.properties

    def decoder(request: Request) -> Decoder:
        return compression.open_lzma(properties, request)

    codec: Codec = CODECS["lzma"]._replace(decoder=decoder)
    return compression.decode(codec, Request(size=job.size, limits=job.limits, end_mark=False), inputs[0])


def _lzma2(job: Job, inputs: Sequence[Chunks]) -> Chunks:
    dictionary = lzma2.dictionary_size(job.properties)
    compression.check_dictionary(min(dictionary, job.size), job.limits)
    return lzma2.decode(dictionary, job.size, job.threads, inputs[0])


def _ppmd(job: Job, inputs: Sequence[Chunks]) -> Chunks:
    """PPMd variant H, of which 7z keeps order and memory in the properties. Like ZIP's, in a process of its own."""
    from strongroom import isolated  # noqa: PLC0415

    if len(job.properties) not in (_PPMD_PROPERTIES.size, _PPMD_PROPERTIES.size + _PPMD_RESERVED):
        message = f"the PPMd properties are {len(job.properties)} bytes, expected {_PPMD_PROPERTIES.size}"
        raise FormatError(message)
    order, memory = _PPMD_PROPERTIES.unpack_from(job.properties)
    if order not in _PPMD_ORDERS or memory not in _PPMD_MEMORY:
        message = f"PPMd order {order} or memory {memory} is out of range"
        raise FormatError(message)
    compression.check_dictionary(memory, job.limits)
    return isolated.decode_apart("ppmd7", isolated.Job(size=job.size, memory=memory, order=order), inputs[0])


def _branch(code: int, name: str) -> Decode:
    """Return a filter of liblzma that takes a start offset. Methods, "03xx"; liblzma's IDs are those of XZ, 5.3.2."""

    def decode(job: Job, inputs: Sequence[Chunks]) -> Chunks:
        start = _start(job.properties, name)
        return filters.pass_through(code, name, {"start_offset": start} if start else {}, inputs[0])

    return decode


def _start(properties: bytes, name: str) -> int:
    """Return the address that the code starts at; few writers have it."""
    if len(properties) not in (0, 4):
        message = f"the {name} filter has {len(properties)} bytes of properties, expected 0 or 4"
        raise FormatError(message)
    return int.from_bytes(properties, "little")


def _delta(job: Job, inputs: Sequence[Chunks]) -> Chunks:
    """Differences to the byte `dist` before; the property is one less."""
    if len(job.properties) != 1:
        message = f"the Delta filter has {len(job.properties)} bytes of properties, expected 1"
        raise FormatError(message)
    return filters.pass_through(_DELTA, "Delta", {"dist": job.properties[0] + 1}, inputs[0])


def _arm64(job: Job, inputs: Sequence[Chunks]) -> Chunks:
    return filters.arm64(_start(job.properties, "ARM64"), inputs[0])


def _bcj2(job: Job, inputs: Sequence[Chunks]) -> Chunks:
    return filters.bcj2(job.size, list(inputs))


# XZ's IDs for its filters, which the lzma module has as well; it loads when it is first used.
_DELTA, _X86, _POWERPC, _IA64, _ARM, _ARM_THUMB, _SPARC = 3, 4, 5, 6, 7, 8, 9


def _filters() -> Iterator[tuple[str, Method]]:
    """The filters of liblzma, each with two IDs: 7-Zip's own, and that of XZ."""
    for number, name, code in (
        ("03030103", "BCJ", _X86),
        ("03030205", "PPC", _POWERPC),
        ("03030401", "IA64", _IA64),
        ("03030501", "ARM", _ARM),
        ("03030701", "ARMT", _ARM_THUMB),
        ("03030805", "SPARC", _SPARC),
    ):
        row = Method(name, _branch(code, name), Role.FILTER)
        yield number, row
        yield f"{code:02x}", row


_ROWS: Final = (
    ("00", Method("store", _copy, Role.COPY)),
    ("06f10701", Method("AES", _aes, Role.ENCRYPT)),
    ("030101", Method("lzma", _lzma)),
    ("21", Method("lzma", _lzma2)),  # one word for both, that of `create`
    ("030401", Method("ppmd", _ppmd)),
    ("040202", Method("bzip2", _codec("bzip2"))),
    ("040108", Method("deflate", _codec("deflate"))),
    ("040109", Method("deflate64", _codec("deflate64"))),
    ("04f71101", Method("zstd", _codec("zstd"))),
    ("03", Method("Delta", _delta, Role.FILTER)),
    ("0a", Method("ARM64", _arm64, Role.FILTER)),
    ("0303011b", Method("BCJ2", _bcj2, Role.FILTER, 4)),
    *_filters(),
    ("0b", Method("RISCV", role=Role.FILTER)),
    ("020302", Method("Swap2", role=Role.FILTER)),
    ("020304", Method("Swap4", role=Role.FILTER)),
    ("04f71102", Method("Brotli")),
    ("04f71104", Method("LZ4")),
    ("04f71105", Method("LZ5")),
    ("04f71106", Method("Lizard")),
    ("06f10101", Method("ZipCrypto", role=Role.ENCRYPT)),
)
METHODS: Final = {bytes.fromhex(number): row for number, row in _ROWS}
"""Methods. Those of the forks, 04F711xx, are in the table of 7-Zip-zstd's DOC/Methods-Extern.md."""
