"""age files through the public API: recipients, identities, single files, zip.age, rekey."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import strongroom
from strongroom import (
    EntryNotFoundError,
    FormatError,
    LimitError,
    Limits,
    OutputExistsError,
    Secret,
    StrongroomError,
    TamperedError,
    UnsupportedError,
    WrongKeyError,
)
from strongroom.flow import CHUNK
from strongroom.formats import FORMATS, WriterOptions, composed
from strongroom.formats.age import identities
from strongroom.output import FileOutput
from strongroom.source import MemorySource
from tests.conftest import CHEAP_LOG_N
from tests.helpers import listing, noise, nothing_left, text, tool

HYBRID, OTHER, CLASSIC = (identities.generate(classic=classic) for classic in (False, False, True))
SIZES = (0, 1, *(n * 65536 + d for n in (1, 2) for d in (-1, 0, 1)), CHUNK - 1, CHUNK, CHUNK + 1, 17 * CHUNK)
DATA = {"a.csv": text(CHUNK + 7), "b/noise": noise(CHUNK + 1), "small": b"1", "empty": b""}


def secret(identity: Any) -> str:  # noqa: ANN401 - either kind
    """The text of an identity."""
    with identities.encode(identity) as found:
        return bytes(found).decode()


KEY = secret(HYBRID)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where an archive goes; nothing else is left beside it."""
    with nothing_left():
        yield tmp_path / "case.zip.age"
    assert listing(tmp_path) in ([], ["case.zip.age"])


def seal(path: Any, data: Any = DATA, to: Any = HYBRID, **options: Any) -> None:  # noqa: ANN401 - what `seal` takes
    """Seal to one recipient."""
    strongroom.seal(data, path, recipients=[to.recipient], **options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("armor", [False, True])
def test_single_file(tmp_path: Path, size: int, *, armor: bool) -> None:
    """An age file is one entry, called as the file is without .age, with the file's time."""
    path = tmp_path / "report.csv.age"
    data = noise(size)
    seal(path, {"any": data}, armor=armor, verify=True)
    assert path.read_bytes().startswith(b"-----BEGIN AGE" if armor else b"age-encryption.org/v1\n")
    with strongroom.open(path, identities=[KEY]) as room:
        (entry,) = room
        assert (entry.name, entry.size, entry.encryption) == ("report.csv", size, "age")
        assert entry.modified.timestamp() == int(path.stat().st_mtime)
        assert room.read("report.csv") == data
        assert room.verify().ok
        with room.open("report.csv", "rb") as file:
            file.seek(size // 2)
            assert file.read() == data[size // 2 :]
            file.seek(0)
            assert file.read() == data
        assert room.load().cat("/report.csv") == data
        with pytest.raises(EntryNotFoundError):
            room.read("any")


@pytest.mark.parametrize(
    ("name", "entry"), [("..age", "data"), ("...age", "data"), (".age", "data"), ("a\x01.age", "data"), ("A.AGE", "A")]
)
def test_names_of_single_files(tmp_path: Path, name: str, entry: str) -> None:
    """What cannot be extracted safely is not an entry's name."""
    seal(tmp_path / name, {"x": b"1"}, format="age")
    with strongroom.open(tmp_path / name, identities=[KEY]) as room:
        assert [one.name for one in room] == [entry]
        room.extract(tmp_path / "out")
    assert listing(tmp_path / "out") == [entry]


def test_age_holds_one_file(path: Path) -> None:
    """A second entry, a folder and none at all are a ValueError, and nothing is made."""
    for fill in (
        lambda room: (room.write("a", b""), room.write("b", b"")),
        lambda room: room.mkdir("a"),
        lambda _: None,
    ):
        with pytest.raises(ValueError), strongroom.create(path, format="age", recipients=[CLASSIC.recipient]) as room:
            fill(room)
    assert not path.exists()


@pytest.mark.parametrize(
    ("method", "threads"), [*((method, 3) for method in FORMATS["zip.age"].compressions), ("deflate", 1), ("store", 1)]
)
def test_zip_age(path: Path, method: str, threads: int) -> None:
    """Everything comes back, in every way of reading, and all of it counts as encrypted."""
    with strongroom.create(path, recipients=[HYBRID.recipient], compression=method, threads=threads) as room:
        for name, data in DATA.items():
            room.write(name, data)
        room.mkdir("folder")
    with strongroom.open(path, identities=[KEY], threads=threads) as room:
        assert all(entry.encryption == "age" for entry in room)
        assert [entry.name for entry in room] == [*DATA, "folder"]
        assert room.verify().ok
        assert room.verify().manifest == "unneeded"
        for name, data in DATA.items():
            assert room.read(name) == data
            assert b"".join(map(bytes, room.chunks(name))) == data
            buffer = bytearray(len(data))
            assert room.read_into(name, buffer) == len(data)
            assert buffer == data
            with room.open(name, "rb") as file:
                for start in (len(data) // 2, len(data), 0, max(len(data) - 3, 0)):
                    file.seek(start)
                    assert file.read(100_000) == data[start : start + 100_000]
    assert b"a.csv" not in path.read_bytes()


@pytest.mark.parametrize("method", ["deflate", "store", "zstd", "lzma", "bzip2"])
def test_other_tools_open_the_zip_inside(tmp_path: Path, method: str) -> None:
    """What `age -d` gives is an ordinary ZIP, with CRC-32s, for each tool that knows the method."""
    path, inside, keys = tmp_path / "a.zip.age", tmp_path / "a.zip", tmp_path / "key.txt"
    keys.write_text(secret(CLASSIC))
    seal(path, to=CLASSIC, compression=method)
    inside.write_bytes(subprocess.run([tool("age"), "-d", "-i", keys, path], capture_output=True, check=True).stdout)
    subprocess.run([tool("7zz"), "t", inside], capture_output=True, check=True)
    if method in ("deflate", "store"):
        subprocess.run([tool("unzip"), "-tq", inside], capture_output=True, check=True)
        given = subprocess.run([tool("bsdtar"), "-xOf", inside, "a.csv"], capture_output=True, check=True).stdout
        assert given == DATA["a.csv"]
    if method != "zstd":
        with zipfile.ZipFile(inside) as peer:
            assert peer.testzip() is None
            assert {info.filename: peer.read(info) for info in peer.infolist()} == DATA


def test_zip_of_another_tool(tmp_path: Path) -> None:
    """A ZIP that zipfile wrote and `age` encrypted is read; one whose entries are encrypted themselves says so."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as peer:
        for name, data in DATA.items():
            peer.writestr(name, data)
    twice = io.BytesIO()
    strongroom.seal({"a": b"1"}, twice, format="zip", password="inner")
    for archive in (stream, twice):
        subprocess.run(
            [tool("age"), "-r", CLASSIC.recipient, "-o", tmp_path / "a.zip.age"],
            input=archive.getvalue(),
            check=True,
        )
        with strongroom.open(tmp_path / "a.zip.age", identities=[secret(CLASSIC)]) as room:
            if archive is stream:
                assert {entry.name: room.read(entry.name) for entry in room} == DATA
            else:
                with pytest.raises(UnsupportedError):
                    room.read("a")
        (tmp_path / "a.zip.age").unlink()


def test_the_path_says_whether_the_zip_is_opened(tmp_path: Path) -> None:
    """Or the format does; a report.docx.age is one file."""
    seal(tmp_path / "a.zip.age", {"a": b"1"})
    (tmp_path / "a.zip.age").rename(tmp_path / "a.docx.age")
    with strongroom.open(tmp_path / "a.docx.age", identities=[KEY]) as room:
        assert [entry.name for entry in room] == ["a.docx"]
        assert room.read("a.docx").startswith(b"PK")
    with strongroom.open(tmp_path / "a.docx.age", format="zip.age", identities=[KEY]) as room:
        assert room.read("a") == b"1"


def test_what_does_not_go_together() -> None:
    """Password and recipients, neither, post-quantum beside others, keys for a ZIP, a text in place of a list."""
    for options in (
        {"password": "p", "recipients": [CLASSIC.recipient]},
        {},
        {"recipients": []},
        {"recipients": [CLASSIC.recipient, HYBRID.recipient]},
        {"recipients": ["age1nonsense"]},
        {"recipients": [KEY]},
        {"recipients": [CLASSIC.recipient], "compression": "ppmd"},
    ):
        with pytest.raises(ValueError) as caught:
            strongroom.create(io.BytesIO(), format="zip.age", **options)
        assert KEY[20:] not in str(caught.value)
    for options in ({"recipients": [CLASSIC.recipient]}, {"password": "p", "armor": True}):
        with pytest.raises(ValueError):
            strongroom.create(io.BytesIO(), format="zip", **options)
    for options in ({"recipients": CLASSIC.recipient}, {"recipients": [5]}):
        with pytest.raises(TypeError):
            strongroom.create(io.BytesIO(), format="age", **options)
    stream = io.BytesIO()
    seal(stream, {"a": b"1"}, format="age")
    for wrong in (KEY, [5], Path("key.txt")):
        with pytest.raises(TypeError):
            strongroom.open(stream, identities=wrong)
    with pytest.raises(ValueError):
        strongroom.open(stream, identities=["AGE-SECRET-KEY-1"])
    with pytest.raises(ValueError):
        strongroom.open(stream, format="zip", identities=[KEY])
    with pytest.raises(UnsupportedError, match="plugin"):
        strongroom.create(
            io.BytesIO(),
            format="age",
            recipients=["age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt"],
        )


def test_identities_of_all_kinds(tmp_path: Path) -> None:
    """Text, a Secret, a file, a file sealed with a passphrase, and one of several that does not fit."""
    stream = io.BytesIO()
    seal(stream, {"a": b"1"}, format="zip.age")
    plain, locked = tmp_path / "key.txt", tmp_path / "key.age"
    plain.write_text(f"# mine\n{KEY}\n")
    strongroom.seal({"k": plain.read_bytes()}, locked, format="age", password="phrase", armor=True)
    with Secret(KEY) as held:
        for options in (
            {"identities": [KEY]},
            {"identities": [held]},
            {"identities": [plain]},
            {"identities": [secret(OTHER), plain]},
            {"identities": [locked], "password": "phrase"},
            {"identities": [locked], "ask": lambda name: Secret("phrase" if name == str(locked) else "no")},
        ):
            with strongroom.open(stream, format="zip.age", **options) as room:
                assert room.read("a") == b"1"
        assert held == KEY.encode()
    for options in (
        {},
        {"password": "p"},
        {"identities": [secret(OTHER)]},
        {"identities": [locked]},
        {"identities": [locked], "password": "wrong"},
    ):
        with pytest.raises(WrongKeyError):
            strongroom.open(stream, format="zip.age", **options)
    with pytest.raises(FileNotFoundError):
        strongroom.open(stream, identities=[tmp_path / "none"])


def test_whether_an_identity_or_a_password_is_missing() -> None:
    """So that nobody is asked for a password that could not help."""
    for options, identity in ({"recipients": [CLASSIC.recipient]}, True), ({"password": "p"}, False):
        stream = io.BytesIO()
        strongroom.seal({"a": b"1"}, stream, format="age", **options)
        with strongroom.open(stream) as room, pytest.raises(WrongKeyError) as caught:
            room.read("data")
        assert caught.value.identity is identity


def test_recipients_from_a_file(tmp_path: Path) -> None:
    """A path is that of a file of recipients."""
    (tmp_path / "team.txt").write_text(f"# team\n{HYBRID.recipient}\n{OTHER.recipient}\n")
    stream = io.BytesIO()
    strongroom.seal({"a": b"1"}, stream, format="age", recipients=[tmp_path / "team.txt"])
    for one in (HYBRID, OTHER):
        with strongroom.open(stream, identities=[secret(one)]) as room:
            assert room.read("data") == b"1"


def test_cost_is_bounded_before_any_work() -> None:
    """A passphrase's work factor above the limit is a LimitError."""
    stream = io.BytesIO()
    strongroom.seal({"a": b"1"}, stream, format="age", password="p")
    with pytest.raises(LimitError):
        strongroom.open(stream, password="p", limits=Limits(scrypt_log_n=CHEAP_LOG_N - 1))


@pytest.mark.parametrize("method", ["store", "deflate"])
def test_nothing_before_it_is_authentic(tmp_path: Path, method: str) -> None:
    """Damage near the end of a long entry shows before its first byte; `streaming` gives out what stands before it."""
    size = 18 * CHUNK
    path = tmp_path / "a.zip.age"
    seal(path, {"a": noise(size), "b": b"1"}, compression=method)
    changed = bytearray(path.read_bytes())
    changed[-3 * CHUNK] ^= 1
    path.write_bytes(changed)
    with strongroom.open(path, identities=[KEY]) as room:
        assert room.read("b") == b"1"
        with pytest.raises(TamperedError):
            next(room.chunks("a"))
        with pytest.raises(TamperedError):
            room.read("a")
        if method == "store":
            with room.open("a", "rb") as file:
                file.seek(CHUNK)
                assert file.read(10) == noise(size)[CHUNK : CHUNK + 10]
                file.seek(0)
                with pytest.raises(TamperedError):
                    file.read(10)
        else:
            with pytest.raises(TamperedError):
                room.open("a", "rb")
        assert not room.verify().ok
        with pytest.raises(TamperedError):
            room.load()
    with strongroom.open(path, identities=[KEY], streaming=True) as room:
        chunks = room.chunks("a")
        assert noise(size).startswith(bytes(next(chunks)))
        with pytest.raises(TamperedError):
            list(chunks)


def test_the_plain_zip_writer_wants_an_envelope() -> None:
    """It is refused with a password, a manifest, or an output that takes patches."""
    options = WriterOptions(None, "store", None, 1, patchable=True, random=noise)
    assert composed.inner(options) == options._replace(patchable=False, enveloped=True)
    with Secret("p") as password:
        for wrong in (options._replace(enveloped=True), composed.inner(options)._replace(password=password)):
            with pytest.raises(ValueError):
                FORMATS["zip"].writer(wrong)


def test_manifest_is_not_there_to_be_required() -> None:
    """An age file has none."""
    stream = io.BytesIO()
    strongroom.seal({"a": b"1"}, stream, format="age", password="p")
    with pytest.raises(TamperedError):
        strongroom.open(stream, password="p", manifest="required")


@pytest.mark.parametrize("name", ["a.zip.age", "a.age"])
def test_verify_compares_what_was_written(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any key: a disk that gives back other bytes, or fewer, is noticed, and nothing appears."""
    original = FileOutput.reread
    for damage in (
        lambda data: data[:-1],
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: data + b"\0",
    ):

        def other(self: FileOutput, damage: Any = damage) -> MemorySource:  # noqa: ANN401
            source = original(self)
            data = bytearray(source.size)
            source.read_into(0, memoryview(data))
            source.close()
            return MemorySource(io.BytesIO(damage(bytes(data))), Limits())

        monkeypatch.setattr(FileOutput, "reread", other)
        with pytest.raises(TamperedError):
            seal(tmp_path / name, {"a": noise(3 * CHUNK)}, verify=True)
        assert listing(tmp_path) == []


# rekey


@pytest.mark.parametrize("name", ["a.zip.age", "a.age"])
@pytest.mark.parametrize("armor", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_rekey(tmp_path: Path, name: str, *, armor: bool, elsewhere: bool) -> None:
    """The new identity opens it, the old one does not; no byte of the payload stays; armor stays armor."""
    path, new = tmp_path / name, tmp_path / f"new-{name}" if elsewhere else None
    seal(path, {"a": noise(3 * CHUNK)}, armor=armor)
    old = path.read_bytes()
    ticks: list[tuple[int, int | None]] = []
    with nothing_left():
        strongroom.rekey(
            path,
            new,
            identities=[KEY],
            recipients=[OTHER.recipient],
            verify=True,
            progress=lambda *tick: ticks.append(tick),
        )
    done, total = ticks[-1]
    assert done == total
    made = new or path
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.read_bytes().startswith(b"-----BEGIN" if armor else b"age-")
    assert len(made.read_bytes()) == len(old)
    assert made.read_bytes()[-1000:-900] != old[-1000:-900]
    with pytest.raises(WrongKeyError):
        strongroom.open(made, identities=[KEY], format="zip.age")
    with strongroom.open(made, identities=[secret(OTHER)]) as room:
        assert room.read(room.entries[0].name) == noise(3 * CHUNK)
    if elsewhere:
        assert path.read_bytes() == old
    assert listing(tmp_path) == sorted({path.name, made.name})


def test_rekey_to_a_password_and_back(path: Path) -> None:
    """Passwords and keys are exchanged for each other."""
    seal(path)
    strongroom.rekey(path, identities=[KEY], new_password="new")
    strongroom.rekey(path, password="new", recipients=[CLASSIC.recipient])
    with strongroom.open(path, identities=[secret(CLASSIC)]) as room:
        assert room.read("a.csv") == DATA["a.csv"]


def test_rekey_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    """Damage anywhere, a wrong key, keys that do not go together, a target that is there, another format."""
    path = tmp_path / "a.zip.age"
    seal(path, {"a": noise(3 * CHUNK)})
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[-CHUNK] ^= 1
    (tmp_path / "there").write_bytes(b"old")
    to: dict[str, Any] = {"recipients": [OTHER.recipient]}
    cases: list[tuple[bytes, type[Exception], dict[str, Any]]] = [
        (bytes(damaged), TamperedError, {"identities": [KEY], **to}),
        (whole[:-1], StrongroomError, {"identities": [KEY], **to}),
        (whole, WrongKeyError, {"identities": [secret(CLASSIC)], **to}),
        (whole, WrongKeyError, to),
        (whole, ValueError, {"identities": [KEY]}),
        (whole, ValueError, {"identities": [KEY], "new_password": "p", **to}),
        (whole, ValueError, {"identities": [KEY], "recipients": [OTHER.recipient, CLASSIC.recipient]}),
        (whole, OutputExistsError, {"identities": [KEY], "target": tmp_path / "there", **to}),
        (b"junk", FormatError, to),
        (b"age-encryption.org/v1\n", FormatError, {"identities": [KEY], **to}),
    ]
    for data, kind, options in cases:
        path.write_bytes(data)
        with nothing_left(tmp_path), pytest.raises(kind):
            strongroom.rekey(path, **options)
        assert path.read_bytes() == data
    assert (tmp_path / "there").read_bytes() == b"old"
    with pytest.raises(ValueError):
        strongroom.rekey(io.BytesIO(whole), identities=[KEY], **to)
    stream = io.BytesIO(whole)
    with pytest.raises(ValueError, match="not written over"):
        strongroom.rekey(stream, stream, identities=[KEY], **to)
    assert stream.getvalue() == whole


def test_rekey_through_streams() -> None:
    """From one stream to another."""
    old, new = io.BytesIO(), io.BytesIO()
    seal(old, {"a": b"1"}, format="zip.age")
    strongroom.rekey(old, new, identities=[KEY], new_password="p")
    with strongroom.open(new, format="zip.age", password="p") as room:
        assert room.read("a") == b"1"


def test_rekey_gets_the_new_password_once_the_old_opens(tmp_path: Path) -> None:
    """From a function, which is not called before; it does not go with recipients."""
    path = tmp_path / "a.zip.age"
    seal(path, {"a": b"1"})
    calls: list[int] = []

    def new() -> Secret:
        calls.append(1)
        return Secret("p")

    with pytest.raises(WrongKeyError):
        strongroom.rekey(path, identities=[secret(CLASSIC)], new_password=new)
    with pytest.raises(ValueError):
        strongroom.rekey(path, identities=[KEY], new_password=new, recipients=[OTHER.recipient])
    with pytest.raises(ValueError, match="zip"):
        strongroom.rekey(path, tmp_path / "a.zip", identities=[KEY], new_password=new)
    assert not calls
    strongroom.rekey(path, identities=[KEY], new_password=new)
    with strongroom.open(path, password="p") as room:
        assert room.read("a") == b"1"


def test_data_for_a_plain_age_file_takes_no_name(tmp_path: Path) -> None:
    """Its name is the file's, and nothing keeps another; elsewhere data needs one."""
    seal(tmp_path / "n.txt.age", b"data")
    with strongroom.open(tmp_path / "n.txt.age", identities=[KEY]) as room:
        assert [entry.name for entry in room] == ["n.txt"]
        assert room.read("n.txt") == b"data"
    stream = io.BytesIO()
    seal(stream, b"data", format="age")
    with strongroom.open(stream, identities=[KEY]) as room:
        assert room.read("data") == b"data"
    with pytest.raises(ValueError, match="needs a name"):
        seal(tmp_path / "n.zip.age", b"data")
