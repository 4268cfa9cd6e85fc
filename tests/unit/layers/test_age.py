from __future__ import annotations

import io
import os
import subprocess
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import strongroom
from strongroom import (
    AgeLayer,
    EntryNotFoundError,
    FormatError,
    LimitError,
    Limits,
    OutputError,
    RamFS,
    ReadRoom,
    Secret,
    SecureMemoryError,
    StrongroomError,
    StrongroomWarning,
    TamperedError,
    TruncatedError,
    UnsupportedError,
    WrongKeyError,
)
from strongroom.flow import CHUNK
from strongroom.formats.age import bech32, identities
from strongroom.formats.age.passphrase import ScryptRecipient
from tests import agecraft
from tests.helpers import in_memory, noise, nothing_left, tool
from tests.traits import TRAITS, Trait, each_format

PASSWORD = "of the archive"
INNER = "of the layer"


def by_password(password: Any = INNER) -> AgeLayer:  # noqa: ANN401 - wrong ones are tried too
    """A layer whose scrypt costs nothing."""
    layer = AgeLayer(password=password)
    layer._log_n = 1
    return layer


def by_key(secret: str = agecraft.X25519) -> AgeLayer:
    """A layer that reads what it wrote."""
    return AgeLayer(recipients=[agecraft.identity(secret).recipient], identities=[secret])


LAYERS: dict[str, Callable[[], AgeLayer]] = {
    "x25519": by_key,
    "hybrid": lambda: by_key(agecraft.HYBRID),
    "password": by_password,
}


def sealed(layer: AgeLayer, **data: object) -> io.BytesIO:
    """An archive in memory whose entries have the layer."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room:
        for name, content in data.items():
            room.write(name, content, layer=layer)  # type: ignore[arg-type]
    return stream


def opened(archive: Any, **options: Any) -> ReadRoom:  # noqa: ANN401 - paths and streams
    """Open with the password."""
    return strongroom.open(archive, password=PASSWORD, **options)


def stored(file: bytes) -> io.BytesIO:
    """An archive with a file as `a.age`."""
    stream = io.BytesIO()
    strongroom.seal({"a.age": file}, stream, format="zip", password=PASSWORD)
    return stream


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Iterator[AgeLayer]:
    """Each kind of layer."""
    with LAYERS[request.param]() as made:
        yield made


# There and back


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 1])
def test_there_and_back(layer: AgeLayer, size: int) -> None:
    """What is written with a layer is read with it; without, there is the age file."""
    with opened(sealed(layer, a=noise(size))) as room:
        assert room.read("a", layer=layer) == noise(size)
        assert [entry.name for entry in room] == ["a.age"]
        assert room.read("a.age").startswith(b"age-encryption.org/v1\n")
        assert room.verify().ok


@each_format
@pytest.mark.parametrize("threads", [1, 2])
def test_each_format(tmp_path: Path, trait: Trait, threads: int) -> None:
    """The archive's format is nothing to the layer; the entry keeps its time and mode."""
    path = tmp_path / f"a{trait.suffix}"
    moment = strongroom.RamFS().created("/").replace(microsecond=0)
    with AgeLayer(recipients=agecraft.X25519_RECIPIENT, identities=agecraft.X25519, threads=threads) as layer:
        with nothing_left(), strongroom.create(path, password=PASSWORD) as room:
            room.write("ward/a.csv", noise(2 * CHUNK + 9), layer=layer, modified=moment)
        with nothing_left(), opened(path) as read:
            assert read.read("ward/a.csv", layer=layer) == noise(2 * CHUNK + 9)
            assert read.entry("ward/a.csv.age").modified == moment


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "file", "pieces", "ram", "local"])
def test_data_of_any_kind(layer: AgeLayer, tmp_path: Path, kind: str) -> None:
    """All that `write` takes without a layer, it takes with one."""
    content = noise(CHUNK + 77)
    (tmp_path / "a").write_bytes(content)
    with RamFS() as ram, (tmp_path / "a").open("rb") as local:
        ram.pipe_file("/a", content)
        data = {
            "bytes": content,
            "bytearray": bytearray(content),
            "file": io.BytesIO(content),
            "pieces": (content[place : place + 999] for place in range(0, len(content), 999)),
            "ram": ram.open("/a"),
            "local": local,
        }[kind]
        with opened(sealed(layer, a=data)) as room:
            assert room.read("a", layer=layer) == content


def test_keys_in_files(tmp_path: Path) -> None:
    """Recipients and identities come from files too, and each of several reads."""
    (tmp_path / "public").write_text(f"# both\n{agecraft.X25519_RECIPIENT}\n")
    (tmp_path / "key").write_text(f"{agecraft.X25519}\n")
    other = identities.generate(classic=True)
    with AgeLayer(recipients=[tmp_path / "public", other.recipient]) as layer:
        archive = sealed(layer, a=b"data")
    with identities.encode(other) as secret, opened(archive) as room:
        for given in (tmp_path / "key", secret, [secret, tmp_path / "key"]):
            with AgeLayer(identities=given) as reading:  # type: ignore[arg-type]
                assert room.read("a", layer=reading) == b"data"
    other.close()


def test_every_entry_has_a_key_of_its_own(layer: AgeLayer) -> None:
    """Nothing of two files is alike but what says that they are age's."""
    with opened(sealed(layer, **{f"n{number}": b"same" for number in range(10)})) as room:
        assert len({room.read(entry.name)[-40:] for entry in room}) == 10
        assert len({room.read(entry.name)[22:70] for entry in room}) == 10


def test_constant_memory(tmp_path: Path) -> None:
    """A stream of 192 MiB goes through a process that may take 96 more than it has."""
    script = (
        "import resource, strongroom, sys\n"
        "piece = bytes(1 << 20)\n"
        "def write(name, count):\n"
        f"    with strongroom.AgeLayer(recipients={agecraft.X25519_RECIPIENT!r}, threads=2) as layer:\n"
        "        with strongroom.create(name, password='pass', compression='store', threads=2) as room:\n"
        "            room.write('a', (piece for _ in range(count)), layer=layer)\n"
        "write(sys.argv[1] + '/first.zip', 20)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (96 << 20), resource.RLIM_INFINITY))\n"
        "write(sys.argv[1] + '/second.zip', 192)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    with strongroom.open(tmp_path / "second.zip", password="pass") as room:
        assert room.entry("a.age").size > 192 << 20


# With age


@pytest.mark.parametrize("trait", [trait for trait in TRAITS if trait.manifest], ids=str)  # those that 7-Zip opens
def test_age_opens_it(tmp_path: Path, trait: Trait) -> None:
    """What 7-Zip takes out of the archive, `age -d` opens; and the other way round."""
    key, content = tmp_path / "key", noise(CHUNK + 5)
    key.write_text(f"{agecraft.X25519}\n")
    path, back = tmp_path / f"a{trait.suffix}", tmp_path / f"b{trait.suffix}"
    with by_key() as layer:
        with strongroom.create(path, password=PASSWORD) as room:
            room.write("a.csv", content, layer=layer)
        subprocess.run([tool("7zz"), "x", f"-p{PASSWORD}", f"-o{tmp_path}", path], check=True, capture_output=True)
        command = [tool("age"), "-d", "-i", key, tmp_path / "a.csv.age"]
        assert subprocess.run(command, check=True, capture_output=True).stdout == content
        command = [tool("age"), "-r", agecraft.X25519_RECIPIENT, "-o", tmp_path / "b.csv.age"]
        subprocess.run(command, input=content, check=True)
        method = ["-mem=AES256"] if trait.suffix == ".zip" else []
        command = [tool("7zz"), "a", f"-p{PASSWORD}", *method, back, tmp_path / "b.csv.age"]
        subprocess.run(command, check=True, capture_output=True)
        with opened(back, manifest="ignore") as read:
            assert read.read("b.csv", layer=layer) == content


# Keys that do not fit


@pytest.mark.parametrize("kind", LAYERS)
def test_wrong_key(kind: str) -> None:
    """Another key or password is told apart from damage."""
    other = by_password("other") if kind == "password" else by_key(agecraft.HYBRID)
    if kind == "hybrid":
        other = by_password()
    with LAYERS[kind]() as layer, other, opened(sealed(layer, a=b"1" * 100)) as room:
        with nothing_left(), pytest.raises(WrongKeyError):
            room.read("a", layer=other)
        assert room.read("a", layer=layer) == b"1" * 100


def test_who_writes_need_not_read() -> None:
    """With recipients alone a layer writes, and reads nothing; with identities alone it is the other way round."""
    with AgeLayer(recipients=[agecraft.X25519_RECIPIENT]) as writes, AgeLayer(identities=agecraft.X25519) as reads:
        archive = sealed(writes, a=b"1")
        with opened(archive) as room:
            assert room.read("a", layer=reads) == b"1"
            with pytest.raises(WrongKeyError):
                room.read("a", layer=writes)
        stream = io.BytesIO()
        with strongroom.create(stream, format="zip", password=PASSWORD) as written:
            with pytest.raises(ValueError):
                written.write("a", b"1", layer=reads)
            written.write("a", b"2", layer=writes)
        with opened(stream) as room:
            assert room.read("a", layer=reads) == b"2"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda file: file[:-1], TamperedError),
        (lambda file: file[: -CHUNK // 2], StrongroomError),
        (lambda file: file[: len(file) - 65552 - 9 - 16], TruncatedError),
        (lambda file: file + b"\0", StrongroomError),
        (lambda file: file[:-100] + bytes([file[-100] ^ 1]) + file[-99:], TamperedError),
        (lambda file: file.replace(b"--- ", b"--- A", 1), FormatError),
        (lambda file: file[:21], FormatError),
        (lambda _: b"", FormatError),
        (lambda _: b"PK\3\4 something else", FormatError),
    ],
)
def test_changed_before_it_came_into_the_archive(
    change: Callable[[bytes], bytes], error: type[StrongroomError]
) -> None:
    """Nothing is given where not all of it is authentic, and no thread is left."""
    file = change(agecraft.seal(noise(5 * CHUNK + 65536 + 9)))
    with by_key() as layer, opened(stored(file)) as room:
        with nothing_left(), pytest.raises(error):
            room.read("a", layer=layer)
        assert room.read("a.age") == file


@each_format
def test_no_thread_is_left(trait: Trait) -> None:
    """So it is in the middle of an entry that the archive itself reads ahead, and while the exception is kept."""
    file, stream = bytearray(agecraft.seal(bytes(20 * CHUNK))), io.BytesIO()
    file[70_000] ^= 1
    strongroom.seal({"a.age": bytes(file)}, stream, format=str(trait), password=PASSWORD, compression="store")
    with by_key() as layer, opened(stream, format=str(trait), threads=2) as room:
        with nothing_left(), pytest.raises(TamperedError) as caught:
            room.read("a", layer=layer)
        assert caught.value.__traceback__ is not None


def test_changed_in_the_archive(tmp_path: Path) -> None:
    """The archive's own authentication comes first; where it has none, age's finds the change."""
    with by_key() as layer:
        path = tmp_path / "a.zip"
        path.write_bytes(sealed(layer, a=bytes(1000)).getvalue())
        data = bytearray(path.read_bytes())
        data[600] ^= 1
        path.write_bytes(data)
        with pytest.raises(TamperedError), opened(path) as room:
            room.read("a", layer=layer)
        stream, file = io.BytesIO(), bytearray(agecraft.seal(bytes(1000)))
        file[-500] ^= 1
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a.age", bytes(file))
        with strongroom.open(stream, allow_plaintext=True) as room, pytest.raises(TamperedError):
            room.read("a", layer=layer)


def test_what_is_not_there() -> None:
    """An entry that is not in the layer is an EntryNotFoundError."""
    with by_key() as layer, opened(stored(agecraft.seal(b"1"))) as room, pytest.raises(EntryNotFoundError):
        room.read("b", layer=layer)


@pytest.mark.parametrize("limits", [Limits(scrypt_log_n=3), Limits(memory_size=200)], ids=["scrypt", "memory"])
def test_limits(limits: Limits) -> None:
    """A cost or a size above the limits is a LimitError, before any work."""
    with Secret(INNER) as password:
        archive = stored(agecraft.seal(bytes(300), [ScryptRecipient(password, 4)]))
    with by_password() as layer, opened(archive, limits=limits) as room, pytest.raises(LimitError):
        room.read("a", layer=layer)


def test_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is within the limits, and not within this machine's memory, is a LimitError, and ends the threads."""

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:  # noqa: ANN401 - as io has it
            if self.tell() > CHUNK:
                raise MemoryError
            return super().write(data)

    with by_key() as layer, opened(sealed(layer, a=noise(9 * CHUNK))) as room:
        monkeypatch.setattr("strongroom.layers.age.io.BytesIO", Full)
        with nothing_left(), pytest.raises(LimitError):
            room.read("a", layer=layer)


def test_the_archives_password_comes_first() -> None:
    """Without the archive's own password, the layer's opens nothing."""
    with by_key() as layer, strongroom.open(sealed(layer, a=b"1")) as room, pytest.raises(WrongKeyError):
        room.read("a", layer=layer)


# Writing that fails


def test_refused_beforehand(layer: AgeLayer) -> None:
    """Text, or a name that is there: the archive stays as it was."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room:
        room.write("a", b"one", layer=layer)
        for wrong in ("text", 5):
            with pytest.raises(TypeError):
                room.write("b", wrong, layer=layer)  # type: ignore[arg-type]
        for name in ("a", "../b"):
            with pytest.raises(ValueError):
                room.write(name, b"two", layer=layer)
        room.write("b", b"three", layer=layer)
    with opened(stream) as read:
        assert read.read("a", layer=layer) == b"one"
        assert read.read("b", layer=layer) == b"three"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("pieces", [0, 1, 9])
def test_refused_on_the_way(tmp_path: Path, layer: AgeLayer, error: type[BaseException], pieces: int) -> None:
    """Data that fails, or Ctrl-C, discards the archive and ends the threads, also where the exception is swallowed."""

    def fails() -> Iterator[bytes]:
        for _ in range(pieces):
            yield noise(CHUNK)
        raise error

    with (
        nothing_left(tmp_path),
        pytest.raises(OutputError),
        strongroom.create(tmp_path / "a.zip", password=PASSWORD) as room,
        pytest.raises(error),
    ):
        room.write("a", fails(), layer=layer)


def test_ctrl_c_while_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the threads, and what was decrypted until then is wiped."""
    kept: list[memoryview] = []

    class Interrupted(io.BytesIO):
        def write(self, data: Any, /) -> int:  # noqa: ANN401 - as io has it
            count = super().write(data)
            if self.tell() > 3 * CHUNK:
                kept.append(self.getbuffer())
                raise KeyboardInterrupt
            return count

    with by_key() as layer, opened(sealed(layer, a=b"\1" * (9 * CHUNK))) as room:
        monkeypatch.setattr("strongroom.layers.age.io.BytesIO", Interrupted)
        with nothing_left(), pytest.raises(KeyboardInterrupt):
            room.read("a", layer=layer)
    assert len(kept[0]) > 3 * CHUNK
    assert not any(kept[0])


# The layer itself


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ValueError),
        ({"recipients": [], "identities": ()}, ValueError),
        ({"password": INNER, "recipients": [agecraft.X25519_RECIPIENT]}, ValueError),
        ({"password": INNER, "identities": [agecraft.X25519]}, ValueError),
        ({"password": ""}, ValueError),
        ({"password": "\ud800"}, ValueError),
        ({"recipients": [agecraft.X25519]}, ValueError),
        ({"recipients": [agecraft.X25519_RECIPIENT, agecraft.identity(agecraft.HYBRID).recipient]}, ValueError),
        ({"recipients": [agecraft.X25519_RECIPIENT[:-1]]}, ValueError),
        ({"identities": [agecraft.X25519, agecraft.X25519[:-1]]}, ValueError),
        ({"recipients": [agecraft.X25519_RECIPIENT], "threads": 0}, ValueError),
        ({"recipients": bech32.encode("age1yubikey", bytes(33))}, UnsupportedError),
        ({"recipients": 5}, TypeError),
        ({"identities": [Path("/nowhere/at/all")]}, FileNotFoundError),
    ],
)
def test_arguments(options: dict[str, Any], error: type[Exception]) -> None:
    """A password, or keys that go together; none of the secrets stands in the traceback."""
    with nothing_left(), pytest.raises(error) as caught:
        AgeLayer(**options)
    trace = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    inside = trace[trace.index("layers/age.py") :]
    for secret in (INNER, agecraft.X25519[20:40]):
        assert secret not in inside or secret in str(options.get("recipients"))  # where nobody expects a secret


def test_a_password_that_age_cannot_take() -> None:
    """It is typed on one line there, so others are refused for writing; what is not ASCII is warned of."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room, by_password("a\nb") as layer:
        with pytest.raises(ValueError):
            room.write("a", b"1", layer=layer)
        with by_password("Zoë") as other, pytest.warns(StrongroomWarning) as found:
            room.write("a", b"1", layer=other)
    assert found[0].filename == __file__


def test_the_real_cost() -> None:
    """What is written without the tests' seam has age's own work factor."""
    with AgeLayer(password=INNER) as layer, opened(sealed(layer, a=b"1")) as room:
        assert room.read("a.age").splitlines()[1].endswith(b" 18")
        assert room.read("a", layer=layer) == b"1"


def test_closed(layer: AgeLayer) -> None:
    """After `close` every use is a ValueError."""
    archive = sealed(layer, a=b"1")
    layer.close()
    layer.close()
    with opened(archive) as room, pytest.raises(ValueError):
        room.read("a", layer=layer)
    with pytest.raises(ValueError):
        sealed(layer, a=b"1")
    assert INNER not in repr(layer)
    assert agecraft.X25519[20:40] not in repr(layer)


def test_closed_room(layer: AgeLayer) -> None:
    """A Room that is closed has no layers either."""
    room = opened(sealed(layer, a=b"1"))
    room.close()
    with pytest.raises(ValueError):
        room.read("a", layer=layer)


def test_fork(layer: AgeLayer) -> None:
    """A forked child seals and opens nothing under keys that are its parent's."""
    archive = sealed(layer, a=b"1")
    entries = opened(archive)
    child = os.fork()
    if not child:
        refused = 0
        try:
            for use in (lambda: layer.wrap("a", b"1"), lambda: layer.unwrap("a", entries, Limits())):
                try:
                    use()
                except SecureMemoryError:
                    refused += 1
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


CHILD = """
import io, os, strongroom

def secret(size):
    buffer = bytearray(size)
    os.readv(0, [buffer])
    return buffer

marker, password, key, other = secret(16), secret(24), secret(74), strongroom.Secret(b"some other one")
public = os.environ["PUBLIC"]
layers = [
    strongroom.AgeLayer(password=password),
    strongroom.AgeLayer(recipients=public, identities=key),
    strongroom.AgeLayer(recipients=public, identities=key, threads=1),
]
layers[0]._log_n = 2
data = bytearray(3_000_000)
stream = io.BytesIO()
with strongroom.create(stream, format="zip", password=other) as room:
    for number, layer in enumerate(layers):
        room.write(str(number), data, layer=layer)
with strongroom.open(stream, password=other) as room:
    for number, layer in enumerate(layers):
        room.read(str(number), layer=layer)
        try:
            room.read("0" if number else "1", layer=layer)
        except strongroom.WrongKeyError as error:
            kept = error
for layer in layers:
    layer.close()
for buffer in (password, key):
    buffer[:] = bytes(len(buffer))
os.write(1, b"done\\n")
os.read(0, 1)
"""


def test_memory_of_a_process() -> None:
    """Once layers are closed, another process finds no password and no identity, neither as text nor as a key."""
    marker, password = os.urandom(16), os.urandom(12).hex().encode()
    own = identities.generate(classic=True)
    with identities.encode(own) as text, memoryview(own.secret) as raw:
        key, needles = bytes(text), [bytes(raw[:16]), bytes(raw[16:])]
    needles += [password[:12], password[12:], key[20:40], key[40:60], key[20:40].lower()]
    environment = {**os.environ, "PUBLIC": own.recipient}
    command = [sys.executable, "-c", CHILD]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    own.close()
    assert child.stdin
    assert child.stdout
    with child:
        child.stdin.write(marker + password + key)
        child.stdin.flush()
        assert child.stdout.readline() == b"done\n"
        found, *counts = in_memory(child.pid, [marker, *needles])
        child.stdin.write(b"1")
        child.stdin.flush()
    assert found, "the scan saw the process's memory"
    assert counts == [0] * len(needles)
