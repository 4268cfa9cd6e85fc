"""The child that `isolated` starts: decodes one entry from standard input to standard output, within fixed bounds.

It runs as a script of its own, imports nothing of strongroom, and says how it went by its exit status alone: what a
hostile entry breaks is this process, which holds no key, no password and no other entry.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it: loading `typing` would take as long as all the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, NoReturn

HEADER: Final = struct.Struct("<BQQBB")  # method, declared size, memory bound, PPMd order, PPMd restoration method
DEFLATE64: Final = 9
PPMD: Final = 98
PPMD7: Final = 7  # no method of ZIP

OK: Final = 64  # not 0: neither a library that calls exit() nor a parent that cannot wait must look like success
LONGER: Final = 65
EARLY: Final = 66
DAMAGED: Final = 67
TRAILING: Final = 68
MEMORY: Final = 69
MISSING: Final = 70

_MIB: Final = 1 << 20
_BASE_MEMORY: Final = 256 * _MIB  # address space of the interpreter, a thread of PPMd, and the pieces under way
_BASE_SECONDS: Final = 10
_SLOWEST: Final = _MIB // 4  # bytes a second; the slowest PPMd data takes a second for 2.4 MB here
_MOST_SECONDS: Final = 1 << 30
_FILES: Final = 16
_BITE: Final = 256  # gives at most 7 MiB: a match of 65,538 bytes takes 18 bits
_PR_SET_DUMPABLE: Final = 4


def _bound(size: int, memory: int) -> None:
    """Take from this process what it does not need."""
    seconds = min(_BASE_SECONDS + size // _SLOWEST, _MOST_SECONDS)
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_AS, _BASE_MEMORY + memory, _BASE_MEMORY + memory),
        (resource.RLIMIT_CPU, seconds, seconds + 1),  # the soft bound's signal tells this bound from other kills
        (resource.RLIMIT_NOFILE, _FILES, _FILES),
        (resource.RLIMIT_FSIZE, 0, 0),
    ):
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)  # noqa: PLW2901
        resource.setrlimit(kind, (soft, hard))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only here

        # A core that is piped to a program, as systemd and Ubuntu have it, does not ask for RLIMIT_CORE.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _library(package: str, folder: str, extension: str) -> Any:  # noqa: ANN401 - libraries without types
    """Load the compiled part of a library alone: all of it takes 30 ms more, for importlib.metadata."""
    site, _, name = package.rpartition("/")
    sys.path += [f"{package}/{folder}", site]
    try:
        return import_module(extension)
    except ImportError:
        return import_module(name)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _deflate64(package: str, size: int, read: Callable[[], bytes]) -> int:
    """Deflate64 (APPNOTE 4.4.5, method 9).

    The library does not say where in its input the data ended. So a second decoder follows one bite behind the first,
    and takes the last bite byte by byte. It also leaks each object that it is given: the bites all stand in one.
    """
    library = _library(package, "", "_inflate64")
    first, second = library.Inflater(), library.Inflater()
    buffer = memoryview(bytearray(_BITE))
    views = [buffer[:length] for length in range(_BITE + 1)]
    behind = b""
    while data := read():
        for start in range(0, len(data), _BITE):
            bite = data[start : start + _BITE]
            if first.eof:
                return TRAILING
            if behind:
                buffer[: len(behind)] = behind
                second.inflate(views[len(behind)])
            buffer[: len(bite)] = bite
            out = first.inflate(views[len(bite)])
            size -= len(out)
            if size < 0:
                return LONGER
            _write(out)
            behind = bite
    if size or not first.eof:
        return EARLY
    for place in range(len(behind)):
        if second.eof:
            return TRAILING
        buffer[0] = behind[place]
        second.inflate(views[1])
    return OK


def _ppmd(package: str, size: int, read: Callable[[], bytes], *parameters: int) -> int:
    """PPMd variant I, revision 1 (APPNOTE 5.10), which must have its end mark."""
    decoder = _library(package, "c", "_ppmd").Ppmd8Decoder(*parameters)
    while data := read():
        if decoder.eof:
            return TRAILING
        while True:
            out = decoder.decode(data, min(_MIB, size or 1))
            size -= len(out)
            if size < 0:
                return LONGER
            _write(out)
            data = b""
            if decoder.eof or decoder.needs_input or not out:
                break
        if decoder.eof and decoder.unused_data:
            return TRAILING
    return OK if decoder.eof and not size else EARLY


def _ppmd7(package: str, size: int, read: Callable[[], bytes], order: int, memory: int) -> int:
    """PPMd variant H with the range coder of 7z, which has no end mark: the size alone ends it."""
    decoder = _library(package, "c", "_ppmd").Ppmd7Decoder(order, memory)
    while size:
        data = read()
        ended = not data
        data = data or b"\0"  # which it may look at beyond the end
        while size:
            out = decoder.decode(data, min(_MIB, size))
            size -= len(out)
            _write(out)
            data = b""
            if decoder.needs_input or not out:
                break  # it takes nothing at all for the end of its input, and decodes on past it
        if ended:
            break
    return EARLY if size else OK


def _run(package: str) -> int:
    source = sys.stdin.buffer
    method, size, memory, order, restore = HEADER.unpack(source.read(HEADER.size))
    _bound(size, memory)

    def read() -> bytes:
        return source.read(_MIB)

    try:
        if method == DEFLATE64:
            return _deflate64(package, size, read)
        if method == PPMD7:
            return _ppmd7(package, size, read, order, memory)
        return _ppmd(package, size, read, order, memory, restore)
    except MemoryError:
        return MEMORY
    except ImportError:
        return MISSING
    except Exception:  # noqa: BLE001 - the libraries raise what they like, some of it a plain Exception
        return DAMAGED


def main() -> NoReturn:
    """Decode, and end without tidying up: after hostile data, that is where the libraries crash."""
    os._exit(_run(sys.argv[1]))


if __name__ == "__main__":
    main()
