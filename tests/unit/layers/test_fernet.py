from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pyzipper
from cryptography.fernet import Fernet, InvalidToken

import strongroom
from strongroom import (
    EntryNotFoundError,
    FernetLayer,
    FormatError,
    LimitError,
    Limits,
    OutputError,
    RamFS,
    ReadRoom,
    Secret,
    SecureMemoryError,
    TamperedError,
    WrongKeyError,
)
from strongroom.flow import CHUNK
from strongroom.layers import fernet, token
from strongroom.layers.derivation import KDFS, PBKDF2Derivation, ScryptDerivation
from tests.helpers import in_memory, noise, nothing_left

PASSWORD = "of the archive"
INNER = "of the layer"
KEY = Fernet.generate_key()
DESIGN = Path(__file__).parents[3] / "docs/design.md"
CHEAP = {
    "pbkdf2": partial(PBKDF2Derivation, iterations=2),
    "scrypt": partial(ScryptDerivation, n=4),
}


def by_password(password: Any = INNER, kdf: Any = "pbkdf2") -> FernetLayer:  # noqa: ANN401 - wrong ones are tried too
    """A layer whose derivation costs nothing."""
    layer = FernetLayer(password=password, kdf=kdf)
    layer._kdf = CHEAP[kdf]  # type: ignore[assignment]
    return layer


def by_key(key: Any = KEY) -> FernetLayer:  # noqa: ANN401 - as above
    """A layer with a key."""
    return FernetLayer(key=key)


LAYERS: dict[str, Callable[[], FernetLayer]] = {
    "key": by_key,
    "pbkdf2": by_password,
    "scrypt": partial(by_password, kdf="scrypt"),
}


def sealed(layer: FernetLayer, **data: object) -> io.BytesIO:
    """An archive in memory whose entries have the layer."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room:
        for name, content in data.items():
            room.write(name, content, layer=layer)  # type: ignore[arg-type]
    return stream


def opened(archive: Any, **options: Any) -> ReadRoom:  # noqa: ANN401 - paths and streams
    """Open with the password."""
    return strongroom.open(archive, password=PASSWORD, **options)


def stored(**data: bytes) -> io.BytesIO:
    """An archive of entries as they are; __ stands for the dot."""
    stream = io.BytesIO()
    entries = {name.replace("__", "."): content for name, content in data.items()}
    strongroom.seal(entries, stream, format="zip", password=PASSWORD)
    return stream


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> Iterator[FernetLayer]:
    """Each kind of layer."""
    with LAYERS[request.param]() as made:
        yield made


# There and back


@pytest.mark.parametrize("size", [0, 1, 15, 16, CHUNK - 1, CHUNK, CHUNK + 1])
def test_there_and_back(layer: FernetLayer, size: int) -> None:
    """What is written with a layer is read with it; without, there is the token."""
    with opened(sealed(layer, a=noise(size))) as room:
        assert room.read("a", layer=layer) == noise(size)
        assert "a" not in room
        assert room.read("a.fernet").startswith(b"gAAAAA")
        assert room.verify().ok


def test_names(layer: FernetLayer) -> None:
    """A token, and beside it the record where a password needs one; in the same folder, with the same time."""
    stream = io.BytesIO()
    moment = strongroom.RamFS().created("/").replace(microsecond=0)
    with strongroom.create(stream, format="zip", password=PASSWORD) as room:
        room.write("ward/a.csv", b"1", layer=layer, modified=moment, mode=0o400)
    names = ["ward/a.csv.fernet", *(["ward/a.csv.fernet.json"] if layer._password else [])]
    with opened(stream) as read:
        assert [entry.name for entry in read] == names
        assert {entry.modified for entry in read} == {moment}
        assert {(entry.mode or 0) & 0o777 for entry in read} == {0o400}
        assert read.read("ward/a.csv", layer=layer) == b"1"


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "file", "pieces", "ram", "local"])
def test_data_of_any_kind(layer: FernetLayer, tmp_path: Path, kind: str) -> None:
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


def test_every_entry_has_a_key_of_its_own() -> None:
    """Salts and IVs never come twice."""
    with by_password() as layer, opened(sealed(layer, **{f"n{number}": b"same" for number in range(20)})) as room:
        salts = {room.read(entry.name) for entry in room if entry.name.endswith(".json")}
        tokens = {room.read(entry.name) for entry in room if entry.name.endswith(".fernet")}
    assert len(salts) == len(tokens) == 20


def test_the_real_costs() -> None:
    """What is written without the tests' seam has the costs that the docs name."""
    for kdf, cost in (("pbkdf2", {"iterations": 1_200_000}), ("scrypt", {"n": 131_072, "r": 8, "p": 1})):
        with FernetLayer(password=INNER, kdf=kdf) as layer, opened(sealed(layer, a=b"1")) as room:  # type: ignore[arg-type]
            assert cost.items() <= json.loads(room.read("a.fernet.json")).items()
            assert room.read("a", layer=layer) == b"1"


# With `cryptography`


def test_cryptography_reads_it() -> None:
    """The token is one that `Fernet` reads under the key."""
    with by_key() as layer, opened(sealed(layer, a=noise(100))) as room:
        assert Fernet(KEY).decrypt(room.read("a.fernet"), ttl=600) == noise(100)
        assert len(room) == 1


def test_cryptography_wrote_it() -> None:
    """What `Fernet` made, and any tool put into an archive, the layer reads."""
    with by_key() as layer, opened(stored(a__fernet=Fernet(KEY).encrypt(noise(100)))) as room:
        assert room.read("a", layer=layer) == noise(100)


@pytest.mark.parametrize("kdf", KDFS)
def test_the_lines_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kdf: str) -> None:
    """The lines that the docs show read what another tool unpacked."""
    found = re.findall(r"```python\n(import base64.*?)```", DESIGN.read_text(), re.DOTALL)
    assert len(found) == 1
    assert len(found[0].replace("\n\n", "\n").splitlines()) == 9
    with by_password(kdf=kdf) as layer, pyzipper.AESZipFile(sealed(layer, notes=noise(500))) as archive:
        archive.setpassword(PASSWORD.encode())
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"password": INNER.encode()}
    exec(found[0], names)  # noqa: S102 - our own docs
    assert names["data"] == noise(500)


# Keys that do not fit


@pytest.mark.parametrize("kind", LAYERS)
def test_wrong_key(kind: str) -> None:
    """Another key or password is told apart from damage, since the archive vouches for the token."""
    with LAYERS[kind]() as layer, opened(sealed(layer, a=b"1" * 100)) as room:
        other = by_key(Fernet.generate_key()) if kind == "key" else by_password("other", kind)
        with other, pytest.raises(WrongKeyError):
            room.read("a", layer=other)
        assert room.read("a", layer=layer) == b"1" * 100


def test_a_token_that_nobody_vouches_for() -> None:
    """In an archive that is not encrypted, a token that does not verify may be changed as well."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.fernet", Fernet(KEY).encrypt(b"1"))
        archive.writestr("b.fernet", Fernet(Fernet.generate_key()).encrypt(b"1"))
    with by_key() as layer, strongroom.open(stream, allow_plaintext=True) as room:
        assert room.read("a", layer=layer) == b"1"
        with pytest.raises(TamperedError):
            room.read("b", layer=layer)


def test_a_key_instead_of_the_password() -> None:
    """Who has the derived key needs no password."""
    import base64

    with by_password() as layer, opened(sealed(layer, a=b"data")) as room:
        how = json.loads(room.read("a.fernet.json"))
        raw = hashlib.pbkdf2_hmac("sha256", INNER.encode(), base64.b64decode(how["salt"]), how["iterations"])
        with by_key(base64.urlsafe_b64encode(raw)) as other:
            assert room.read("a", layer=other) == b"data"


def test_what_is_not_there() -> None:
    """No token, or no record for a password, is an EntryNotFoundError."""
    with opened(stored(a__fernet=Fernet(KEY).encrypt(b"1"), b=b"2", c__fernet__json=b"{}")) as room:
        for layer in (by_key(), by_password()):
            for name in ("b", "c", "nothing"):
                with pytest.raises(EntryNotFoundError):
                    room.read(name, layer=layer)
        with pytest.raises(EntryNotFoundError):
            room.read("a", layer=by_password())


@pytest.mark.parametrize("record", [b"", b"{}", b" " * 2000], ids=len)
def test_a_record_that_is_none(record: bytes) -> None:
    """A record that is none is told before any work."""
    archive = stored(a__fernet=Fernet(KEY).encrypt(b"1"), a__fernet__json=record)
    with by_password() as layer, opened(archive) as room, pytest.raises(FormatError):
        room.read("a", layer=layer)


@pytest.mark.parametrize(
    "limits", [Limits(kdf_work=1), Limits(scrypt_log_n=1), Limits(memory_size=200)], ids=["pbkdf2", "scrypt", "memory"]
)
def test_limits(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    """A cost or a size above the limits is a LimitError, before any work."""
    with by_password(kdf="scrypt" if limits.scrypt_log_n == 1 else "pbkdf2") as layer:
        archive = sealed(layer, a=bytes(300))
        monkeypatch.setattr(fernet, "derive", lambda *_: pytest.fail("it was derived"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the manifest, whose own cost is above the limit as well
            room = opened(archive, limits=limits, manifest="ignore")
        with room, pytest.raises(LimitError):
            room.read("a", layer=layer)


NO_MEMORY = """
import numpy, resource, strongroom, sys  # numpy would load in the middle of it
key = sys.stdin.read()
with strongroom.open(sys.argv[1], password="of the archive", threads=1) as room:
    layer = strongroom.FernetLayer(key=key)
    room.read("small", layer=layer)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), resource.RLIM_INFINITY))
    try:
        room.read("large", layer=layer)
    except strongroom.LimitError:
        print("LimitError")
"""


def test_no_memory(tmp_path: Path) -> None:
    """What is within the limits, and not within this machine's memory, is a LimitError."""
    path = tmp_path / "a.zip"
    path.write_bytes(sealed(by_key(), small=b"1", large=bytes(48 << 20)).getvalue())
    command = [sys.executable, "-c", NO_MEMORY, str(path)]
    done = subprocess.run(command, input=KEY.decode(), capture_output=True, text=True, check=True)
    assert done.stdout == "LimitError\n"


def test_the_archives_password_comes_first() -> None:
    """Without the archive's own password, the layer's opens nothing."""
    with by_password() as layer, strongroom.open(sealed(layer, a=b"1")) as room, pytest.raises(WrongKeyError):
        room.read("a", layer=layer)


# Writing that fails


def test_refused_beforehand(monkeypatch: pytest.MonkeyPatch, layer: FernetLayer) -> None:
    """Too much data, text, or a name that is there: the archive stays as it was."""
    monkeypatch.setattr(fernet, "LARGEST", 100)
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room:
        room.write("a", b"one", layer=layer)
        with pytest.raises(LimitError):
            room.write("b", bytes(101), layer=layer)
        with pytest.raises(TypeError):
            room.write("b", "text", layer=layer)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            room.write("b", 5, layer=layer)  # type: ignore[arg-type]
        for name in ("a", "../b"):
            with pytest.raises(ValueError):
                room.write(name, b"two", layer=layer)
        room.write("b", bytes(100), layer=layer)
    with opened(stream) as read:
        assert read.read("a", layer=layer) == b"one"
        assert read.read("b", layer=layer) == bytes(100)


def fails() -> Iterator[bytes]:
    """Data that ends with an exception."""
    yield noise(CHUNK)
    raise RuntimeError


@pytest.mark.parametrize(
    ("data", "error"),
    [(fails, RuntimeError), (lambda: io.BytesIO(noise(2 * CHUNK)), LimitError)],
    ids=["fails", "long"],
)
def test_refused_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: FernetLayer, data: Callable[[], Any], error: type[Exception]
) -> None:
    """Data that fails, or turns out too long, discards the archive, also where the exception is swallowed."""
    monkeypatch.setattr(token, "LARGEST", CHUNK)
    with (
        nothing_left(tmp_path),
        pytest.raises(OutputError),
        strongroom.create(tmp_path / "a.zip", password=PASSWORD) as room,
        pytest.raises(error),
    ):
        room.write("a", data(), layer=layer)


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    """A token without its record would be lost: the archive is discarded."""
    with nothing_left(tmp_path), by_password() as layer:
        room = strongroom.create(tmp_path / "a.zip", password=PASSWORD)
        room.write("a.fernet.json", b"in the way")
        with pytest.raises(ValueError):
            room.write("a", b"1", layer=layer)
        with pytest.raises(OutputError):
            room.close()


# The layer itself


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"password": "a", "key": KEY},
        {"password": ""},
        {"password": "\ud800"},
        {"password": INNER, "kdf": "argon2id"},
        {"key": KEY[:-1]},
        {"key": "short canary"},
        {"key": bytes(32)},
    ],
)
def test_arguments(options: dict[str, Any]) -> None:
    """A password or a key, and one that is one; none of them stands in the traceback."""
    with pytest.raises(ValueError) as caught:
        FernetLayer(**options)
    trace = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    inside = trace[trace.index("layers/fernet.py") :]
    for secret in (INNER, "canary", KEY[:-2].decode()):
        assert secret not in inside


def test_keys_of_any_kind() -> None:
    """A key is text, bytes or a Secret, and the same in each form; the caller's Secret stays open."""
    with Secret(KEY) as secret, opened(sealed(by_key(), a=b"1")) as room:
        for key in (KEY, KEY.decode(), bytearray(KEY), secret):
            with by_key(key) as layer:
                assert room.read("a", layer=layer) == b"1"
        assert secret == KEY


def test_closed(layer: FernetLayer) -> None:
    """After `close` every use is a ValueError."""
    archive = sealed(layer, a=b"1")
    layer.close()
    layer.close()
    with opened(archive) as room, pytest.raises(ValueError):
        room.read("a", layer=layer)
    with pytest.raises(ValueError):
        sealed(layer, a=b"1")
    assert INNER not in repr(layer)


def test_closed_room(layer: FernetLayer) -> None:
    """A Room that is closed has no layers either."""
    room = opened(sealed(layer, a=b"1"))
    room.close()
    with pytest.raises(ValueError):
        room.read("a", layer=layer)


def test_fork(layer: FernetLayer) -> None:
    """A forked child seals and opens nothing under a key that reads as zeros there."""
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
import io, os, sys, strongroom
from functools import partial
from strongroom.layers.derivation import PBKDF2Derivation, ScryptDerivation

marker = bytearray(16)
os.readv(0, [marker])
password = bytearray(24)
os.readv(0, [password])
key = bytearray(44)
os.readv(0, [key])
other = strongroom.Secret(b"some other one")
data = bytearray(3_000_000)
stream = io.BytesIO()
CHEAP = {"pbkdf2": partial(PBKDF2Derivation, iterations=2), "scrypt": partial(ScryptDerivation, n=4)}
layers = []
for kdf in CHEAP:
    layers.append(strongroom.FernetLayer(password=password, kdf=kdf))
    layers[-1]._kdf = CHEAP[kdf]
layers.append(strongroom.FernetLayer(key=key))
with strongroom.create(stream, format="zip", password=other) as room:
    for number, layer in enumerate(layers):
        room.write(str(number), data, layer=layer)
with strongroom.open(stream, password=other) as room:
    for number, layer in enumerate(layers):
        room.read(str(number), layer=layer)
        try:
            room.read(str(number), layer=layers[number - 1])
        except strongroom.StrongroomError as error:
            kept = error
    for number in range(2):
        os.write(1, room.read(f"{number}.fernet.json"))
for layer in layers:
    layer.close()
for secret in (password, key):
    secret[:] = bytes(len(secret))
os.write(1, b"done\\n")
os.read(0, 1)
"""


def test_memory_of_a_process() -> None:
    """Once layers are closed, another process finds no password, no key, and none that was derived."""
    import base64

    marker, password, raw = os.urandom(16), os.urandom(24), os.urandom(32)
    secrets = [password[:12], password[12:], raw[:16], raw[16:]]
    secrets += [base64.urlsafe_b64encode(raw)[:20], base64.urlsafe_b64encode(raw)[20:]]
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin
    assert child.stdout
    with child:
        child.stdin.write(marker + password + base64.urlsafe_b64encode(raw))
        child.stdin.flush()
        for line in iter(child.stdout.readline, b"done\n"):
            how = json.loads(line)
            salt = base64.b64decode(how["salt"])
            if "n" in how:
                derived = hashlib.scrypt(password, salt=salt, n=how["n"], r=8, p=1, dklen=32)
            else:
                derived = hashlib.pbkdf2_hmac("sha256", password, salt, how["iterations"])
            secrets += [derived[:16], derived[16:]]
        found, *counts = in_memory(child.pid, [marker, *secrets])
        child.stdin.write(b"1")
        child.stdin.flush()
    assert found, "the scan saw the process's memory"
    assert counts == [0] * 10


def test_the_time() -> None:
    """The time in a token is when it was made, for those who ask for it."""
    with by_key() as layer:
        layer._now = lambda: 499162800
        with opened(sealed(layer, a=b"1")) as room:
            made = room.read("a.fernet")
    assert Fernet(KEY).extract_timestamp(made) == 499162800
    with pytest.raises(InvalidToken):
        Fernet(KEY).decrypt(made, ttl=60)
