"""No secret in what is said: the text, the notes and the locals of every error, warnings, logs and `repr` (P2)."""

from __future__ import annotations

import ast
import base64
import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import strongroom
from strongroom import AgeLayer, FernetLayer, RamFS, Secret, SecretBuffer
from strongroom.formats import FORMATS
from tests import agecraft
from tests.cli.running import Desk
from tests.proof import Tried

SOURCES: Final = Path(strongroom.__file__).parent
PASSWORD: Final = "cAnArY-pAsSwOrD-7f3a91"
OTHER: Final = "cAnArY-oThEr-55d0c2"
PLAIN: Final = b"cAnArY-pLaInTeXt-c4419b" * 3
FERNET: Final = base64.urlsafe_b64encode(b"cAnArY-kEy-0123456789-abcdefghij").decode()
IDENTITY: Final = agecraft.X25519
SSH: Final = (
    Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    .decode()
)
NEEDLES: Final = {
    "password": PASSWORD[7:],
    "another password": OTHER[7:],
    "plaintext": PLAIN.decode()[7:23],
    "Fernet key": FERNET[8:32],
    "Fernet key's bytes": "kEy-0123456789",
    "identity": IDENTITY[20:40],
    "identity in small letters": IDENTITY[20:40].lower(),
    "the end of an identity": IDENTITY[-12:],
    "SSH key": SSH.splitlines()[3][:24],
    "password in base64": base64.b64encode(PASSWORD.encode()).decode()[12:24],
    "password in hexadecimal": PASSWORD.encode().hex()[14:],
}


def told(error: BaseException) -> str:
    """All that is said of an error, and of those that led to it: text, notes and attributes."""
    parts: list[str] = []
    for one in led_to(error):
        parts += [str(one), repr(one), repr(one.args), repr(vars(one)), *getattr(one, "__notes__", ())]
        parts += traceback.format_exception_only(one)
    return "\n".join(parts)


def shown(error: BaseException) -> str:
    """The locals of our frames, as tracebacks show them that show locals.

    Frames of the caller hold what the caller gave; from the first one of ours on, they are ours.
    """
    parts: list[str] = []
    for one in led_to(error):
        trace = one.__traceback__
        while trace is not None and not Path(trace.tb_frame.f_code.co_filename).is_relative_to(SOURCES):
            trace = trace.tb_next
        if trace is not None:
            captured = traceback.TracebackException(type(one), one, trace, capture_locals=True, lookup_lines=False)
            for frame in captured.stack:
                parts += [f"{name}={value}" for name, value in (frame.locals or {}).items()]
    return "\n".join(parts)


def led_to(error: BaseException) -> Iterator[BaseException]:
    """Give an error, its causes, and what was being handled, also where it is not to be shown."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        yield one


def assert_silent(said: str, what: str, allowed: tuple[str, ...] = ()) -> None:
    """None of the secrets is in it."""
    for name, needle in NEEDLES.items():
        if name not in allowed:
            assert needle not in said, (what, name, said[max(said.find(needle) - 200, 0) :][:400])


def archive(format_name: str, **options: Any) -> bytes:  # noqa: ANN401 - those of `seal`
    """A small archive."""
    stream = io.BytesIO()
    options = options or {"password": PASSWORD}
    if FORMATS[format_name].single:
        strongroom.seal(PLAIN, stream, format=format_name, **options)
    else:
        strongroom.seal({"a": PLAIN, "b": PLAIN}, stream, format=format_name, **options)
    return stream.getvalue()


def raising(kind: type[BaseException]) -> Iterator[bytes]:
    """Data that fails in the middle."""
    yield b"x" * 100
    raise kind


Failing = Callable[[], object]


def read_all(data: bytes, **options: Any) -> None:  # noqa: ANN401 - those of `open`
    """Open and read in each way, which is to fail."""
    with strongroom.open(io.BytesIO(data), **options) as room:
        room.verify()
        for entry in room:
            room.read(entry.name)
        room.load().close()
    raise AssertionError


def seal(format_name: str, data: object, **options: Any) -> None:  # noqa: ANN401 - those of `create`
    """Seal, which is to fail."""
    with strongroom.create(io.BytesIO(), format=format_name, **options) as room:
        room.write("a", data)  # type: ignore[arg-type]
    raise AssertionError


def failures(format_name: str) -> Iterator[tuple[str, Failing]]:
    """What fails, by name: with wrong secrets, damaged archives, bad arguments, in the middle."""
    row = FORMATS[format_name]
    whole = archive(format_name)
    with_format = {"format": format_name}
    yield "a wrong password", lambda: read_all(whole, password=OTHER, **with_format)
    yield "no password", lambda: read_all(whole, **with_format)
    yield "bytes that are no text", lambda: read_all(whole, password=OTHER.encode() + b"\xff", **with_format)
    yield "a password with a NUL", lambda: read_all(whole, password=f"{PASSWORD}\0", **with_format)
    yield "a lone surrogate", lambda: read_all(whole, password=f"{PASSWORD}\udc80", **with_format)
    yield "a password of another type", lambda: read_all(whole, password=[PASSWORD], **with_format)
    start, end = 0, len(whole)
    if row.carries:  # what is around may be changed, with a warning
        start, end = whole.rindex(b"-----BEGIN AGE"), whole.rindex(b"-----END AGE") + 5
    size = end - start
    for place in (start, start + 8, start + size // 3, start + size // 2, end - 30, end - 3):
        flipped = bytearray(whole)
        flipped[place] ^= 0x55
        yield f"byte {place} flipped", lambda data=bytes(flipped): read_all(data, password=PASSWORD, **with_format)
        yield f"cut at {place}", lambda cut=place: read_all(whole[:cut], password=PASSWORD, **with_format)
    for limit in ({"memory_size": 1}, {"kdf_work": 1, "scrypt_log_n": 1}, {"header_size": 1}):
        limits = strongroom.Limits(**limit)
        yield f"limits {limit}", lambda limits=limits: read_all(whole, password=PASSWORD, limits=limits, **with_format)
    for name, data in (
        ("an iterator", lambda: raising(ZeroDivisionError)),
        ("Ctrl-C", lambda: raising(KeyboardInterrupt)),
    ):
        yield f"{name} that fails", lambda data=data: seal(format_name, data(), password=PASSWORD)
    yield "data of another type", lambda: seal(format_name, object(), password=PASSWORD)
    yield "a level that is none", lambda: seal(format_name, PLAIN, password=PASSWORD, level=1000)
    yield "a method that is none", lambda: seal(format_name, PLAIN, password=PASSWORD, compression=OTHER[:7])
    yield (
        "a folder that is not there",
        lambda: strongroom.seal({"a": PLAIN}, f"/missing/a.{format_name}", password=PASSWORD),
    )
    if not row.keys:
        yield "identities in vain", lambda: read_all(whole, identities=[IDENTITY], **with_format)
        return
    yield "a stranger's identity", lambda: read_all(whole, identities=[IDENTITY], **with_format)
    for name, text in {
        "cut off": IDENTITY[:-1],
        "mistyped": IDENTITY[:-1] + "Q",
        "of mixed case": IDENTITY[:30] + IDENTITY[30:].lower(),
        "with something before": f"ssh-rsa {IDENTITY}",
        "an SSH key cut off": SSH[:-40],
        "an SSH key": SSH,
        "two": f"{IDENTITY}\n{IDENTITY}x",
    }.items():
        yield f"an identity, {name}", lambda text=text: read_all(whole, identities=[text], **with_format)
        yield f"an identity for a recipient, {name}", lambda text=text: seal(format_name, PLAIN, recipients=[text])
    yield "an identity by itself", lambda: read_all(whole, identities=IDENTITY, **with_format)
    yield (
        "another identity to rekey by",
        lambda: strongroom.rekey(
            io.BytesIO(whole), target=io.BytesIO(), identities=[IDENTITY], new_password=PASSWORD, format=format_name
        ),
    )
    yield (
        "rekeyed to an identity",
        lambda: strongroom.rekey(
            io.BytesIO(whole), target=io.BytesIO(), password=PASSWORD, recipients=[IDENTITY], format=format_name
        ),
    )
    yield (
        "unsealed by another identity",
        lambda: strongroom.unseal(io.BytesIO(whole), identities=[IDENTITY], format=format_name),
    )
    yield (
        "sealed to an identity",
        lambda: strongroom.seal({"a": PLAIN}, io.BytesIO(), recipients=[IDENTITY], format=format_name),
    )
    yield (
        "password and recipients",
        lambda: seal(format_name, PLAIN, password=PASSWORD, recipients=[agecraft.X25519_RECIPIENT]),
    )


def layered() -> Iterator[tuple[str, Failing]]:
    """What fails in layers."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room, FernetLayer(key=FERNET) as layer:
        room.write("a", PLAIN, layer=layer)
        room.write("b.fernet", b"no token")
        room.write("c.age", b"no age file")

    def read(name: str, layer: FernetLayer | AgeLayer) -> None:
        with layer, strongroom.open(stream, password=PASSWORD) as room:
            room.read(name, layer=layer)

    other = base64.urlsafe_b64encode(bytes(32)).decode()
    yield "another Fernet key", lambda: read("a", FernetLayer(key=other))
    yield "no token", lambda: read("b", FernetLayer(key=FERNET))
    yield "no record", lambda: read("a", FernetLayer(password=PASSWORD))
    yield "a Fernet key cut off", lambda: FernetLayer(key=FERNET[:-1])
    yield "a Fernet key that is text", lambda: FernetLayer(key=PASSWORD)
    yield "key and password", lambda: FernetLayer(key=FERNET, password=PASSWORD)
    yield "no age file", lambda: read("c", AgeLayer(identities=[IDENTITY]))
    yield "an identity for AgeLayer, mistyped", lambda: AgeLayer(identities=[f"{IDENTITY}x"])


CASES: Final = [(f"{name}: {what}", fails) for name in FORMATS for what, fails in failures(name)]
LAYERS: Final = [(f"layers: {what}", fails) for what, fails in layered()]


def test_nothing_is_said_by_the_library(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tried: Tried
) -> None:
    """Of each error the text, notes, attributes and causes, and the locals of each frame of ours, have no secret."""
    caplog.set_level(logging.DEBUG)
    for what, fails in (*CASES, *LAYERS):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                fails()
            except AssertionError:
                raise
            except BaseException as error:  # noqa: BLE001 - Ctrl-C is one of them
                assert_silent(told(error), what)
                assert_silent(shown(error), what, ("plaintext",))  # which the caller holds; P2 is of keys and passwords
            else:
                pytest.fail(f"{what} did not fail")
        assert_silent("\n".join(str(one.message) for one in caught), what)
    assert_silent(caplog.text, "logs")
    assert_silent("".join(capfd.readouterr()), "standard streams")
    tried(
        "P2",
        "errors of the library, with the locals of its frames",
        "no secret is said",
        count=len(CASES) + len(LAYERS),
    )


def test_nothing_is_said_by_repr(tried: Tried) -> None:
    """No object of ours shows a secret, nor what it holds, by `repr`, `str` or a format."""
    with Secret(PASSWORD) as secret, SecretBuffer(10) as buffer, RamFS() as ram:
        ram.pipe("/a", PLAIN)
        layers = [FernetLayer(password=PASSWORD), FernetLayer(key=FERNET), AgeLayer(identities=[IDENTITY])]
        objects: list[object] = [secret, buffer, ram, ram.open("/a"), *layers]
        for name in FORMATS:
            stream = io.BytesIO(archive(name))
            room = strongroom.open(stream, password=PASSWORD, format=name)
            first = room.entries[0].name
            objects += [room, room.entries, room.open(first, "rb"), room.verify(), room.chunks(first), vars(room)]
            writing = strongroom.create(io.BytesIO(), password=PASSWORD, format=name)
            objects += [writing, writing.open("a" if name != "age" else "data", "wb"), vars(writing)]
        for one in objects:
            assert_silent(f"{one!r} {one} {one:}" if not isinstance(one, dict) else repr(one), repr(type(one)))
        for one in (secret, buffer):
            with pytest.raises((TypeError, strongroom.StrongroomError)):
                one.__reduce__()
    tried("P2", "repr of all that holds a secret", "no secret is shown", count=len(objects))


def test_nothing_is_logged() -> None:
    """No module of ours logs, prints but where it is told to, or shows a traceback: so there is nothing to keep out."""
    loud = {"logging", "traceback", "pdb", "faulthandler", "cgitb", "syslog"}
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & loud, path
            if isinstance(node, ast.ImportFrom):
                assert node.module not in loud, path
            if isinstance(node, ast.JoinedStr):
                named = {
                    part.value.id
                    for part in node.values
                    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name)
                }
                assert not named & {
                    "password",
                    "secret",
                    "key",
                    "phrase",
                    "passphrase",
                    "identity",
                    "scalar",
                    "token",
                }, (
                    path,
                    node.lineno,
                )


WRONG = [
    ("ls", "a.zip", "--password-file", "other"),
    ("cat", "a.zip", "a", "--password-file", "other"),
    ("cat", "a.7z", "a", "--password-file", "other"),
    ("verify", "a.7z", "--json", "--password-file", "other"),
    ("verify", "damaged.zip", "--json", "--password-file", "pw"),
    ("extract", "a.zip", "out", "--password-file", "other"),
    ("extract", "a.zip", "pw", "--password-file", "pw"),
    ("cat", "a.age", "--password-file", "other"),
    ("cat", "a.age", "-i", "key.txt"),
    ("cat", "a.age", "-i", "bad.txt"),
    ("cat", "a.age", "-i", "ssh"),
    ("cat", "a.age", "-i", IDENTITY),
    ("seal", "b.age", "pw", "-r", IDENTITY),
    ("seal", "b.age", "pw", "-r", f"ssh-rsa {IDENTITY}"),
    ("seal", "b.age", "pw", "-R", "key.txt"),
    ("seal", "b.age", "pw", "-R", "ssh"),
    ("seal", "a.zip", "pw", "--password-file", "pw"),
    ("seal", "b.zip", "missing", "--password-file", "pw"),
    ("seal", "b.zip", "pw", "--password-command", "false"),
    ("rekey", "a.age", "--password-file", "other", "--new-password-file", "pw"),
    ("rekey", "a.age", "--password-file", "pw", "-r", IDENTITY),
    (IDENTITY,),
    ("keygen", IDENTITY, "--json"),
]


def test_nothing_is_said_by_the_command_line(tmp_path: Path, tried: Tried) -> None:
    """No failing verb says a secret, whether it came from a file or, by mistake, as an argument."""
    for name in ("zip", "7z", "age"):
        (tmp_path / f"a.{name}").write_bytes(archive(name))
    damaged = bytearray(archive("zip"))
    damaged[60] ^= 1
    files = {"pw": PASSWORD, "other": OTHER, "key.txt": IDENTITY, "bad.txt": f"{IDENTITY}Q\n", "ssh": SSH}
    (tmp_path / "damaged.zip").write_bytes(damaged)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    for arguments in WRONG:
        done = Desk(tmp_path).run(*arguments)
        assert done.code, arguments
        assert_silent(done.out.decode() + done.err, repr(arguments))
    tried(
        "P2",
        "failing runs of the command line, with secrets in files and in arguments",
        "none is said",
        count=len(WRONG),
    )
