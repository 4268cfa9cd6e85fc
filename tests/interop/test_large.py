"""Large and empty: what passes 16 and 32 bits, and what holds nothing at all."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import strongroom
from strongroom.formats.zip import crypto, extras, spec
from strongroom.limits import GIB, MIB
from tests.helpers import missing, noise, tool

PASSWORD = "large enough"


def zip64_values(extra: bytes) -> list[int]:
    """The values of the ZIP64 record of an extra field."""
    data = extras.decode_extra(extra, 0).get(extras.ZIP64_ID, b"")
    return [value for (value,) in struct.iter_unpack("<Q", data)]


def end_records(tail: bytes) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Count, size and offset of the directory, from the end record of 32 bits and, where there is one, that of 64."""
    count, size, offset = struct.unpack_from("<HII", tail, len(tail) - 12)
    if tail[-42:-38] != spec.ZIP64_LOCATOR:
        return (count, size, offset), None
    assert tail[-98:-94] == spec.ZIP64_END
    return (count, size, offset), struct.unpack_from("<QQQ", tail, len(tail) - 98 + 32)


def tail_of(archive: Path) -> bytes:
    """The last bytes of a file."""
    with archive.open("rb") as file:
        file.seek(-200, os.SEEK_END)
        return file.read()


def local_header(archive: Path, offset: int) -> tuple[tuple[int, int, int], list[int]]:
    """Flags, packed size and size of a local header, and its ZIP64 values."""
    with archive.open("rb") as file:
        file.seek(offset)
        fields = struct.unpack("<4sHHHIIIIHH", file.read(30))
        assert fields[0] == spec.LOCAL
        file.seek(fields[8], os.SEEK_CUR)
        return (fields[2], fields[6], fields[7]), zip64_values(file.read(fields[9]))


def central_headers(archive: Path) -> list[tuple[tuple[int, int, int], list[int]]]:
    """Packed size, size and offset of each entry in the central directory, and its ZIP64 values."""
    narrow, wide = end_records(tail_of(archive))
    count, size, offset = wide or narrow
    with archive.open("rb") as file:
        file.seek(offset)
        directory = file.read(size)
    found = []
    for _ in range(count):
        fields = struct.unpack_from("<4sHHHHIIIIHHHHHII", directory)
        assert fields[0] == spec.CENTRAL
        name, extra, comment = fields[9:12]
        extra_field = directory[46 + name : 46 + name + extra]
        found.append(((fields[7], fields[8], fields[15]), zip64_values(extra_field)))
        directory = directory[46 + name + extra + comment :]
    return found


def test_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """70,000 entries: the count stands in the ZIP64 records, and strongroom, 7-Zip and zipfile find all of them.

    With one round of PBKDF2 in place of 1,000, which has no part in this, and saves a minute.
    """
    monkeypatch.setattr(crypto, "ROUNDS", 1)
    path = tmp_path / "many.zip"
    count = 70_000
    with strongroom.create(path, password=PASSWORD, compression="store") as room:
        for number in range(count):
            room.write(f"{number // 1000}/{number}", b"%d" % number)
    narrow, wide = end_records(path.read_bytes())
    assert narrow[0] == spec.U16
    assert wide == (count, *narrow[1:])
    with strongroom.open(path, password=PASSWORD) as room:
        assert len(room) == count
        report = room.verify()
        assert (report.ok, report.manifest) == (True, "verified")
        assert room.read("69/69999") == b"69999"
    with zipfile.ZipFile(path) as reader:
        assert len(reader.namelist()) == count
    listing = subprocess.run([tool("7zz"), "l", "-ba", path], capture_output=True, check=True).stdout
    assert listing.count(b"\n") == count


@pytest.mark.parametrize(("count", "wide"), [(65_534, False), (65_535, True), (65_536, True)])
def test_count_needs_zip64(tmp_path: Path, count: int, *, wide: bool) -> None:
    """The ZIP64 records are there from 65,535 entries on, since that count is the sign for them."""
    path = tmp_path / "folders.zip"
    with strongroom.create(path, password=PASSWORD) as room:
        for number in range(count):
            room.mkdir(f"{number}")
    narrow, found = end_records(path.read_bytes())
    assert narrow[0] == min(count, spec.U16)
    assert (found is not None) == wide
    with strongroom.open(path, password=PASSWORD) as room:
        assert len(room) == count
    subprocess.run([tool("7zz"), "t", path], capture_output=True, check=True)


BLOCK = noise(MIB)


def blocks(count: int) -> Iterator[bytes]:
    """Repeated noise, of which only one block is ever in memory."""
    for _ in range(count):
        yield BLOCK


def test_five_gib(tmp_path: Path) -> None:
    """An entry of 5 GiB has its sizes in ZIP64 records, also in its local header; what follows it, its offset.

    7-Zip and strongroom find both right.
    """
    if shutil.disk_usage(tmp_path).free < 6 * GIB:
        missing(f"less than 6 GiB free in {tmp_path}")
    path = tmp_path / "large.zip"
    size = 5 * GIB
    packed = size + crypto.overhead(256)
    try:
        with strongroom.create(path, password=PASSWORD, compression="store") as room:
            room.write("noise", blocks(5 * 1024))
            room.write("after", b"it")
        assert local_header(path, 0) == ((spec.ENCRYPTED | spec.UTF8, spec.U32, spec.U32), [size, packed])
        (first, first_wide), (second, second_wide) = central_headers(path)
        assert (first, first_wide) == ((spec.U32, spec.U32, 0), [size, packed])
        assert second == (2 + crypto.overhead(256), 2, spec.U32)
        assert local_header(path, *second_wide)[0][1:] == second[:2]
        narrow, wide = end_records(tail_of(path))
        assert narrow[2] == spec.U32
        assert wide is not None
        assert wide[0] == 2
        with strongroom.open(path, password=PASSWORD) as room:
            assert room.verify().ok
            with room.open("noise", "rb") as file:
                file.seek(-MIB, os.SEEK_END)
                assert file.read() == BLOCK
            assert room.read("after") == b"it"
        subprocess.run([tool("7zz"), "t", f"-p{PASSWORD}", path], capture_output=True, check=True)
    finally:
        path.unlink(missing_ok=True)


class _Ends:
    """Reads a pipe to its end in a thread, and keeps the first and the last of what comes."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        self.size = 0
        self.first = b""
        self.last = b""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        buffer = bytearray(MIB)
        with os.fdopen(self._reading, "rb", buffering=0) as pipe:
            while count := pipe.readinto(buffer):
                self.size += count
                self.first = self.first or bytes(buffer[:count])
                self.last = (self.last + buffer[max(count - 4096, 0) : count])[-4096:]

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()


def test_five_gib_into_a_pipe() -> None:
    """Into a pipe, an entry beyond 4 GiB gets a data descriptor of 64 bits, and a local header that allows it."""
    ends = _Ends()
    size = 4 * GIB + MIB
    packed = size + crypto.overhead(256)
    with (
        os.fdopen(ends.writing, "wb", buffering=0) as pipe,
        strongroom.create(pipe, format="zip", password=PASSWORD, compression="store") as room,
    ):
        room.write("noise", blocks(4 * 1024 + 1))
    ends.join()
    header = struct.unpack("<4sHHHIIIIHH", ends.first[:30])
    assert header[2] == spec.ENCRYPTED | spec.UTF8 | spec.STREAMED
    assert header[6:8] == (spec.U32, spec.U32)
    start = 30 + header[8]
    assert zip64_values(ends.first[start : start + header[9]]) == [0, 0]
    directory = ends.last.rindex(spec.CENTRAL)
    assert ends.last[directory - 24 : directory] == spec.DESCRIPTOR + struct.pack("<IQQ", 0, packed, size)
    _, wide = end_records(ends.last)
    assert wide == (1, len(ends.last) - directory - 98, start + header[9] + packed + 24)
    assert ends.size == sum(wide[1:]) + 98


def test_just_above_one_chunk(tmp_path: Path) -> None:
    """An entry of one chunk has plain sizes; from the next byte on there is room for 64 bits, which is patched."""
    path = tmp_path / "chunks.zip"
    with strongroom.create(path, password=PASSWORD, compression="store") as room:
        room.write("one", bytes(MIB))
        room.write("more", bytes(MIB + 1))
    (_, nothing), (second, nothing_either) = central_headers(path)
    assert nothing == nothing_either == []
    overhead = crypto.overhead(256)
    assert local_header(path, 0) == ((spec.ENCRYPTED | spec.UTF8, MIB + overhead, MIB), [])
    assert local_header(path, second[2])[0][1:] == (spec.U32, spec.U32)
    assert local_header(path, second[2])[1] == [MIB + 1, MIB + 1 + overhead]
    subprocess.run([tool("7zz"), "t", f"-p{PASSWORD}", path], capture_output=True, check=True)


def test_empty_archive(tmp_path: Path) -> None:
    """An archive without entries is an end record alone, with a comment, which every tool opens."""
    path = tmp_path / "empty.zip"
    strongroom.create(path, password=PASSWORD).close()
    assert path.read_bytes().startswith(spec.END + bytes(16) + b"\x7b\0strongroom manifest 1: ")
    with strongroom.open(path, password=PASSWORD) as room:
        assert room.entries == ()
        assert room.verify().ok
    with zipfile.ZipFile(path) as reader:
        assert reader.namelist() == []
    subprocess.run([tool("7zz"), "t", path], capture_output=True, check=True)
    assert subprocess.run([tool("bsdtar"), "-tf", path], capture_output=True, check=True).stdout == b""


def test_empty_entry(tmp_path: Path) -> None:
    """An entry without data has a salt, a verifier and an authentication code, and no more; however it was written."""
    path = tmp_path / "empty.zip"
    with strongroom.create(path, password=PASSWORD) as room:
        room.write("bytes", b"")
        room.write("iterable", iter([b"", b""]))
        with room.open("stream", "wb"):
            pass
    with strongroom.open(path, password=PASSWORD) as room:
        assert {(entry.size, entry.packed_size) for entry in room} == {(0, crypto.overhead(256))}
        assert [room.read(entry.name) for entry in room] == [b"", b"", b""]
        assert room.verify().ok
    subprocess.run([tool("7zz"), "t", f"-p{PASSWORD}", path], capture_output=True, check=True)
