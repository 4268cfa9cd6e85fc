"""The vectors of github.com/fernet/spec, as the PyPI package `cryptography-vectors` has them."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from importlib.resources import files
from typing import Any

import pytest
from cryptography.fernet import Fernet

from strongroom import FormatError, StrongroomError, WrongKeyError
from strongroom.flow import chunks_of
from strongroom.layers.token import decode_key, decrypt, encrypt
from strongroom.memory.secret import SecretBuffer

PLACE = files("cryptography_vectors") / "fernet"
# What the vector says is wrong with it, and what that is here. The time alone is wrong with the last two, and an
# archive has no age at which it ends: those open, as they do with `Fernet.decrypt(token)`.
INVALID: dict[str, type[StrongroomError] | None] = {
    "incorrect mac": WrongKeyError,
    "too short": FormatError,
    "invalid base64": FormatError,
    "payload size not multiple of block size": FormatError,
    "payload padding error": FormatError,
    "incorrect IV (causes padding error)": FormatError,
    "far-future TS (unacceptable clock skew)": None,
    "expired TTL": None,
}


def vectors(name: str) -> list[dict[str, Any]]:
    """Read a file of vectors, of which there are some."""
    found: list[dict[str, Any]] = json.loads((PLACE / name).read_text())
    assert found
    return found


def key_of(vector: dict[str, Any]) -> SecretBuffer:
    """The vector's key."""
    return decode_key(memoryview(vector["secret"].encode()))


@pytest.mark.parametrize("vector", vectors("generate.json"))
def test_generate(vector: dict[str, Any]) -> None:
    """The same key, time, IV and text give the same token."""
    now = int(datetime.fromisoformat(vector["now"]).timestamp())
    pieces = encrypt(key_of(vector), chunks_of(vector["src"].encode()), now=now, iv=bytes(vector["iv"]))
    assert b"".join(pieces) == vector["token"].encode()


@pytest.mark.parametrize("vector", vectors("verify.json"))
def test_verify(vector: dict[str, Any]) -> None:
    """A token gives its text."""
    assert decrypt(key_of(vector), [memoryview(vector["token"].encode())], "a") == vector["src"].encode()


@pytest.mark.parametrize("vector", vectors("invalid.json"), ids=lambda vector: vector["desc"])
def test_invalid(vector: dict[str, Any]) -> None:
    """What is wrong is refused, with the class of what is wrong."""
    error = INVALID[vector["desc"]]
    token = [memoryview(vector["token"].encode())]
    if error is None:
        assert decrypt(key_of(vector), token, "a") == Fernet(vector["secret"]).decrypt(vector["token"])
    else:
        with pytest.raises(error):
            decrypt(key_of(vector), token, "a")


def test_the_key_of_the_vectors() -> None:
    """Keys are read as base64 has them."""
    for vector in (*vectors("generate.json"), *vectors("invalid.json")):
        assert key_of(vector) == base64.urlsafe_b64decode(vector["secret"])
