"""Files that are written: encrypted as they come, and there only once they are whole."""

from __future__ import annotations

import io
import os
import sys
import warnings
from typing import TYPE_CHECKING

from strongroom.errors import SecureMemoryError, StrongroomWarning
from strongroom.flow import as_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from typing_extensions import Buffer

    from strongroom.formats.age.envelope import Envelope
    from strongroom.fs.base import FileSystem
    from strongroom.output import Whole


class SealedWriter(io.BufferedIOBase):
    """A file that is written from its start to its end, in constant memory.

    `close` and the end of its block put it in its place. What leaves its block by an exception, what is closed while an
    exception that came up since is on its way (as libraries do in `finally`), and what nobody closes is discarded, and
    what stood under the name stays as it was. With `autocommit` False, `commit` puts it in its place.
    """

    fs: FileSystem | None = None

    def __init__(
        self, path: str, envelope: Envelope, output: Whole, *, autocommit: bool, done: Callable[[], object]
    ) -> None:
        super().__init__()
        self.path = path
        self.mode = "wb"
        self.autocommit = autocommit
        self._envelope = envelope
        self._output: Whole | None = output
        self._done = done
        self._position = 0
        self._handled = sys.exception()
        self._process = os.getpid()

    @property
    def name(self) -> str:
        """The path that it was opened with."""
        return self.path

    @property
    def size(self) -> int:
        """How many bytes were taken."""
        return self._position

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def tell(self) -> int:
        """Return how many bytes were taken."""
        self._check_open()
        return self._position

    def write(self, data: Buffer, /) -> int:
        """Take bytes; returns how many, which is always all. An error discards the file."""
        output = self._check_open()
        view = as_bytes(data)
        if view is None:
            message = f"a bytes-like object is required, not {type(data).__name__}"
            raise TypeError(message)
        try:
            output.write(self._envelope.update(view))
        except BaseException:
            self.discard()
            raise
        self._position += len(view)
        return len(view)

    def flush(self) -> None:
        """Do nothing: what is not whole is not to be seen."""

    def close(self) -> None:
        """Put the file in its place; or discard it, with a warning, where an exception is on its way."""
        if self.closed:
            return
        if self._is_parents():
            super().close()
            return
        error = sys.exception()
        if error is not None and error is not self._handled:
            self.discard()
            message = f"{self.path!r} was closed while {type(error).__name__} was on its way, and is discarded"
            warnings.warn(message, StrongroomWarning, stacklevel=2)
            return
        self._finish()

    def commit(self) -> None:
        """Put the file in its place, at the end of a transaction; one that was discarded stays so."""
        if not self.closed:
            self._finish()
        self._publish()

    def discard(self) -> None:
        """Forget all that was written; does nothing once the file is in its place."""
        output, self._output = self._output, None
        if self._is_parents():
            super().close()
            return
        try:
            self._envelope.close()
            if output is not None:
                output.discard()
        finally:
            super().close()

    def _finish(self) -> None:
        output = self._check_open()
        try:
            output.write(self._envelope.finish())
            output.finish()
            self._envelope.close()
            if self.autocommit:
                self._publish()
        except BaseException:
            self.discard()
            raise
        super().close()

    def _publish(self) -> None:
        if self._output is not None:
            try:
                self._output.publish()
            except BaseException:
                self.discard()
                raise
            self._output = None
            self._done()

    def _is_parents(self) -> bool:
        """Whether this is a forked child, which lets go of the file: with its key it would use nonces a second time."""
        return self._process != os.getpid()

    def _check_open(self) -> Whole:
        if self._is_parents():
            message = "a file that the parent process opened is not written on by a forked child"
            raise SecureMemoryError(message)
        if self.closed or self._output is None:
            message = "the file is closed"
            raise ValueError(message)
        return self._output

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()
        elif not self.closed:
            self._finish()

    def __del__(self) -> None:
        """Not `close`, as the base has it: nobody said that the file is whole."""
        if hasattr(self, "_handled") and self._output is not None:
            unclosed = not self.closed
            self.discard()
            if unclosed:
                message = f"{self.path!r} was never closed, and is discarded"
                warnings.warn(message, ResourceWarning, stacklevel=2)


class TextWriter(io.TextIOWrapper):
    """A SealedWriter for text."""

    def __init__(self, file: SealedWriter | CompressedWriter, **options: Any) -> None:  # noqa: ANN401 - the base's own
        super().__init__(file, **options)
        self._file = file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._file.discard()
        self.close()

    def close(self) -> None:
        """Write what is in the buffer, and close the file."""
        if self._file.closed:  # a file that was discarded takes nothing
            return
        super().close()

    def discard(self) -> None:
        """See `SealedWriter`."""
        self._file.discard()

    def __del__(self) -> None:
        """Not `close`, as the base has it: the file stays open, and so is discarded."""


class CompressedWriter(io.BufferedIOBase):
    """A SealedWriter behind a compressor of fsspec's, which by itself would leave it open."""

    def __init__(self, packer: io.BufferedIOBase, file: SealedWriter) -> None:
        super().__init__()
        self._packer = packer
        self._file = file

    @property
    def name(self) -> str:
        """The path that it was opened with."""
        return self._file.name

    def writable(self) -> bool:
        """Whether it can be written: always."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Take bytes."""
        return self._packer.write(data)

    def close(self) -> None:
        """Write the compressor's end, and close the file."""
        if self.closed:
            return
        try:
            self._packer.close()
            self._file.close()
        finally:
            super().close()

    def discard(self) -> None:
        """See `SealedWriter`."""
        self._file.discard()
        try:
            self._packer.close()
        except ValueError:  # it has an end to write, and nowhere to
            pass
        finally:
            super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        """Not `close`, as the base has it."""
