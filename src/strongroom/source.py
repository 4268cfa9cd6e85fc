"""Bounded random access to what is read. The one place that opens files for reading."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
import warnings
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, cast

from strongroom.errors import FormatError, LimitError, StrongroomWarning, TruncatedError
from strongroom.flow import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from strongroom.limits import Limits

PARTIAL: Final = re.compile(r"\.strongroom-[0-9a-f]{16}\.partial")
"""The hidden names of `output`. A file of such a name is half an archive, and nobody's to seal."""

_EARLIEST: Final = -62_135_596_800  # the first second of the year 1, and the last one of 9999, in Unix time:
_LATEST: Final = 253_402_300_799  # file systems go further than datetime
_FIRST_VOLUME: Final = ".001"  # 7-Zip's names for the volumes of `-v`: .001, .002 and so on
_CHANGED: Final = "the archive became shorter while it was read"


class Source(Protocol):
    """`size` bytes that can be read at any offset, by several threads at once."""

    size: int

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset`; raises `TruncatedError` where the bytes end before that."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


def read(source: Source, offset: int, length: int) -> bytes:
    """Return `length` bytes from `offset`."""
    buffer = bytearray(length)
    source.read_into(offset, memoryview(buffer))
    return bytes(buffer)


def digest(source: Source, tick: Callable[[int], object] = lambda _: None) -> bytes:
    """Return the SHA-256 of all there is; calls `tick` with the number of bytes done."""
    import hashlib  # noqa: PLC0415 - loads a second OpenSSL, in 4 ms

    hasher = hashlib.sha256()
    buffer = memoryview(bytearray(min(CHUNK, source.size)))
    for start in range(0, source.size, CHUNK):
        piece = buffer[: source.size - start]
        source.read_into(start, piece)
        hasher.update(piece)
        tick(start + len(piece))
    return hasher.digest()


class FileSource:
    """A regular file, read with `pread`. Takes over the descriptor; `name` is what an error of the disk says of it."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor: int | None = descriptor
        self._name = name
        self.size: int = os.lseek(descriptor, 0, os.SEEK_END)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        if self._descriptor is None:
            message = "the archive is closed"
            raise ValueError(message)
        while buffer:
            try:
                count = os.preadv(self._descriptor, [buffer], offset)
            except OSError as error:
                error.filename = self._name
                raise
            if not count:
                raise TruncatedError(_CHANGED, offset=offset)
            offset += count
            buffer = buffer[count:]

    def close(self) -> None:
        """See `Source`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        if hasattr(self, "size"):  # else the descriptor is still the caller's
            self.close()


class StreamSource:
    """A seekable binary stream that the caller owns: its position moves, and it is not closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.size: int = stream.seek(0, os.SEEK_END)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        with self._lock:
            self._stream.seek(offset)
            while buffer:
                data = self._stream.read(len(buffer))
                if not data:
                    raise TruncatedError(_CHANGED, offset=offset)
                buffer[: len(data)] = data
                buffer = buffer[len(data) :]

    def close(self) -> None:
        """See `Source`."""


class MemorySource:
    """What a pipe gave, held in memory."""

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self._data = bytearray()
        try:
            while data := stream.read(CHUNK):
                if len(self._data) + len(data) > limits.memory_size:
                    message = f"the pipe gives more than the memory_size limit of {limits.memory_size} bytes"
                    raise LimitError(message)
                self._data += data
        except MemoryError:
            message = f"the pipe gives more than there is memory for (the memory_size limit is {limits.memory_size})"
            raise LimitError(message) from None
        self.size: int = len(self._data)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        data = memoryview(self._data)[offset : offset + len(buffer)]
        if len(data) < len(buffer):
            raise TruncatedError(_CHANGED, offset=offset)
        buffer[:] = data

    def close(self) -> None:
        """See `Source`."""
        self._data = bytearray()


class JoinedSource:
    """The volumes that an archive was cut into, one behind the other. Takes over the files.

    `following` is the name that the next volume would have.
    """

    def __init__(self, volumes: Sequence[FileSource], following: str) -> None:
        self._volumes = tuple(volumes)
        self._starts = tuple(accumulate((volume.size for volume in volumes), initial=0))
        self.size: int = self._starts[-1]
        self.following = following

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """See `Source`."""
        number = max(bisect_right(self._starts, offset) - 1, 0)
        while buffer:
            if number >= len(self._volumes):
                raise TruncatedError(_CHANGED, offset=offset)
            count = min(self._starts[number + 1] - offset, len(buffer))
            self._volumes[number].read_into(offset - self._starts[number], buffer[:count])
            offset, buffer, number = offset + count, buffer[count:], number + 1

    def close(self) -> None:
        """See `Source`."""
        for volume in self._volumes:
            volume.close()


def truncated(source: Source, end: int) -> TruncatedError:
    """Return the error for an archive that should reach up to `end`; it names the volume that is missing, if any."""
    message = f"the archive ends {end - source.size} bytes early"
    if isinstance(source, JoinedSource):
        message += f": {source.following!r} is missing"
    return TruncatedError(message, offset=source.size)


def _join(path: str, first: FileSource) -> Source:
    """Join what stands beside the first volume of a 7z archive, up to the first number that is not there."""
    stem, volumes = path[: -len(_FIRST_VOLUME)], [first]
    try:
        while True:
            name = f"{stem}.{len(volumes) + 1:03d}"
            try:
                volumes.append(FileSource(_open_regular(name), name))
            except FileNotFoundError:
                return JoinedSource(volumes, os.path.basename(name))
    except BaseException:
        for volume in volumes:
            volume.close()
        raise


def _open_regular(path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # lest a pipe that stands there stops us
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is no regular file", path)


def open_source(path: str | os.PathLike[str] | BinaryIO, limits: Limits) -> Source:
    """Open a path or a binary stream; a pipe, named or not, is first read whole, within `limits.memory_size`.

    A `Source` is taken over as it is.

    With the path of a `.7z.001`, the volumes that stand beside it are opened as well.

    Raises `OSError` where the file cannot be opened, `TypeError` where `path` is neither.
    """
    if isinstance(path, (str, os.PathLike)):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
            name = os.fsdecode(path)
            source = FileSource(descriptor, name)
            return _join(name, source) if name.lower().endswith(f".7z{_FIRST_VOLUME}") else source
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            os.close(descriptor)
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(number, os.strerror(number), os.fspath(path))  # devices may have no end
        with os.fdopen(descriptor, "rb") as pipe:
            return MemorySource(pipe, limits)
    if isinstance(path, (FileSource, StreamSource, MemorySource, JoinedSource)):
        return cast("Source", path)  # not in the signature, since `open` and its kind hand theirs on
    if not hasattr(path, "read"):
        message = f"an archive is a path or a binary stream, not {type(path).__name__}"
        raise TypeError(message)
    if isinstance(path.read(0), str):
        message = "the stream is open in text mode; open it in binary mode"
        raise TypeError(message)
    return StreamSource(path) if path.seekable() else MemorySource(path, limits)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file or folder of the local disk that is to be sealed under `name`."""

    path: str
    name: str
    folder: bool
    size: int
    modified: datetime
    mode: int
    identity: tuple[int, int]

    def open(self) -> BinaryIO:
        """Open the file for reading; raises `OSError` where another one, or a link to one, has taken its place."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # lest a pipe that was put there stops us
        descriptor = os.open(self.path, flags)
        if _identity(os.fstat(descriptor)) != self.identity:
            os.close(descriptor)
            raise OSError(errno.ESTALE, "was replaced since it was listed", self.path)
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb", buffering=0)


def local_tree(path: str | os.PathLike[str], name: str | None = None) -> Iterator[LocalFile]:
    """Give a file, or a folder and all that is in it in the order of names, under `name` or its own.

    Symlinks and special files inside a folder are left out, with a warning each: an archive of ours has none.
    """
    path = os.fsdecode(path)
    name = os.path.basename(os.path.abspath(path)) if name is None else name
    todo = [_local_file(path, name, os.stat(path))]
    while todo:
        file = todo.pop()
        yield file
        if not file.folder:
            continue
        with os.scandir(file.path) as found:
            items = sorted(
                (item for item in found if not PARTIAL.fullmatch(item.name)), key=lambda item: item.name, reverse=True
            )
        for item in items:
            if item.is_dir(follow_symlinks=False) or item.is_file(follow_symlinks=False):
                todo.append(_local_file(item.path, f"{file.name}/{item.name}", item.stat(follow_symlinks=False)))
            else:
                message = f"{item.path!r} is a symlink or a special file, and was left out"
                warnings.warn(message, StrongroomWarning, stacklevel=3)


def modified_of(path: object) -> datetime | None:
    """Return when a path or an open file was modified, or None where it has no such time."""
    try:
        status = os.stat(path) if isinstance(path, (str, os.PathLike)) else os.fstat(path.fileno())  # type: ignore[attr-defined]
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return None
    return _modified(status) if stat.S_ISREG(status.st_mode) else None


def _modified(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(min(max(int(status.st_mtime), _EARLIEST), _LATEST), UTC)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _local_file(path: str, name: str, status: os.stat_result) -> LocalFile:
    folder = stat.S_ISDIR(status.st_mode)
    mode = 0o700 if folder else 0o600 | status.st_mode & 0o100
    return LocalFile(path, name, folder, 0 if folder else status.st_size, _modified(status), mode, _identity(status))


class Cursor:
    """Reads records one after the other out of `data`, which starts at byte `origin` of the archive."""

    __slots__ = ("_data", "_origin", "_position")

    def __init__(self, data: bytes, origin: int = 0) -> None:
        self._data = data
        self._origin = origin
        self._position = 0

    @property
    def offset(self) -> int:
        """Where the next byte stands in the archive."""
        return self._origin + self._position

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._position

    def take(self, length: int, what: str) -> bytes:
        """Return the next `length` bytes; raises `FormatError` that names `what` where there are fewer."""
        if length > self.left:
            message = f"{what} is cut off: {length} bytes expected, {self.left} left"
            raise FormatError(message, offset=self.offset)
        start, self._position = self._position, self._position + length
        return self._data[start : self._position]
