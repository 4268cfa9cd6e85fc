from __future__ import annotations

import hashlib
import io
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import strongroom
from strongroom import cli
from strongroom.errors import (
    FormatError,
    LimitError,
    StrongroomError,
    TamperedError,
    TruncatedError,
    WrongKeyError,
)
from strongroom.formats.age import envelope, identities, spec
from strongroom.formats.age.armor import ArmoredSource, Armorer
from strongroom.formats.age.identities import Identity
from strongroom.formats.age.passphrase import ScryptIdentity
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from strongroom.source import read
from tests import agecraft
from tests.agecraft import Released
from tests.corpus.manifest import Row, rows

EMPTY = hashlib.sha256(b"").hexdigest()
# C2SP/CCTV age/README.md, "expect"
CLASSES: dict[str, tuple[type[StrongroomError], ...]] = {
    "no match": (WrongKeyError,),
    "HMAC failure": (TamperedError,),
    "header failure": (FormatError,),
    "payload failure": (TamperedError, TruncatedError),
    "armor failure": (FormatError,),
}
BY_COST = {"scrypt_work_factor_overflow", "scrypt_work_factor_23"}


@dataclass
class Vector:
    """A file of the test kit: what it expects, the hash of what may be given out, and who opens it."""

    name: str
    file: bytes
    expect: str
    payload: str = EMPTY
    armored: bool = False
    identities: list[str] = field(default_factory=list)
    passphrases: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Vector:
        """Read the lines before the file itself."""
        head, _, file = path.read_bytes().partition(b"\n\n")
        vector = cls(path.name.removeprefix("CCTV__"), file, "")
        for line in head.decode().splitlines():
            match line.split(": ", 1):
                case ["expect", expect]:
                    vector.expect = expect
                case ["payload", digest]:
                    vector.payload = digest
                case ["armored", "yes"]:
                    vector.armored = True
                case ["identity", text]:
                    vector.identities.append(text)
                case ["passphrase", text]:
                    vector.passphrases.append(text)
                case ["compressed", "zlib"]:
                    vector.file = zlib.decompress(file)
                case [key, _]:
                    assert key in ("file key", "comment")
        return vector

    def own(self) -> list[Identity]:
        """Return who opens it."""
        found: list[Identity] = [agecraft.identity(text) for text in self.identities]
        return found + [ScryptIdentity(Secret(text), Limits()) for text in self.passphrases]

    def __str__(self) -> str:
        return self.name


ROWS = {row.path.name: row for kind in ("age testkit", "age") for row in rows(kind)}
VECTORS = [Vector.load(row.path) for row in ROWS.values() if row.format == "age testkit"]
assert len(VECTORS) >= 80

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=str)


def assert_expected(vector: Vector, error: StrongroomError | None) -> None:
    """The class of the failure is the one that the kit names; a limit counts where the cost is the reason."""
    if vector.expect == "success":
        assert error is None
    elif vector.name in BY_COST:
        assert type(error) is LimitError
    else:
        assert isinstance(error, CLASSES[vector.expect])


def digest(found: Released) -> str:
    """Return the hash of what was given out."""
    return hashlib.sha256(found.data).hexdigest()


@each_vector
@pytest.mark.parametrize("threads", [1, 3])
def test_streaming_gives_out_what_the_kit_says(vector: Vector, threads: int) -> None:
    """Chunk by chunk, before the failure, exactly what may be given out."""
    found = agecraft.read_streaming(vector.file, vector.own(), threads)
    assert_expected(vector, found.error)
    assert digest(found) == vector.payload


@each_vector
def test_pipe_gives_out_what_the_kit_says(vector: Vector) -> None:
    """The same of a file that comes in pieces; armor is not read there."""
    found = agecraft.read_pipe(vector.file, vector.own())
    if vector.armored:
        assert isinstance(found.error, FormatError)
        assert not found.data
    else:
        assert_expected(vector, found.error)
        assert digest(found) == vector.payload


@each_vector
def test_whole_gives_all_or_nothing(vector: Vector) -> None:
    """From the start nothing is given out of a file that is not whole."""
    found = agecraft.read_whole(vector.file, vector.own())
    assert_expected(vector, found.error)
    assert digest(found) == (vector.payload if vector.expect == "success" else EMPTY)


@each_vector
@pytest.mark.parametrize("step", [40_000, 3 << 20])
def test_seeking_gives_nothing_wrong(vector: Vector, step: int) -> None:
    """At offsets, a file that fails does so when it is opened or where the failure is."""
    found = agecraft.read_seeking(vector.file, vector.own(), step)
    assert_expected(vector, found.error)
    if vector.expect == "success":
        assert digest(found) == vector.payload


@each_vector
def test_header_encodes_to_what_was_decoded(vector: Vector) -> None:
    """One value has one encoding, so that the MAC is of what was read."""
    file = vector.file
    try:
        if vector.armored:
            armored = ArmoredSource(agecraft.source(file))
            file = read(armored, 0, armored.size)
        header, end = spec.read_header(agecraft.source(file), Limits())
    except StrongroomError:
        assert vector.expect in ("header failure", "armor failure")
        return
    assert header.encode() == file[:end]


@each_vector
def test_armor_encodes_to_what_was_decoded(vector: Vector) -> None:
    """Also armor has one encoding, but for line ends and what stands around it."""
    if not vector.armored:
        return
    try:
        armored = ArmoredSource(agecraft.source(vector.file))
        file = read(armored, 0, armored.size)
    except StrongroomError:
        assert vector.expect == "armor failure"
        return
    armorer = Armorer()
    text = b"".join([*armorer.update(file), *armorer.finish()])
    assert text == vector.file.replace(b"\r\n", b"\n").strip() + b"\n"


def given(vector: Vector) -> dict[str, object]:
    """What `open` is given; all passphrases but the last are wrong ones, which a caller would try one by one."""
    if vector.passphrases:
        return {"password": vector.passphrases[-1]}
    return {"identities": vector.identities}


def from_room(
    vector: Vector, way: Callable[[strongroom.ReadRoom], object], **options: object
) -> StrongroomError | None:
    """Open a vector by the public API."""
    try:
        with strongroom.open(io.BytesIO(vector.file), format="age", **given(vector), **options) as room:  # type: ignore[arg-type]
            way(room)
    except StrongroomError as error:
        return error
    return None


@each_vector
def test_room_gives_all_or_nothing(vector: Vector) -> None:
    """By `read`, `chunks`, `load` and as a file: the class of the kit's failure, or all of the data."""

    def ways(room: strongroom.ReadRoom) -> None:
        data = room.read("data")
        assert hashlib.sha256(data).hexdigest() == vector.payload
        assert b"".join(map(bytes, room.chunks("data"))) == data
        assert room.open("data", "rb").read() == data
        assert room.verify().ok
        with room.load() as ram:
            assert ram.cat("/data") == data

    assert_expected(vector, from_room(vector, ways))
    given_out: list[bytes] = []
    from_room(vector, lambda room: given_out.extend(bytes(piece) for piece in room.chunks("data")))
    assert bool(given_out) <= (vector.expect == "success")


@each_vector
def test_room_streams_what_the_kit_says(vector: Vector) -> None:
    """With `streaming=True`, exactly what may be given out."""
    given_out = hashlib.sha256()

    def stream(room: strongroom.ReadRoom) -> None:
        for piece in room.chunks("data"):
            given_out.update(piece)

    assert_expected(vector, from_room(vector, stream, streaming=True))
    assert given_out.hexdigest() == vector.payload


@each_vector
def test_room_seeks(vector: Vector) -> None:
    """From the middle on: nothing wrong, and the failure where it is."""
    found: list[bytes] = []

    def seek(room: strongroom.ReadRoom) -> None:
        size = room.entries[0].size
        with room.open("data", "rb") as file:
            for start in reversed(range(0, size, 40_000)):
                file.seek(start)
                found.insert(0, file.read(40_000))

    assert_expected(vector, from_room(vector, seek))
    if vector.expect == "success":
        assert hashlib.sha256(b"".join(found)).hexdigest() == vector.payload


CODES = {"success": 0, "no match": 3, "HMAC failure": 4, "header failure": 4, "payload failure": 4, "armor failure": 4}


@each_vector
@pytest.mark.parametrize("options", [[], ["--streaming"]], ids=["whole", "streaming"])
def test_command_line(
    vector: Vector,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """`cat`: the exit code of the kit's failure, and on standard output what may be given out."""
    out = bytearray()
    original = os.write
    monkeypatch.setattr(
        os, "write", lambda fd, data: (out.extend(data), len(data))[1] if fd == 1 else original(fd, data)
    )
    (tmp_path / "a.age").write_bytes(vector.file)
    streaming, options = bool(options), [*options]
    if vector.passphrases:
        (tmp_path / "pw").write_text(vector.passphrases[-1])
        (tmp_path / "pw").chmod(0o600)
        options += ["--password-file", str(tmp_path / "pw")]
    elif vector.identities:
        (tmp_path / "key").write_text("\n".join(vector.identities))
        options += ["-i", str(tmp_path / "key")]
    monkeypatch.setattr("strongroom.cli.raise_on_signals", lambda: None)
    code = cli.main(["cat", *options, "--format", "age", str(tmp_path / "a.age")])
    assert code == (1 if vector.name in BY_COST else CODES[vector.expect]), capfd.readouterr().err
    released = vector.payload if streaming or vector.expect == "success" else EMPTY
    assert hashlib.sha256(out).hexdigest() == released


@pytest.mark.parametrize("name", ["filosottile-age__example.age", "filosottile-age__example.zip.age"])
@pytest.mark.parametrize(
    "way", [agecraft.read_whole, agecraft.read_streaming, agecraft.read_pipe, agecraft.read_seeking]
)
def test_example_opens_with_its_identity_file(name: str, way: Callable[[bytes, Sequence[Identity]], Released]) -> None:
    """The two examples of age's own repository."""
    row: Row = ROWS[name]
    keys = row.path.with_name("filosottile-age__example_keys.txt").read_bytes()
    own = identities.parse_file(memoryview(keys), "keys")
    found = way(row.path.read_bytes(), own)
    assert found.error is None
    assert digest(found) == row.data_sha256


def test_example_is_read_as_a_zip_file() -> None:
    """A ZIP file inside is a source like any other, to our own reader too."""
    import zipfile

    from strongroom.formats.zip.reader import Reader as ZipReader

    row = ROWS["filosottile-age__example.zip.age"]
    keys = row.path.with_name("filosottile-age__example_keys.txt").read_bytes()
    own = envelope.open_identities(agecraft.source(keys), "keys", None, Limits())
    opened = agecraft.payload(row.path.read_bytes(), own)
    peer = zipfile.ZipFile(io.BytesIO(read(opened, 0, opened.size)))
    reader = ZipReader(opened, agecraft.options([])._replace(allow_plaintext=True))
    for entry in reader.entries:
        if entry.kind == "file":
            assert b"".join(map(bytes, reader.chunks(entry))) == peer.read(entry.name)
    assert [entry.name for entry in reader.entries if entry.kind == "file"]
    reader.close()


def test_example_is_a_room() -> None:
    """And the same through the public API, with the identity's file."""
    row = ROWS["filosottile-age__example.zip.age"]
    with strongroom.open(
        row.path, format="zip.age", identities=[row.path.with_name("filosottile-age__example_keys.txt")]
    ) as room:
        assert room.verify().ok
        assert any(room.read(entry.name) for entry in room if entry.kind == "file")
