"""Real uses of the public API, which mypy and pyright must accept in their strictest modes. Never run."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import strongroom
from strongroom import (
    AgeLayer,
    Entry,
    FernetLayer,
    Inspection,
    Limits,
    ProtectionReport,
    RamFS,
    ReadRoom,
    RecipeLayer,
    Report,
    Secret,
    SecretBuffer,
    StrongroomError,
    WriteRoom,
    aio,
)
from strongroom.compat import pyzipper
from strongroom.receipt import Request, Signer, check


def four_lines(password: str) -> bytes:
    """The example of the README."""
    with strongroom.create("case-42.zip", password=password) as room:
        room.write("secret_data.txt", b"xyz" * 10)
        with room.open("patients.csv", "w") as file:
            csv.writer(file).writerow(["id", "name"])
            file.write("1,Zoë\n")
    with strongroom.open("case-42.zip", password=password) as read:
        return read.read("secret_data.txt")


def every_kind_of_data(room: WriteRoom, path: Path) -> None:
    """What an entry can be made of."""

    def pieces() -> Iterator[bytes]:
        yield b"one"

    room.write("bytes", b"data")
    room.write("bytearray", bytearray(b"data"), modified=datetime.now(UTC))
    room.write("memoryview", memoryview(b"data"), mode=0o600)
    room.write("pieces", pieces())
    room.write("list", [b"one", bytearray(b"two")])
    room.write("memory", io.BytesIO(b"data"))
    room.mkdir("folder")
    with path.open("rb") as file:
        room.write("file", file)
    with SecretBuffer(10) as buffer:
        room.write("secret", buffer)
    with room.open("pushed", "wb") as pushed:
        count: int = pushed.write(b"data")
        print(count)
    room.close()


def every_option(stream: BinaryIO) -> None:
    """All options of the three calls."""

    def progress(done: int, total: int | None) -> None:
        print(done, total)

    strongroom.create(
        Path("a.zip"),
        password=b"bytes",
        format="zip",
        compression="zstd",
        level=3,
        threads=2,
        overwrite=True,
        verify=True,
        progress=progress,
    ).close()
    strongroom.create(stream, password=Secret("text"), format="zip").close()
    limits = Limits(ratio=10, total_size=1 << 30)
    strongroom.open(stream, password=memoryview(b"view"), limits=limits, legacy=True, allow_plaintext=True).close()
    strongroom.open(stream, password="text", manifest="required").close()
    strongroom.seal({"a": b"1", "b": io.BytesIO()}, "a.zip", password="text", threads=1)
    strongroom.seal(Path("folder"), "a.zip", password="text")
    strongroom.seal(b"data", stream, name="a", password="text", format="zip")


def reading(room: ReadRoom, buffer: bytearray) -> tuple[Entry, ...]:
    """All that a Room that is read can do."""
    length: int = room.read_into("a", buffer)
    with room.open("a") as text:
        line: str = text.readline()
    with room.open("a", "rb") as file:
        place: int = file.seek(-5, io.SEEK_END)
        data: bytes = file.read()
        file.readinto(bytearray(5))
    for chunk in room.chunks("a"):
        data += chunk.tobytes()
    for entry in room:
        name: str = entry.name
        size: int = entry.size
        when: datetime = entry.modified
        print(name, size, when, entry.kind == "directory", entry.mode, entry.method, entry.encryption, entry.encrypted)
    report: Report = room.verify()
    for finding in report.findings:
        problem: str = finding.problem
        print(finding.entry, problem)
    room.extract("folder")
    room.extract(Path("folder"), ["a"])
    print(length, line, place, data, "a" in room, len(room), report.ok)
    return room.entries


def staging(path: Path, stream: BinaryIO, room: ReadRoom) -> RamFS:
    """A tree from memory to the disk, and back."""
    with RamFS(limit=1 << 30) as ram:
        ram.pipe("/hidden_dir/a.txt", b"data")
        ram.set_modified("/hidden_dir/a.txt", datetime.now(UTC))
        strongroom.seal(ram, "case.zip", password="text", compression="store")
        with strongroom.create(path, password="text") as sealed, ram.open("/hidden_dir/a.txt") as file:
            sealed.write("a.txt", file)
    strongroom.unseal(stream, password=b"bytes", format="zip", limits=Limits(memory_size=1 << 30), threads=1).close()
    with room.load(limit=1 << 30) as loaded:
        print(loaded.find("/"))
    return strongroom.unseal(path, password=Secret("text"))


def layers(room: WriteRoom, read: ReadRoom, key: bytes) -> bytes:
    """Encryption around single entries."""
    with FernetLayer(password="text", kdf="scrypt") as layer, FernetLayer(key=key) as keyed:
        room.write("a", b"data", layer=layer)
        room.write("b", io.BytesIO(b"data"), layer=keyed, mode=0o600)
        packed: int = read.entry("a.fernet").packed_size
        print(packed)
        data: bytes = read.read("a", layer=layer)
    with (
        AgeLayer(recipients=["age1", Path("public")]) as writes,
        AgeLayer(identities=[Secret("text"), Path("key")], threads=1) as reads,
        AgeLayer(password=Secret("text"), recipients=(), identities=()),
    ):
        room.write("c", [b"data"], layer=writes)
        data += read.read("c", layer=reads)
    return data + read.read("encrypted.txt", layer=RecipeLayer(key_name="encryption_key.txt"))


def secrets(value: bytearray) -> bool:
    """Passwords in memory that is wiped."""
    with Secret.take(value) as secret, Secret("other") as other:
        memoryview(secret)[:1]
        return secret == other


def errors() -> str | None:
    """What is caught, and what an error tells."""
    try:
        strongroom.open("a.zip", password="text").close()
    except strongroom.WrongKeyError:
        return None
    except strongroom.FormatError as error:
        offset: int | None = error.offset
        return f"{offset} {error.spec}"
    except (strongroom.OutputExistsError, StrongroomError) as error:
        return str(error)
    return ""


def protected_memory() -> list[tuple[str, bool, str, str]]:
    """What keeps secrets in memory, and what is told of it."""
    with Secret("password", locked=True) as secret, Secret.take(bytearray(b"password"), locked=True) as taken:
        same: bool = secret == taken
        way: str = secret.protection
        print(same, way)
    with SecretBuffer(10, locked=True) as buffer, SecretBuffer.random(32) as key:
        buffer[:] = b"0123456789"
        key.check_process()
    report: ProtectionReport = strongroom.harden()
    if report.ok:
        return []
    return [(check.name, check.ok, check.found, check.advice) for check in report.checks]


async def awaited(path: Path) -> bytes:
    """The same calls for asyncio."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"

    async with aio.create(path, password="text", compression="zstd") as room:
        await room.write("a", pieces())
        await room.write("b", b"data", mode=0o700, modified=datetime.now(UTC))
        await room.mkdir("folder")
    await aio.seal({"a": pieces(), "b": b"data"}, path, password="text", overwrite=True)
    await aio.seal(Path("folder"), "b.zip", password="text")
    await aio.write("c.zip", "a", pieces(), password="text")
    async with aio.open(path, password="text", manifest="required") as read:
        report: Report = await read.verify()
        data: bytes = await read.read("a")
        async for chunk in read.chunks("b"):
            data += chunk.tobytes()
        print(report.ok, read.entries, await read.read_into("a", bytearray(3)))
    with await aio.unseal(path, password=Secret("text")) as ram:
        print(ram.find("/"))
    return data + await aio.read(path, "a", password="text")


def for_pyzipper(path: Path) -> str | None:
    """Code that was written for pyzipper."""
    with pyzipper.AESZipFile(path, "w", compression=pyzipper.ZIP_LZMA, encryption=pyzipper.WZ_AES) as made:
        made.setpassword(b"bytes")
        made.setencryption(pyzipper.WZ_AES, nbits=128)
        made.writestr("a", "text")
        made.writestr(pyzipper.ZipInfo("b", (2024, 1, 1, 0, 0, 0)), b"data")
        made.write(path, "c")
        with made.open("d", "w", force_zip64=True) as pushed:
            pushed.write(b"data")
    try:
        with pyzipper.ZipFile(str(path)) as read, read.open("a", pwd=b"bytes") as file:
            read.pwd = b"bytes"
            names: list[str] = read.namelist()
            sizes: list[int] = [info.file_size for info in read.infolist() if not info.is_dir()]
            data: bytes = file.read() + read.read("b")
            print(names, sizes, data, read.extract("a", path.parent))
            read.extractall(path.parent, ["b"])
            return read.testzip()
    except (pyzipper.BadZipFile, RuntimeError) as error:
        return str(error)


def public_keys(recipient: str, key: Secret) -> bytes:
    """To others, and by those."""
    with strongroom.create("a.zip.age", recipients=[recipient, Path("team.txt")], armor=True) as room:
        room.write("a", b"1")
    strongroom.rekey("a.zip.age", "b.zip.age", identities=[key], new_password="text", verify=True)
    strongroom.rekey("a.zip.age", identities=[key], new_password=lambda: Secret("text"))
    made = strongroom.convert(
        "a.zip.age", "a.7z", identities=[key], new_password="text", compression="store", level=None
    )
    assert made[0].encrypted
    strongroom.convert("old.zip", "new.zip", password="text", legacy=True, new_format="zip", limits=strongroom.Limits())
    strongroom.seal(b"data", "n.txt.age", recipients=[recipient])
    strongroom.rekey("a.zip.age", identities=[Path("key.txt")], ask=lambda _: Secret("text"), recipients=[recipient])
    with strongroom.open("a.zip.age", identities=["AGE-SECRET-KEY-1", key, Path("key.txt")], streaming=True) as read:
        return read.read("a")


def evidence(password: Secret) -> list[str]:
    """A receipt, and what shows of an archive."""
    with Signer(Path("lab"), ask=lambda _: Secret("text")) as signer:
        request = Request("a.json", signer, brief=True)
        strongroom.seal({"a": b"1"}, "a.zip", password=password, receipt=request)
    strongroom.create("b.zip", password=password, receipt=Path("b.json")).close()
    found = check("a.zip", Path("a.json"), allowed_signers="allowed_signers", signer="lab")
    with strongroom.open("a.zip", password=password) as room:
        problems = [*found.findings, *found.receipt.differences(room.entries)]
    inspection: Inspection = strongroom.inspect("a.zip")
    return [*problems, *(weakness.text for weakness in inspection.weaknesses if weakness.level == "broken")]
