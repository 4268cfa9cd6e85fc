"""The tools that are measured, each behind the same calls; one that is not installed raises UnavailableError."""

# ruff: noqa: D102 - Tool and Piped document what all share

from __future__ import annotations

import datetime as dt
import importlib
import shutil
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, ClassVar, Final, Protocol

PASSWORD: Final = "nine tame owls read maps"
CHUNK: Final = 1 << 20
_STAMP: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class UnavailableError(Exception):
    """The tool is not installed, or cannot do this."""


@dataclass(frozen=True, slots=True)
class Load:
    """What goes into an archive: files in memory, and for tools that take only files, the same in a folder."""

    files: dict[str, bytes]
    folder: Path


class Tool(Protocol):
    """Archives are encrypted with AES-256 under PASSWORD; compression is "store", "deflate", "lzma" or "zstd"."""

    name: ClassVar[str]

    def write(self, archive: Path, load: Load, compression: str) -> None:
        """Make the archive, which does not exist yet."""

    def read(self, archive: Path) -> int | None:
        """Decrypt all of it into a buffer or into nothing; the number of bytes, where it can be known."""


class Piped(Tool, Protocol):
    """A tool that can be run as a process of its own."""

    def pipe(self, archive: Path) -> list[str]:
        """The command that seals its standard input."""


def need(module: str) -> ModuleType:
    """Import what is measured, or raise UnavailableError."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, TypeError, AttributeError) as error:  # libarchive-c without its library raises these
        raise UnavailableError(f"not installed ({error})") from error


def program(name: str) -> str:
    """Find a command, beside this Python or on the path, or raise UnavailableError."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise UnavailableError("not installed")
    return found


def _only(compression: str, known: dict[str, str]) -> str:
    if compression not in known:
        raise UnavailableError(f"has no {compression}")
    return known[compression]


def drain(file: BinaryIO) -> int:
    """Read to the end into one buffer."""
    buffer = bytearray(CHUNK)
    total = 0
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        total += count
    return total


class Strongroom:
    """The API in this process, durable as by default; the installed command for pipes."""

    name: ClassVar = "strongroom"

    def __init__(self) -> None:
        self._api = need("strongroom")

    def write(self, archive: Path, load: Load, compression: str) -> None:
        with self._api.create(archive, password=PASSWORD, compression=compression, overwrite=True) as room:
            for name, data in load.files.items():
                room.write(name, data)

    def read(self, archive: Path) -> int:
        with self._api.open(archive, password=PASSWORD) as room:
            return sum(room.read_into(entry.name, self.target(entry.size)) for entry in room)

    @staticmethod
    @cache
    def target(size: int) -> bytearray:
        """Memory that the caller owns, touched before."""
        return bytearray(b"\1") * size

    def pipe(self, archive: Path) -> list[str]:
        secret = archive.with_name("password")
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        return [program("strongroom"), "seal", str(archive), "--name", "n", "--password-file", str(secret), "-"]


class StrongroomStream(Strongroom):
    """Reads an entry as a file, a piece at a time, in constant memory."""

    name: ClassVar = "strongroom, as a stream"

    def read(self, archive: Path) -> int:
        total = 0
        with self._api.open(archive, password=PASSWORD) as room:
            for entry in room.entries:
                with room.open(entry.name, "rb") as file:
                    total += drain(file)
        return total


class SevenZip:
    """7zz at its fastest: it reads files from the page cache quicker than a pipe."""

    name: ClassVar = "7zz"

    def __init__(self) -> None:
        self._program = program("7zz")

    _FORMAT: ClassVar = ("-tzip", "-mem=AES256")
    _LEVELS: ClassVar = {"store": "-mx0", "deflate": "-mx1"}

    def _add(self, archive: Path, level: str) -> list[str]:
        quiet = ["-bso0", "-bsp0"]
        return [self._program, "a", *self._FORMAT, f"-p{PASSWORD}", level, *quiet, str(archive.resolve())]

    def write(self, archive: Path, load: Load, compression: str) -> None:
        level = _only(compression, self._LEVELS)
        subprocess.run([*self._add(archive, level), "."], cwd=load.folder, check=True)

    def read(self, archive: Path) -> None:
        command = [self._program, "x", "-so", f"-p{PASSWORD}", str(archive)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    def pipe(self, archive: Path) -> list[str]:
        return [*self._add(archive, "-mx1"), "-sin"]


class SevenZipOwn(SevenZip):
    """7zz with its own format, the names encrypted; -mx1 is LZMA2, with which deflate is compared as well."""

    _FORMAT: ClassVar = ("-t7z", "-mhe=on")
    _LEVELS: ClassVar = {"store": "-mx0", "deflate": "-mx1", "lzma": "-mx1"}


class Py7zr:
    """py7zr, the names encrypted; LZMA2 with the preset that strongroom takes."""

    name: ClassVar = "py7zr"

    def __init__(self) -> None:
        self._api = need("py7zr")

    def write(self, archive: Path, load: Load, compression: str) -> None:
        known = {"store": "FILTER_COPY", "deflate": "FILTER_DEFLATE", "lzma": "FILTER_LZMA2"}
        method = {"id": getattr(self._api, _only(compression, known))}
        if compression == "lzma":
            method["preset"] = 1
        filters = [method, {"id": self._api.FILTER_CRYPTO_AES256_SHA256}]
        with self._api.SevenZipFile(archive, "w", filters=filters, password=PASSWORD, header_encryption=True) as room:
            for name, data in load.files.items():
                room.writestr(data, name)

    def read(self, archive: Path) -> None:
        with self._api.SevenZipFile(archive, password=PASSWORD) as room:
            room.testzip()


class Pyzipper:
    """pyzipper with zlib's default level, the data in one call as strongroom gets it."""

    name: ClassVar = "pyzipper"
    _PIPE: Final = (
        "import pyzipper, sys, shutil\n"
        "with pyzipper.AESZipFile(sys.argv[1], 'w', pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as room:\n"
        "    room.setpassword(sys.argv[2].encode())\n"
        "    with room.open('n', 'w', force_zip64=True) as entry:\n"
        "        shutil.copyfileobj(sys.stdin.buffer, entry, 1 << 20)\n"
    )

    def __init__(self) -> None:
        self._api = need("pyzipper")

    def write(self, archive: Path, load: Load, compression: str) -> None:
        method = getattr(self._api, _only(compression, {"store": "ZIP_STORED", "deflate": "ZIP_DEFLATED"}))
        with self._api.AESZipFile(archive, "w", method, encryption=self._api.WZ_AES) as room:
            room.setpassword(PASSWORD.encode())
            for name, data in load.files.items():
                room.writestr(name, data)

    def read(self, archive: Path) -> int:
        total = 0
        with self._api.AESZipFile(archive) as room:
            room.setpassword(PASSWORD.encode())
            for name in room.namelist():
                with room.open(name) as file:
                    total += drain(file)
        return total

    def pipe(self, archive: Path) -> list[str]:
        return [sys.executable, "-c", self._PIPE, str(archive), PASSWORD]


class PyzipperPieces(Pyzipper):
    """pyzipper fed piece by piece: twice as fast for large data as the single call that its users make."""

    name: ClassVar = "pyzipper, in pieces"

    def write(self, archive: Path, load: Load, compression: str) -> None:
        method = getattr(self._api, _only(compression, {"store": "ZIP_STORED", "deflate": "ZIP_DEFLATED"}))
        with self._api.AESZipFile(archive, "w", method, encryption=self._api.WZ_AES) as room:
            room.setpassword(PASSWORD.encode())
            for name, data in load.files.items():
                with room.open(name, "w", force_zip64=True) as file:
                    for at in range(0, len(data), CHUNK):
                        file.write(memoryview(data)[at : at + CHUNK])


class StreamZip:
    """stream-zip with zlib's default level (its own is 9), and stream-unzip."""

    name: ClassVar = "stream-zip"

    def __init__(self) -> None:
        self._zip = need("stream_zip")
        self._unzip = need("stream_unzip")

    def write(self, archive: Path, load: Load, compression: str) -> None:
        _only(compression, {"store": "", "deflate": ""})

        def members() -> Iterator[tuple[object, ...]]:
            for name, data in load.files.items():
                method = self._zip.ZIP_64
                if compression == "store":
                    method = self._zip.NO_COMPRESSION_64(len(data), zlib.crc32(data))
                yield name, _STAMP, stat.S_IFREG | 0o600, method, (data,)

        pieces = self._zip.stream_zip(
            members(),
            chunk_size=CHUNK,
            get_compressobj=lambda: zlib.compressobj(wbits=-zlib.MAX_WBITS),
            password=PASSWORD,
        )
        with archive.open("wb") as file:
            file.writelines(pieces)

    def read(self, archive: Path) -> int:
        with archive.open("rb") as file:
            pieces = iter(lambda: file.read(CHUNK), b"")
            entries = self._unzip.stream_unzip(pieces, password=PASSWORD.encode(), chunk_size=CHUNK)
            return sum(len(piece) for _, _, contents in entries for piece in contents)


class Libarchive:
    """libarchive through libarchive-c, zlib's default level."""

    name: ClassVar = "libarchive"

    def __init__(self) -> None:
        self._api = need("libarchive")

    def write(self, archive: Path, load: Load, compression: str) -> None:
        method = _only(compression, {"store": "store", "deflate": "deflate"})
        options = f"zip:compression={method},zip:encryption=aes256"
        with self._api.file_writer(str(archive), "zip", options=options, passphrase=PASSWORD) as room:
            for name, data in load.files.items():
                room.add_file_from_memory(name, len(data), data)

    def read(self, archive: Path) -> int:
        with self._api.file_reader(str(archive), passphrase=PASSWORD) as room:
            return sum(len(piece) for entry in room for piece in entry.get_blocks(CHUNK))


PIPED: Final[tuple[type[Piped], ...]] = (Strongroom, SevenZip, Pyzipper)
TOOLS: Final[tuple[type[Tool], ...]] = (*PIPED, StreamZip, Libarchive)
TOOLS_7Z: Final[tuple[type[Tool], ...]] = (Strongroom, SevenZipOwn, Py7zr)
