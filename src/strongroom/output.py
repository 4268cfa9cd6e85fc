"""The durable output of P4: whole under its name, or not there at all. The one place that opens files for writing.

On Linux the file has no name until it is complete (`O_TMPFILE`), is synced, and is then linked into place. To replace a
file it is linked to a hidden name and renamed. Where the file system has neither, it is written under the hidden name.
A hidden file that a killed process left is ciphertext; the next output into that folder removes it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import mmap
import os
import stat
import time
import warnings
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, NoReturn, Protocol, cast

from strongroom.errors import OutputError, OutputExistsError, StrongroomWarning
from strongroom.flow import Pipeline, Stage
from strongroom.limits import MIB
from strongroom.source import PARTIAL, FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from strongroom.source import Source

_BUFFER: Final = 4 * MIB  # measured: O_DIRECT writes 3.8 GB/s in pieces of 4 MiB, 2.8 GB/s in pieces of 1 MiB
_NO_TMPFILE: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
_NO_LINK: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.ENOENT, errno.EXDEV)
_RENAME_NOREPLACE: Final = 1
_TURNS, _TURN = 100, 0.01  # seconds: far longer than another one's look and renaming take


class Patch(NamedTuple):
    """Bytes that replace what a format has already written at `offset`."""

    offset: int
    data: bytes


Piece = bytes | bytearray | memoryview | Patch
"""What a writer gives: bytes that follow the last ones, or a Patch. Valid until the next piece is asked for."""


class Whole(Protocol):
    """What appears whole or not at all: `write`, `finish`, `publish` in this order, or `discard` at any time."""

    def write(self, pieces: Iterable[Piece]) -> None:
        """Take the pieces in order."""
        ...

    def finish(self) -> None:
        """Bring everything to the disk, or where else it is kept."""
        ...

    def publish(self) -> None:
        """Make the output appear under its name."""
        ...

    def discard(self) -> None:
        """Leave no trace; does nothing after `publish`."""
        ...


class Output(Whole, Protocol):
    """Where the pieces of an archive go; those that are `patchable` take a Patch."""

    patchable: bool

    def reread(self) -> Source:
        """Give what the disk now holds, past the page cache, between `finish` and `publish`."""
        ...


def put(output: Whole, pieces: Iterable[Piece]) -> None:
    """Write all `pieces`, and have the output appear; whatever goes wrong leaves no trace."""
    try:
        output.write(pieces)
        output.finish()
        output.publish()
    finally:
        output.discard()  # which does nothing to what was published


def unchanged(path: str | os.PathLike[str], before: os.stat_result | None = None) -> Callable[[], None]:
    """Return what raises `OutputError` where a file that is to be replaced is no longer the one that it is now.

    `before` is its state where that was read earlier. What somebody else did to it meanwhile would be lost.
    """
    known = _state(os.stat(path) if before is None else before)

    def check() -> None:
        try:
            same = _state(os.stat(path)) == known
        except OSError:  # it is gone
            same = False
        if not same:
            message = f"{os.fsdecode(path)} was changed by somebody else meanwhile, and is not replaced"
            error = OutputError(message)
            error.add_note("what was done here is lost, what the other one did is there: do it again")
            raise error

    return check


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def create_beneath(name: str, folder: int, mode: int = 0o600) -> int:
    """Make a new file `name` in the folder descriptor `folder`, opened for writing; symlinks are not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, mode, dir_fd=folder)


def create_unnamed(folder: int, mode: int = 0o600) -> int | None:
    """Make a file that has no name yet in the folder descriptor `folder`; None where that cannot be.

    `link_unnamed` gives it one; without, it is gone once it is closed.
    """
    descriptor = None
    try:
        descriptor = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=folder)
        os.stat(f"/proc/self/fd/{descriptor}")  # the only way to give it a name later
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        if error.errno not in _NO_TMPFILE:
            raise
        return None
    return descriptor


def link_unnamed(descriptor: int, name: str, folder: int) -> None:
    """Give a file of `create_unnamed` its name in the folder; raises `FileExistsError`."""
    # A folder descriptor makes os.link() follow the link in /proc, which it otherwise refuses to.
    os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)


class FileOutput:
    """A file at `path`, mode 0600. Raises `OutputExistsError` where it is there and `overwrite` is False."""

    patchable = True

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False, threads: int = 1) -> None:
        self._path = os.path.join(os.getcwd(), os.fsdecode(path))  # not abspath, for which "link/.." is nowhere
        self._overwrite = overwrite
        folder, self._name = os.path.split(self._path)
        if self._name in ("", ".", ".."):
            message = f"{self._path} names a folder, not a file"
            raise OutputError(message)
        self._process = os.getpid()
        self._hidden: str | None = None
        self._descriptor: int | None = None
        self._filled = 0
        self._position = 0
        self._direct = False
        self._patches: list[Patch] = []
        try:
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._failed("the folder cannot be opened", error) from error
        try:
            self._check_target()
            _sweep(self._folder)
            self._open(folder)
            self._buffers = deque(mmap.mmap(-1, _BUFFER) for _ in range(2))  # page-aligned, as O_DIRECT demands
            self._buffer = self._buffers[0]
            self._writes = Pipeline[tuple[int, memoryview], None]([Stage(self._write_piece)], threads, ahead=1)
        except OSError as error:
            self.discard()
            if isinstance(error, OutputError):
                raise
            raise self._failed("no file can be made in the folder", error) from error
        except BaseException:
            self.discard()
            raise

    def _check_target(self) -> None:
        try:
            mode = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not self._overwrite:
            raise self._exists()
        if not stat.S_ISREG(mode):
            # Replacing a link, a pipe or a device would break what it stands for, and following it is an attack.
            message = f"{self._path} is not a regular file, and is not replaced"
            raise OutputError(message)

    def _open(self, folder: str) -> None:
        self._descriptor = create_unnamed(self._folder)
        if self._descriptor is None:
            self._descriptor = self._open_hidden()
            message = (
                f"the file system of {folder} has no unnamed files: the archive is written under a hidden name, "
                "which a kill leaves behind as ciphertext until the next seal in that folder"
            )
            warnings.warn(message, StrongroomWarning, stacklevel=5)
        with suppress(OSError):  # a file system without modes
            os.fchmod(self._descriptor, 0o600)
        _lock(self._descriptor)

    def _open_hidden(self) -> int:
        while True:
            self._hidden = _hidden_name()
            descriptor = create_beneath(self._hidden, self._folder)
            _lock(descriptor)
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)  # another process swept it away before it was locked

    def write(self, pieces: Iterable[Piece]) -> None:
        """See `Output`. Raises `OutputError` where the disk refuses."""
        for piece in pieces:
            if isinstance(piece, Patch):
                self._patch(piece)
                continue
            view = memoryview(piece)
            while view:
                count = min(_BUFFER - self._filled, len(view))
                self._buffer[self._filled : self._filled + count] = view[:count]
                self._filled += count
                view = view[count:]
                if self._filled == _BUFFER:
                    self._flush()

    def _patch(self, patch: Patch) -> None:
        start = patch.offset - self._position
        if start >= 0:
            self._buffer[start : start + len(patch.data)] = patch.data
        else:
            self._patches.append(patch)

    def _flush(self) -> None:
        """Write the buffer, which is full, past the page cache where the file system takes that."""
        if not self._position:
            self._direct = self._set_direct(on=True)
        piece = self._position, memoryview(self._buffer)[: self._filled]
        deque(self._writes.push(piece), maxlen=0)  # waits for the buffer that is filled next
        self._buffers.rotate(-1)
        self._buffer = self._buffers[0]
        self._position += self._filled
        self._filled = 0

    def _set_direct(self, *, on: bool) -> bool:
        """Set or clear O_DIRECT; False where the file system refuses."""
        try:
            flags = fcntl.fcntl(self._open_descriptor(), fcntl.F_GETFL)
            fcntl.fcntl(self._open_descriptor(), fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)
        except OSError:
            return False
        return True

    def _write_piece(self, piece: tuple[int, memoryview]) -> None:
        with piece[1]:
            self._write_at(*piece)

    def _write_at(self, offset: int, view: memoryview) -> None:
        while view:
            try:
                count = os.pwrite(self._open_descriptor(), view, offset)
            except OSError as error:
                if error.errno == errno.EINVAL and self._direct:  # accepted the flag, but not this write
                    self._direct = not self._set_direct(on=False)
                    if not self._direct:
                        continue
                raise self._failed("writing failed", error) from error
            if not count:  # not an error to POSIX, and without end if it were tried again
                message = (
                    f"{self._path}: writing failed: the disk took nothing; whatever is under this name is as it was"
                )
                raise OutputError(message)
            if count < len(view) and self._direct:
                self._direct = not self._set_direct(on=False)  # what is left is no longer aligned
            offset += count
            view = view[count:]

    def finish(self) -> None:
        """See `Output`. The first failed sync is final: after it the kernel may call lost pages clean."""
        deque(self._writes.drain(), maxlen=0)
        self._writes.close()
        if self._direct:  # what is left is not aligned
            self._direct = not self._set_direct(on=False)
        self._write_piece((self._position, memoryview(self._buffer)[: self._filled]))  # small output starts no thread
        for patch in self._patches:
            self._write_at(patch.offset, memoryview(patch.data))
        try:
            os.fsync(self._open_descriptor())
        except OSError as error:
            raise self._failed("the disk did not confirm the data", error) from error

    def reread(self) -> Source:
        """See `Output`."""
        try:
            os.posix_fadvise(self._open_descriptor(), 0, 0, os.POSIX_FADV_DONTNEED)
            return FileSource(os.dup(self._open_descriptor()), self._path)
        except OSError as error:
            raise self._failed("it cannot be read again", error) from error

    def publish(self) -> None:
        """See `Output`."""
        try:
            if self._overwrite:
                self._check_target()
                if self._hidden is None:
                    hidden = _hidden_name()
                    link_unnamed(self._open_descriptor(), hidden, self._folder)
                    self._hidden = hidden
                os.rename(self._hidden, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            elif self._hidden is None:
                link_unnamed(self._open_descriptor(), self._name, self._folder)
            else:
                _rename_new(self._hidden, self._name, self._folder)
            self._hidden = None
        except FileExistsError as error:
            raise self._exists() from error
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise self._failed("it could not be put in place", error) from error
        try:
            os.fsync(self._folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF):  # file systems that cannot sync a folder
                message = f"{self._path}: the file is in place, but the disk did not confirm its name: {error.strerror}"
                raise OutputError(message) from error
        finally:
            self._close()

    def discard(self) -> None:
        """See `Output`."""
        if self._hidden is not None and self._process == os.getpid():  # a forked child lets go of what is its parent's
            with suppress(OSError):
                os.unlink(self._hidden, dir_fd=self._folder)
            self._hidden = None
        self._close()

    def _close(self) -> None:
        if hasattr(self, "_writes"):
            self._writes.close()
        for descriptor in (self._descriptor, self._folder):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._descriptor, self._folder = None, -1

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            message = "the output is closed"
            raise ValueError(message)
        return self._descriptor

    def _exists(self) -> OutputExistsError:
        error = OutputExistsError(f"{self._path} is there already")
        error.errno, error.filename = errno.EEXIST, self._path
        error.add_note("overwrite=True replaces it, once the new archive is complete")
        return error

    def _failed(self, what: str, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: {what}: {error.strerror}; whatever is under this name is as it was")


def _hidden_name() -> str:
    return f".strongroom-{os.urandom(8).hex()}.partial"


def _lock(descriptor: int) -> None:
    """Show `_sweep` in other processes that this file is in use."""
    with suppress(OSError):  # a file system without locks has nothing that _sweep could take either
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sweep(folder: int) -> None:
    """Remove hidden files that a killed process left: those of this user that nobody holds locked."""
    with os.scandir(folder) as found:
        names = [item.name for item in found if PARTIAL.fullmatch(item.name)]
    for name in names:
        with suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
            try:
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(name, dir_fd=folder)
            finally:
                os.close(descriptor)


def _rename_new(old: str, new: str, folder: int) -> None:
    """Rename without replacing: by link, or by renameat2(2) where the file system has no links (vfat, exFAT)."""
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    else:
        os.unlink(old, dir_fd=folder)
        return
    import ctypes  # noqa: PLC0415 - rarely needed, and slow to import

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(folder, os.fsencode(old), folder, os.fsencode(new), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number))
        _rename_after_a_look(old, new, folder)


def _rename_after_a_look(old: str, new: str, folder: int) -> None:
    """Rename where nothing stands: all that is left on a file system with neither links nor RENAME_NOREPLACE.

    FUSE's exFAT is one. Ours take turns by a lock on the folder; a file that another program makes in between is
    replaced. Making the name first and then renaming over it would not do: a kill would leave an empty file there.
    """
    for _ in range(_TURNS):
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # also by whoever started us, as flock(1) does: wait, but not forever
            time.sleep(_TURN)
        except OSError:
            break
        else:
            break
    try:
        os.stat(new, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)


class StreamOutput:
    """A binary stream that the caller owns, such as a pipe: it gets the bytes as they come, and cannot be made whole.

    Earlier bytes are patched where the stream can seek, which a file opened for appending only pretends.
    """

    def __init__(self, stream: BinaryIO) -> None:
        if isinstance(cast("object", stream), io.TextIOBase) or not hasattr(stream, "write"):
            message = f"an archive goes to a path or a binary stream, not {type(stream).__name__}"
            raise TypeError(message)
        self._stream = stream
        self.patchable: bool = stream.seekable() and not _appends(stream)
        self._origin = stream.tell() if self.patchable else 0

    def write(self, pieces: Iterable[Piece]) -> None:
        """See `Output`."""
        try:
            for piece in pieces:
                if isinstance(piece, Patch):
                    end = self._stream.tell()
                    self._stream.seek(self._origin + piece.offset)
                    self._write(memoryview(piece.data))
                    self._stream.seek(end)
                else:
                    self._write(memoryview(piece))
        except OSError as error:
            self._fail(error)

    def _write(self, view: memoryview) -> None:
        while view:
            count = cast("int | None", self._stream.write(view))
            if count is None:  # a raw, non-blocking stream that is full
                message = "the stream is non-blocking and full; only part of the archive was taken"
                raise OutputError(message)
            view = view[count:]

    def finish(self) -> None:
        """See `Output`."""
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    @staticmethod
    def _fail(error: OSError) -> NoReturn:
        if isinstance(error, BrokenPipeError):
            raise error
        message = f"the stream took only part of the archive: {error.strerror or error}"
        raise OutputError(message) from error

    def reread(self) -> Source:
        """See `Output`."""
        message = "an archive that goes into a stream cannot be read again to verify it"
        raise ValueError(message)

    def publish(self) -> None:
        """See `Output`."""

    def discard(self) -> None:
        """See `Output`."""


def _appends(stream: BinaryIO) -> bool:
    """Whether writes always go to the end: opened with "a", or by a shell's `>>`."""
    if "a" in str(getattr(stream, "mode", "")):
        return True
    try:
        return bool(fcntl.fcntl(stream.fileno(), fcntl.F_GETFL) & os.O_APPEND)
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError: memory has no descriptor
        return False
