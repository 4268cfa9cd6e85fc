from __future__ import annotations

import base64
import hmac
import struct
from pathlib import Path

import pytest
from Cryptodome.Cipher import AES
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import strongroom
from strongroom.audit.keys import KEYS, of_7z_salt, of_age_to_key
from strongroom.audit.needles import Needle, of_identity
from strongroom.audit.proof import new_identity
from strongroom.formats import FORMATS
from tests import agecraft
from tests.helpers import noise

PASSWORD = b"nine tame owls"
DATA = noise(1000)


def key(needles: list[Needle], name: str) -> bytes:
    """The key of that name, of its halves."""
    return b"".join(needle.value for needle in needles if needle.form.startswith(f"{name}, from byte "))


def sealed(folder: Path, suffix: str) -> tuple[bytes, list[Needle]]:
    """An archive of one entry, and the keys that are looked for."""
    path = folder / f"a{suffix}"
    strongroom.seal({"a": DATA}, path, password=PASSWORD, compression="store")
    return path.read_bytes(), list(KEYS[FORMATS[suffix[1:]].name](path, PASSWORD))


def test_every_format() -> None:
    """No format is left out: what a file's last suffix says."""
    assert KEYS.keys() == {name for name, row in FORMATS.items() if not row.inside}


@pytest.mark.parametrize("to_key", [True, False])
@pytest.mark.parametrize("suffix", [".age", ".zip.age"])
def test_keys_of_an_age_file(tmp_path: Path, suffix: str, *, to_key: bool) -> None:
    """The key of the payload opens it, that of the header makes its MAC; also of a file that is cut off."""
    path = tmp_path / f"a{suffix}"
    identity, recipient = new_identity()
    how = {"recipients": [recipient]} if to_key else {"password": PASSWORD}
    strongroom.seal({"a": DATA}, path, **how)
    needles = list(of_age_to_key(path, identity) if to_key else KEYS["age"](path, PASSWORD))
    assert not list(KEYS["age"](path, PASSWORD) if to_key else of_age_to_key(path, identity))
    data = path.read_bytes()
    header, _, rest = data.partition(b"\n--- ")
    mac, _, payload = rest.partition(b"\n")
    made = hmac.digest(key(needles, f"key of the header of a{suffix}"), header + b"\n---", "sha256")
    assert base64.b64encode(made).rstrip(b"=") == mac
    cipher = ChaCha20Poly1305(key(needles, f"key of the payload of a{suffix}"))
    plain = cipher.decrypt(bytes(11) + b"\x01", payload[16:], None)
    assert plain == DATA if suffix == ".age" else plain.startswith(b"PK")
    for size in range(len(data) - 1):
        path.write_bytes(data[:size])
        try:
            found = list(of_age_to_key(path, identity) if to_key else KEYS["age"](path, PASSWORD))
        except ValueError:
            assert size < len(header)
        else:
            assert {needle.value for needle in found} <= {needle.value for needle in needles}


def test_parts_of_an_identity() -> None:
    """The key of the identity in age's own documentation is found in its text."""
    found = list(of_identity(agecraft.X25519.encode()))
    assert key(found, "age identity") == bytes(agecraft.identity().secret)


def test_keys_of_a_zip(tmp_path: Path) -> None:
    """They are those that the archive was made with: its authentication code and the manifest's check are theirs."""
    data, needles = sealed(tmp_path, ".zip")
    place = data.index(b"PK\x01\x02")
    code, ciphertext = data[place - 10 : place], data[place - 10 - len(DATA) : place - 10]
    assert hmac.digest(key(needles, "HMAC key of an entry in a.zip"), ciphertext, "sha1")[:10] == code
    counter = (1).to_bytes(16, "little")
    stream = AES.new(key(needles, "AES key of an entry in a.zip"), AES.MODE_ECB).encrypt(counter)
    assert bytes(a ^ b for a, b in zip(stream, ciphertext, strict=False)) == DATA[:16]
    check = hmac.digest(key(needles, "key of the manifest of a.zip"), struct.pack("<QQ", 0, 5) + b"check", "sha256")
    assert check[:16] in data


def test_keys_of_a_7z(tmp_path: Path) -> None:
    """The key decrypts the data, which stands behind the first header; a block of ciphertext is the IV of the next."""
    data, needles = sealed(tmp_path, ".7z")
    own = key(needles, "AES key of a.7z")
    assert AES.new(own, AES.MODE_CBC, data[32:48]).decrypt(data[48:96]) == DATA[16:64]
    manifest = HKDF(SHA256(), 32, None, b"strongroom manifest 1 7z").derive(own)
    assert key(needles, "key of the manifest of a.7z") == manifest
    tags = HKDF(SHA256(), 32, None, b"strongroom manifest 1 7z tags").derive(own)
    assert key(needles, "key of the tags of a.7z") == tags


def test_rounds() -> None:
    """Fewer rounds than are hashed at once are as many as were asked for."""
    expected = "d00f514b2115c3bf49da704e96cc1b784becf13395a0d393d703bd96e23d8d53"  # as of formats/sevenzip/test_crypto
    assert key(list(of_7z_salt("a", PASSWORD, bytes(range(16)), 7)), "AES key of a") == bytes.fromhex(expected)


@pytest.mark.parametrize("suffix", [".zip", ".7z"])
def test_cut_off(tmp_path: Path, suffix: str) -> None:
    """Of what is left of an archive it gives the keys that can be known, and no error."""
    data, needles = sealed(tmp_path, suffix)
    path = tmp_path / f"b{suffix}"
    for size in (*range(100), len(data) // 2, *range(len(data) - 60, len(data))):
        path.write_bytes(data[:size])
        found = {needle.value for needle in KEYS[suffix[1:]](path, PASSWORD)}
        if size == len(data) // 2 and suffix == ".zip":
            assert found == {needle.value for needle in needles}
