from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from strongroom.errors import StrongroomWarning, WrongKeyError
from strongroom.flow import CHUNK, chunks_of
from strongroom.formats import Member, WriterOptions
from strongroom.formats.age import recipients
from strongroom.formats.age.envelope import Envelope
from strongroom.formats.age.reader import Reader
from strongroom.formats.age.recipients import Recipient
from strongroom.formats.age.writer import Writer, check_password
from strongroom.limits import MIB
from strongroom.memory.secret import Secret
from tests import agecraft
from tests.helpers import noise, nothing_left

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MEMBER = Member(name="report.csv", kind="file", modified=NOW, mode=0o600)


def options(
    to: tuple[str, ...] = (agecraft.X25519_RECIPIENT,),
    *,
    password: Secret | None = None,
    compression: str = "store",
    level: int | None = None,
    armored: bool = False,
) -> WriterOptions:
    """Return a writer's options."""
    parsed: tuple[Recipient, ...] = tuple(map(recipients.parse, to))
    return WriterOptions(
        password=password,
        compression=compression,
        level=level,
        threads=2,
        patchable=False,
        random=os.urandom,
        recipients=parsed,
        armored=armored,
    )


def write(writer: Writer, data: bytes) -> bytes:
    """Return the file that a writer makes of one entry."""
    encoder = writer.entry(MEMBER)
    out = bytearray()
    for chunk in chunks_of(data):
        for piece in encoder.update(chunk):
            assert isinstance(piece, (bytes, memoryview))
            out += piece
    for piece in [*encoder.finish(), *writer.finish()]:
        assert isinstance(piece, (bytes, memoryview))
        out += piece
    encoder.close()
    writer.close()
    return bytes(out)


@pytest.mark.parametrize("armored", [False, True])
@pytest.mark.parametrize("size", [0, 5, CHUNK, 17 * MIB + 3])
def test_reader_gives_what_the_writer_took(size: int, armored: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Data, sizes, and the name that the file has by itself; in one reading or two."""
    data = noise(size)
    writer = Writer(options(armored=armored))
    file = write(writer, data)
    (entry,) = writer.entries
    assert (entry.name, entry.size, entry.packed_size, entry.modified) == ("report.csv", size, len(file), NOW)
    reader = Reader(agecraft.source(file), agecraft.options([agecraft.identity()], threads=2, name="Report.csv.age"))
    (entry,) = reader.entries
    assert (entry.name, entry.size, entry.packed_size, entry.encrypted) == ("Report.csv", size, len(file), True)
    assert reader.seekable(entry)
    for _ in range(2):
        assert b"".join(map(bytes, reader.chunks(entry))) == data
    assert b"".join(map(bytes, reader.chunks(entry, size // 2))) == data[size // 2 :]
    seen: list[int] = []
    reader.check(entry, seen.append)
    assert sum(seen) == size
    target = bytearray(size)
    reader.fill(entry, memoryview(target))
    assert target == data
    reader.close()


def test_password() -> None:
    """Sealed and opened with the password alone; also beside identities that do not fit."""
    with Secret("pass") as password:
        file = write(Writer(options((), password=password)), b"data")
        opened = agecraft.options([agecraft.identity()])._replace(password=password)
        reader = Reader(agecraft.source(file), opened)
        assert b"".join(map(bytes, reader.chunks(reader.entries[0]))) == b"data"
        reader.close()
    with Secret("Pass") as wrong, pytest.raises(WrongKeyError):
        Reader(agecraft.source(file), agecraft.options([])._replace(password=wrong))


def test_without_keys_the_entry_is_listed() -> None:
    """As a ZIP file's are: reading it is what takes a key."""
    reader = Reader(agecraft.source(agecraft.seal(b"data")), agecraft.options([]))
    (entry,) = reader.entries
    assert (entry.name, entry.size) == ("data", 4)
    for use in (lambda: list(reader.chunks(entry)), lambda: reader.check(entry, lambda _: None)):
        with pytest.raises(WrongKeyError):
            use()
    reader.close()


def test_wrong_options_are_the_callers_mistake() -> None:
    """No recipients, a password beside them, a compression, a mix that gives up post-quantum security."""
    with Secret("pass") as password:
        for wrong in (
            options(()),
            options(password=password),
            options(compression="zstd"),
            options(level=3),
            options((agecraft.X25519_RECIPIENT, agecraft.identity(agecraft.HYBRID).recipient)),
        ):
            with pytest.raises(ValueError):
                Writer(wrong)


def test_one_file_and_no_folder() -> None:
    """More than one is what a ZIP file inside is for."""
    writer = Writer(options())
    with pytest.raises(ValueError):
        writer.entry(Member(name="folder", kind="directory", modified=NOW, mode=0o700))
    with pytest.raises(ValueError):
        list(writer.finish())
    writer.entry(MEMBER)
    with pytest.raises(ValueError):
        writer.entry(MEMBER)
    writer.close()


@pytest.mark.parametrize("password", ["a\0b", "a\nb", "a\r"])
def test_password_that_cannot_be_typed_is_refused(password: str) -> None:
    """It is asked for at a terminal."""
    with Secret(password) as secret, pytest.raises(ValueError):
        check_password(secret)


def test_password_beyond_ascii_is_warned_of() -> None:
    """Two ways to encode the same letter are two passwords."""
    with Secret("pässword") as secret, pytest.warns(StrongroomWarning):
        check_password(secret)
    with Secret("password") as secret:
        check_password(secret)


def test_envelope_takes_pieces_of_any_size() -> None:
    """As a ZIP writer gives them, valid until the next one."""
    data, buffer = noise(3 * CHUNK + 7), bytearray(100_000)
    envelope, out = Envelope([recipients.parse(agecraft.X25519_RECIPIENT)], os.urandom, 2), bytearray()
    for start in range(0, len(data), len(buffer)):
        part = data[start : start + len(buffer)]
        buffer[: len(part)] = part
        for piece in envelope.update(memoryview(buffer)[: len(part)]):
            out += piece
    for piece in envelope.finish():
        out += piece
    envelope.close()
    assert agecraft.read_whole(bytes(out), [agecraft.identity()]).data == data
    assert (envelope.size, envelope.packed_size) == (len(data), len(out))


@pytest.mark.parametrize("threads", [1, 2])
def test_abandoned_envelope_leaves_nothing(threads: int) -> None:
    """No thread, and no plaintext in what it copied."""
    with nothing_left():
        envelope = Envelope([recipients.parse(agecraft.X25519_RECIPIENT)], os.urandom, threads)
        for _ in range(30):
            list(envelope.update(b"secret" * 50_000))
        copy = envelope._chunker._buffer
        assert copy is not None
        assert copy.startswith(b"secret", copy.find(b"secret"))
        envelope.close()
        assert b"secret" not in copy


def test_each_file_has_its_own_key() -> None:
    """The same data to the same recipient gives other bytes all through."""
    first, second = (agecraft.seal(bytes(1000), seed=seed) for seed in "ab")
    assert first != second
    assert first[-500:] != second[-500:]
