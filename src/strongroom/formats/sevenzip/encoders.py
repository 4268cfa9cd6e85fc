"""How 7z writes the compression methods of `create`: method ID, properties, and an encoder.

What ZIP writes alike is taken from `compression`. "LZMA2" is as in `lzma2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from strongroom.compression import CODECS, Encoder, encoder_for
from strongroom.formats.sevenzip import spec
from strongroom.formats.sevenzip.streams import Coder

if TYPE_CHECKING:
    from typing import Any

_END: Final = b"\0"  # LZMA2's control byte for the end of the data
_LAST_BLOCK_LEVEL: Final = 3
_BLOCK_DICTIONARY: Final = 1 << 18
_PRESET_DICTIONARIES: Final = tuple(
    1 << power for power in (22, 23, 23, 24, 25, 26)
)  # of levels 4 to 9, as xz has them
_SMALLEST_DICTIONARY: Final = 12  # its logarithm; the byte of properties counts half powers of two from there
_DEPTH: Final = 4


class Lzma2:
    """LZMA2. Up to level 3 chunks are blocks that stand alone, and so can be made side by side (ADR 8).

    Every block begins by resetting the dictionary (control byte 0x01 or 0xE0), and loses its end mark; that of the data
    comes last. From level 4 on it is one stream, of one thread, with a dictionary that reaches back beyond a chunk.
    """

    def __init__(self, level: int) -> None:
        import lzma  # noqa: PLC0415 - 2 ms that other methods do without

        self._lzma = lzma
        self._stream: lzma.LZMACompressor | None = None
        self.parallel: bool = level <= _LAST_BLOCK_LEVEL
        dictionary = _BLOCK_DICTIONARY if self.parallel else _PRESET_DICTIONARIES[level - _LAST_BLOCK_LEVEL - 1]
        self.properties: bytes = bytes((2 * (dictionary.bit_length() - 1 - _SMALLEST_DICTIONARY),))
        self._filter: dict[str, Any] = {"id": lzma.FILTER_LZMA2, "preset": level, "dict_size": dictionary}
        if level == 1:
            self._filter["depth"] = _DEPTH  # liblzma's own 8 makes the data 1.3% smaller, and takes 20% more time
        if not self.parallel:
            self._stream = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[self._filter])

    def update(self, data: memoryview) -> bytes:
        """See `Encoder`."""
        if self._stream is not None:
            return self._stream.compress(data)
        return self.whole(data)[: -len(_END)]

    def finish(self) -> bytes:
        """See `Encoder`."""
        return _END if self._stream is None else self._stream.flush()

    def whole(self, data: memoryview) -> bytes:
        """See `Encoder`."""
        return self._lzma.compress(cast("bytes", data), self._lzma.FORMAT_RAW, filters=[self._filter])


class Method(NamedTuple):
    """A compression method as a folder names it, with what makes the data; None where that stays as it is."""

    coder: Coder
    encoder: Encoder | None


STORE: Final = Method(Coder(spec.COPY), None)
_IDS: Final = {"deflate": spec.DEFLATE, "bzip2": spec.BZIP2}


def method(name: str, level: int | None) -> Method:
    """Make what one folder needs to be written with the compression `name`."""
    codec = CODECS[name]
    if name == "store":
        return STORE
    if name == "lzma":
        encoder = Lzma2(codec.default_level if level is None else level)
        return Method(Coder(spec.LZMA2, encoder.properties), encoder)
    return Method(Coder(_IDS[name]), encoder_for(codec, level))
