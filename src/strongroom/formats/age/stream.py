"""The payload, as a stream: 64 KiB chunks under ChaCha20-Poly1305. age, "Payload".

Sixteen of them are a piece of work that a thread takes. Neither a chunk's place nor its size is in the file: its number
is in the nonce, and so is whether it is the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from strongroom.errors import StrongroomError, TamperedError, TruncatedError
from strongroom.flow import CHUNK, Chunk, Pipeline, Stage, as_bytes
from strongroom.limits import KIB
from strongroom.memory.secret import wipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

PLAIN: Final = 64 * KIB
TAG: Final = 16
SEALED: Final = PLAIN + TAG
RUN: Final = CHUNK // PLAIN
"""How many chunks are worked on at once, and in a row."""
_COUNTER: Final = 11
_SPEC: Final = "age, Payload"


class Cipher:
    """Seals and opens runs of chunks, in several threads at once. Lives for one operation or stream."""

    def __init__(self, key: memoryview) -> None:
        self._aead: ChaCha20Poly1305 | None = ChaCha20Poly1305(key)

    def seal(self, data: memoryview, number: int, out: memoryview, *, last: bool) -> memoryview:
        """Seal a run that begins with chunk `number` into the front of `out`, and return that.

        `last` says that the payload ends with it; a run that is empty is one empty chunk.
        """
        count = max(-(-len(data) // PLAIN), 1)
        for index in range(count):
            plain = data[index * PLAIN : (index + 1) * PLAIN]
            target = out[index * SEALED : index * SEALED + len(plain) + TAG]
            nonce = _nonce(number + index, last=last and index == count - 1)
            self._use().encrypt_into(nonce, plain, None, target)
        return out[: len(data) + count * TAG]

    def open(self, sealed: memoryview, number: int, out: memoryview, *, last: bool) -> Opened:
        """Open a run that begins with chunk `number` into the front of `out`.

        `last` says that the payload ends with it. What is given with an error is authentic all the same, and stands
        before the error.
        """
        done = 0
        for start in range(0, max(len(sealed), 1), SEALED):
            chunk = sealed[start : start + SEALED]
            if len(chunk) < TAG:
                return Opened(out[:done], _truncated())
            target = out[done : done + len(chunk) - TAG]
            ends = last and start + len(chunk) == len(sealed)
            place = number + start // SEALED
            if ends and not target and place:
                return Opened(out[:done], TamperedError("the payload ends with an empty chunk, which nobody writes"))
            if self._open(chunk, place, target, last=ends):
                done += len(target)
            elif len(chunk) == SEALED and self._open(chunk, place, target, last=not ends):
                # Authentic, but cut off behind it, or followed by what does not belong to it.
                what = TamperedError("something follows the last chunk of the payload")
                return Opened(out[: done + len(target)], _truncated() if ends else what)
            else:
                return Opened(out[:done], TamperedError("a chunk of the payload was changed, moved or cut off"))
        return Opened(out[:done], None)

    def close(self) -> None:
        """Let go of the key, which a traceback may hold with this object."""
        self._aead = None

    def _open(self, sealed: memoryview, number: int, out: memoryview, *, last: bool) -> bool:
        try:
            self._use().decrypt_into(_nonce(number, last=last), sealed, None, out)
        except InvalidTag:
            wipe(out)  # OpenSSL decrypts before it checks
            return False
        return True

    def _use(self) -> ChaCha20Poly1305:
        if self._aead is None:
            message = "the stream is closed"
            raise ValueError(message)
        return self._aead


class Opened(NamedTuple):
    """What of a run is authentic, and what was wrong behind that."""

    data: memoryview
    error: StrongroomError | None


class Sealer:
    """Encodes the payload. It holds a chunk back, since only the last one says that it is."""

    def __init__(self, key: memoryview, threads: int) -> None:
        self._cipher = Cipher(key)
        self._pipeline = Pipeline[_SealJob, memoryview](
            [Stage(self._seal, parallel=True)], threads, drop=lambda job: job.chunk.release()
        )
        self._slots: list[memoryview] = []
        self._held: Chunk | None = None
        self._jobs = 0

    def update(self, chunk: Chunk) -> Iterator[memoryview]:
        """Take a chunk of `CHUNK` bytes, or the last one, and release it once it is worked on."""
        held, self._held = self._held, chunk
        if held is not None:
            yield from self._pipeline.push(self._job(held, last=False))

    def finish(self) -> Iterator[memoryview]:
        """Give the end of the payload."""
        held, self._held = self._held or Chunk(memoryview(b"")), None
        if not self._jobs:
            self._slots = [memoryview(bytearray(len(held.data) + RUN * TAG))]
            yield self._seal(_SealJob(held, 0, last=True))
            return
        yield from self._pipeline.push(self._job(held, last=True))
        yield from self._pipeline.drain()

    def close(self) -> None:
        """End the threads, release what is held, and let go of the key."""
        self._pipeline.close()
        self._cipher.close()
        if self._held is not None:
            self._held.release()
            self._held = None

    def _job(self, chunk: Chunk, *, last: bool) -> _SealJob:
        if not self._slots:
            self._slots = [memoryview(bytearray(RUN * SEALED)) for _ in range(self._pipeline.depth + 1)]
        self._jobs += 1
        return _SealJob(chunk, self._jobs - 1, last=last)

    def _seal(self, job: _SealJob) -> memoryview:
        try:
            out = self._slots[job.number % len(self._slots)]
            return self._cipher.seal(job.chunk.data, job.number * RUN, out, last=job.last)
        finally:
            job.chunk.release()


class Opener:
    """Decodes a payload that comes in pieces, and gives each chunk once it is authenticated: age's own streaming.

    Whoever takes what it gives has to take back what they did with it where `finish` raises: the end may be missing.
    """

    def __init__(self, key: memoryview, threads: int) -> None:
        self._cipher = Cipher(key)
        self._pipeline = Pipeline[_OpenJob, Opened]([Stage(self._open, parallel=True)], threads)
        self._slots: list[tuple[memoryview, memoryview]] = []
        self._filled = 0
        self._jobs = 0

    def update(self, data: Buffer) -> Iterator[memoryview]:
        """Take a piece of any size. Raises `TamperedError`, `TruncatedError`."""
        view = as_bytes(data)
        assert view is not None  # noqa: S101 - a Buffer is one
        while view:
            if self._filled == RUN * SEALED:
                yield from _released(self._pipeline.push(self._job(last=False)))
            sealed, _ = self._slot()
            count = min(len(sealed) - self._filled, len(view))
            sealed[self._filled : self._filled + count] = view[:count]
            self._filled += count
            view = view[count:]

    def finish(self) -> Iterator[memoryview]:
        """Give the last chunks. Raises `TamperedError`, `TruncatedError`."""
        yield from _released(self._pipeline.push(self._job(last=True)))
        yield from _released(self._pipeline.drain())

    def close(self) -> None:
        """End the threads, wipe the plaintext, and let go of the key."""
        self._pipeline.close()
        self._cipher.close()
        for _, out in self._slots:
            wipe(out)

    def _slot(self) -> tuple[memoryview, memoryview]:
        if not self._slots:
            self._slots = [_room() for _ in range(self._pipeline.depth + 2)]
        return self._slots[self._jobs % len(self._slots)]

    def _job(self, *, last: bool) -> _OpenJob:
        sealed, out = self._slot()
        job = _OpenJob(sealed[: self._filled], out, self._jobs, last=last)
        self._jobs += 1
        self._filled = 0
        return job

    def _open(self, job: _OpenJob) -> Opened:
        return self._cipher.open(job.sealed, job.number * RUN, job.out, last=job.last)


class _SealJob(NamedTuple):
    chunk: Chunk
    number: int
    last: bool


class _OpenJob(NamedTuple):
    sealed: memoryview
    out: memoryview
    number: int
    last: bool


def _released(runs: Iterator[Opened]) -> Iterator[memoryview]:
    for run in runs:
        if run.data:
            yield run.data
        if run.error is not None:
            raise run.error


def _room() -> tuple[memoryview, memoryview]:
    return memoryview(bytearray(RUN * SEALED)), memoryview(bytearray(RUN * PLAIN))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER) + bytes([last])


def _truncated() -> TruncatedError:
    return TruncatedError("the payload ends before its last chunk", spec=_SPEC)
