"""An entry of many chunks that is not encrypted, as it goes into an envelope: compressed, with a CRC-32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strongroom.compression import crc32
from strongroom.flow import Chunk, Pipeline, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strongroom.compression import Encoder


class PlainStream:
    """The twin of the writer's stream that encrypts. What it gives is plaintext, packed: for an envelope alone."""

    prefix = b""
    code = b""

    def __init__(self, encoder: Encoder | None, threads: int) -> None:
        self._encoder = encoder
        self.size: int = 0
        self.packed_size: int = 0
        self.crc: int = 0
        parallel = encoder is not None and encoder.parallel
        stages = [Stage(self._compress, parallel=parallel)] if encoder else []
        self._pipeline = Pipeline[Chunk, memoryview](stages, threads, drop=Chunk.release) if stages else None

    def update(self, chunk: Chunk) -> Iterator[memoryview]:
        """Take a chunk, and release it."""
        self.size += len(chunk.data)
        self.crc = crc32(chunk.data, self.crc)
        if self._pipeline is None:
            yield self._count(chunk.data)
            chunk.release()
        else:
            yield from map(self._count, self._pipeline.push(chunk))

    def finish(self) -> Iterator[memoryview]:
        """Give the end."""
        if self._pipeline is not None:
            yield from map(self._count, self._pipeline.drain())
        if self._encoder is not None:
            yield self._count(memoryview(self._encoder.finish()))
        self.close()

    def close(self) -> None:
        """End the threads."""
        if self._pipeline is not None:
            self._pipeline.close()
        self._encoder = None  # its window holds plaintext, and cycles through the stages would keep it alive

    def _compress(self, chunk: Chunk) -> memoryview:
        assert self._encoder is not None  # noqa: S101 - it is a stage only where there is one
        try:
            return memoryview(self._encoder.update(chunk.data))
        finally:
            chunk.release()

    def _count(self, piece: memoryview) -> memoryview:
        self.packed_size += len(piece)
        return piece
