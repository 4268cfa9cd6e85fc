from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import pyzipper
from cryptography.fernet import Fernet

import strongroom
from strongroom import (
    EntryNotFoundError,
    FormatError,
    LimitError,
    Limits,
    ReadRoom,
    RecipeLayer,
    StrongroomWarning,
    UnsupportedError,
    WrongKeyError,
)
from tests.helpers import noise, tool

PASSWORD = "a made-up password"
KEY = Fernet.generate_key()
TEXT = b"the data that the recipe hides"


def from_password() -> bytes:
    """The recipe's other key: derived from a password, and then stored all the same."""
    return base64.urlsafe_b64encode(hashlib.pbkdf2_hmac("sha256", b"inner", os.urandom(16), 1000))


def by_pyzipper(files: dict[str, bytes | str], method: int = pyzipper.ZIP_LZMA) -> io.BytesIO:
    """An archive as the recipe makes it."""
    stream = io.BytesIO()
    with pyzipper.AESZipFile(stream, "w", compression=method, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(PASSWORD.encode())
        for name, data in files.items():
            archive.writestr(name, data)
    return stream


def opened(archive: Any, **options: Any) -> ReadRoom:  # noqa: ANN401 - paths and streams
    """Open with the password."""
    return strongroom.open(archive, password=PASSWORD, **options)


def files(key: bytes = KEY, **changes: bytes) -> dict[str, bytes | str]:
    """The recipe's two files."""
    return {"encryption_key.txt": key, "encrypted.txt": Fernet(KEY).encrypt(TEXT), **changes}


@pytest.mark.parametrize("method", [pyzipper.ZIP_LZMA, pyzipper.ZIP_DEFLATED, pyzipper.ZIP_STORED, pyzipper.ZIP_BZIP2])
def test_pyzipper(method: int) -> None:
    """What the recipe makes with pyzipper opens, and the warning, at the caller's line, names the key's file."""
    with opened(by_pyzipper(files(), method)) as room:
        with pytest.warns(StrongroomWarning, match=r"encryption_key\.txt") as caught:
            assert room.read("encrypted.txt", layer=RecipeLayer()) == TEXT
        assert [warning.filename for warning in caught] == [__file__]
        assert KEY.decode() not in str(caught[0].message)


@pytest.mark.parametrize("method", ["LZMA", "Deflate", "Copy", "BZip2"])
def test_7zz(tmp_path: Path, method: str) -> None:
    """The same by 7zz."""
    for name, data in files().items():
        assert isinstance(data, bytes)
        (tmp_path / name).write_bytes(data)
    command = [tool("7zz"), "a", "-tzip", "-mem=AES256", f"-mm={method}", f"-p{PASSWORD}", "a.zip", "*.txt"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    with opened(tmp_path / "a.zip") as room, pytest.warns(StrongroomWarning):
        assert room.read("encrypted.txt", layer=RecipeLayer()) == TEXT


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"  \t\r\n\n"])
def test_white_space(ending: bytes) -> None:
    """Editors put newlines behind the key, and one behind the token."""
    token = Fernet(KEY).encrypt(TEXT)
    archive = by_pyzipper({"encryption_key.txt": b" " + KEY + ending, "encrypted.txt": token + b"\r\n"})
    with opened(archive) as room, pytest.warns(StrongroomWarning):
        assert room.read("encrypted.txt", layer=RecipeLayer()) == TEXT


def test_a_key_of_a_password() -> None:
    """A key that came from a password, stored beside the token, is read like any other."""
    key = from_password()
    archive = by_pyzipper({"encryption_key.txt": key.decode(), "encrypted.txt": Fernet(key).encrypt(TEXT).decode()})
    with opened(archive) as room, pytest.warns(StrongroomWarning):
        assert room.read("encrypted.txt", layer=RecipeLayer()) == TEXT


def test_other_names() -> None:
    """Files in a folder, with other names; the key is that of the same folder."""
    token = Fernet(KEY).encrypt(TEXT)
    other = {"key.txt": Fernet.generate_key(), "case/key.txt": KEY, "case/secret.bin": token, "secret.bin": token}
    layer = RecipeLayer(key_name="key.txt")
    with opened(by_pyzipper(other)) as room:
        with pytest.warns(StrongroomWarning):
            assert room.read("case/secret.bin", layer=layer) == TEXT
        with pytest.warns(StrongroomWarning), pytest.raises(WrongKeyError):
            room.read("secret.bin", layer=layer)


@pytest.mark.parametrize(
    "key", [b"", b" \n", KEY[:-1], KEY * 2, b"A" * 44, b"=" * 44, bytes(32), b"b'" + KEY + b"'", b"\n" * 5000], ids=len
)
def test_a_key_that_is_none(key: bytes) -> None:
    """Anything but a key is a FormatError, and nobody is warned of what is not there."""
    with opened(by_pyzipper(files(key))) as room, pytest.raises(FormatError):
        room.read("encrypted.txt", layer=RecipeLayer())


def test_what_is_not_there() -> None:
    """Without the token or the key there is nothing to read."""
    only = files()
    for name in ("encrypted.txt", "encryption_key.txt"):
        archive = by_pyzipper({name: only[name]})
        with opened(archive) as room, pytest.raises(EntryNotFoundError):
            room.read("encrypted.txt", layer=RecipeLayer())


def test_what_does_not_fit() -> None:
    """Another key, and what is no token."""
    wrong = files(Fernet.generate_key(), **{"plain.txt": b"not encrypted at all"})
    with opened(by_pyzipper(wrong)) as room:
        with pytest.warns(StrongroomWarning), pytest.raises(WrongKeyError):
            room.read("encrypted.txt", layer=RecipeLayer())
        with pytest.warns(StrongroomWarning), pytest.raises(FormatError):
            room.read("plain.txt", layer=RecipeLayer())


def test_limits() -> None:
    """A token above `memory_size` is a LimitError."""
    big = files(**{"encrypted.txt": Fernet(KEY).encrypt(noise(5000))})
    room = opened(by_pyzipper(big), limits=Limits(memory_size=5000))
    with room, pytest.raises(LimitError):
        room.read("encrypted.txt", layer=RecipeLayer())


def test_a_key_that_is_not_encrypted() -> None:
    """A key that someone put in unencrypted is refused, as any such entry is."""
    stream = by_pyzipper({"encrypted.txt": Fernet(KEY).encrypt(TEXT)})
    with pyzipper.AESZipFile(stream, "a") as archive:
        archive.writestr("encryption_key.txt", KEY)
    with pytest.raises(UnsupportedError):
        opened(stream).read("encrypted.txt", layer=RecipeLayer())


def test_only_for_reading() -> None:
    """Nobody writes the recipe with strongroom; the archive goes on."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="zip", password=PASSWORD) as room:
        with pytest.raises(ValueError):
            room.write("encrypted.txt", TEXT, layer=RecipeLayer())
        room.write("plain.txt", TEXT)
    with opened(stream) as read:
        assert [entry.name for entry in read] == ["plain.txt"]
