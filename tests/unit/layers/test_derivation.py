from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import FormatError, LimitError, Limits, Secret, StrongroomError, UnsupportedError
from strongroom.layers.derivation import LONGEST, PBKDF2Derivation, ScryptDerivation, decode, derive, encode

SALT = bytes(range(16))
FIELDS = {"version": 1, "kdf": "pbkdf2-hmac-sha256", "salt": base64.b64encode(SALT).decode(), "iterations": 5}
SCRYPT = {"version": 1, "kdf": "scrypt", "salt": FIELDS["salt"], "n": 4, "r": 8, "p": 1}
Derivation = PBKDF2Derivation | ScryptDerivation


def record(fields: object) -> bytes:
    """A record as we write it."""
    return json.dumps(fields).encode() + b"\n"


@pytest.mark.parametrize("derivation", [PBKDF2Derivation(SALT), ScryptDerivation(SALT), ScryptDerivation(SALT, n=2)])
def test_there_and_back(derivation: Derivation) -> None:
    """A record is short, and gives what it was made of."""
    assert len(encode(derivation)) < LONGEST / 4
    assert decode(encode(derivation), "a") == derivation


def test_what_is_written() -> None:
    """The fields are what others need: name, salt and cost; the costs are those that we say."""
    assert json.loads(encode(PBKDF2Derivation(SALT))) == {**FIELDS, "iterations": 1_200_000}
    assert json.loads(encode(ScryptDerivation(SALT))) == {**SCRYPT, "n": 131_072}
    for derivation in (PBKDF2Derivation(SALT), ScryptDerivation(SALT)):
        derivation.check(Limits())


def test_keys_are_the_standard_librarys() -> None:
    """Both functions are what `hashlib` makes of the same password."""
    with Secret("Zoë's") as password:
        text = "Zoë's".encode()
        with derive(PBKDF2Derivation(SALT, 3), password, 32) as key:
            assert key == hashlib.pbkdf2_hmac("sha256", text, SALT, 3)
        with derive(ScryptDerivation(SALT, 16), password, 32) as key:
            assert key == hashlib.scrypt(text, salt=SALT, n=16, r=8, p=1, dklen=32)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", FormatError),
        (b"{}\n", FormatError),
        (b"[]\n", FormatError),
        (b"1\n", FormatError),
        (b"[" * LONGEST, FormatError),
        (b'{"a":' * 200, FormatError),
        (b"\xff\xfe", FormatError),
        (b"\xef\xbb\xbf" + record(FIELDS), FormatError),
        (record(FIELDS)[:-1], FormatError),
        (record(FIELDS) + b"\n", FormatError),
        (record(FIELDS).replace(b": ", b":"), FormatError),
        (record(FIELDS).replace(b"{", b'{"version": 1, '), FormatError),
        (record(dict(reversed(FIELDS.items()))), FormatError),
        (record({**FIELDS, "more": 1}), FormatError),
        (record({**FIELDS, "version": True}), FormatError),
        (record({**FIELDS, "version": "1"}), FormatError),
        (record({**FIELDS, "version": 2}), UnsupportedError),
        (record({"version": 2}), UnsupportedError),
        (record({**FIELDS, "kdf": "argon2id"}), UnsupportedError),
        (record({**FIELDS, "kdf": "\ud800"}), UnsupportedError),
        (record({**FIELDS, "kdf": None}), FormatError),
        (record({**FIELDS, "salt": ""}), FormatError),
        (record({**FIELDS, "salt": "é"}), FormatError),
        (record({**FIELDS, "salt": base64.b64encode(bytes(15)).decode()}), FormatError),
        (record({**FIELDS, "salt": base64.b64encode(bytes(17)).decode()}), FormatError),
        (record({**FIELDS, "salt": str(FIELDS["salt"])[:-3] + "x=="}), FormatError),
        (record({**FIELDS, "salt": str(FIELDS["salt"]) + "\n"}), FormatError),
        (record({**FIELDS, "iterations": 1.0}), FormatError),
        (record({**FIELDS, "iterations": True}), FormatError),
        (record({**SCRYPT, "n": 4, "p": True}), FormatError),
        (record({**FIELDS, "iterations": float("nan")}), FormatError),
        (record({name: FIELDS[name] for name in ("version", "kdf", "salt")}), FormatError),
    ],
)
def test_what_is_no_record(data: bytes, error: type[StrongroomError]) -> None:
    """Nothing is read but what we would have written."""
    with pytest.raises(error):
        decode(data, "a")


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(record))
def test_any_bytes(data: bytes) -> None:
    """Whatever the bytes, a StrongroomError; or what encodes to the very same."""
    try:
        found = decode(data, "a")
    except StrongroomError:
        return
    assert encode(found) == data


@pytest.mark.parametrize("fields", [FIELDS, SCRYPT])
@given(
    change=st.dictionaries(st.sampled_from([*FIELDS, *SCRYPT]), st.integers() | st.text(max_size=30) | st.booleans())
)
def test_any_fields(fields: dict[str, Any], change: dict[str, object]) -> None:
    """Whatever the fields say, reading and checking them gives a result or a StrongroomError."""
    data = record({**fields, **change})
    try:
        found = decode(data, "a")
        found.check(Limits())
    except StrongroomError:
        return
    assert encode(found) == data


@pytest.mark.parametrize(
    ("derivation", "error"),
    [
        (PBKDF2Derivation(SALT, 1 << 24), None),
        (PBKDF2Derivation(SALT, (1 << 24) + 1), LimitError),
        (PBKDF2Derivation(SALT, 10**1000), LimitError),
        (PBKDF2Derivation(SALT, 1), None),
        (PBKDF2Derivation(SALT, 0), FormatError),
        (PBKDF2Derivation(SALT, -5), FormatError),
        (ScryptDerivation(SALT, 1 << 20), None),
        (ScryptDerivation(SALT, 1 << 21), LimitError),
        (ScryptDerivation(SALT, 1 << 3000), LimitError),
        (ScryptDerivation(SALT, 2), None),
        (ScryptDerivation(SALT, 1), FormatError),
        (ScryptDerivation(SALT, 0), FormatError),
        (ScryptDerivation(SALT, -4), FormatError),
        (ScryptDerivation(SALT, 1000), FormatError),
        (ScryptDerivation(SALT, 4, r=1 << 30), UnsupportedError),
        (ScryptDerivation(SALT, 4, p=0), UnsupportedError),
    ],
)
def test_costs(derivation: Derivation, error: type[StrongroomError] | None) -> None:
    """A cost is checked by its number alone, before any work."""
    if error is None:
        derivation.check(Limits())
    else:
        with pytest.raises(error):
            derivation.check(Limits())


def test_no_memory_for_scrypt() -> None:
    """A cost that the caller allows and the machine cannot bear is a LimitError."""
    derivation = ScryptDerivation(SALT, 1 << 50)
    derivation.check(Limits(scrypt_log_n=50))
    with Secret("pass") as password, pytest.raises(LimitError):
        derive(derivation, password, 32)
