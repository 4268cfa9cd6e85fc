from __future__ import annotations

import hmac
import struct
from pathlib import Path

import pytest
from Cryptodome.Cipher import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import strongroom
from strongroom.audit.keys import KEYS, of_7z_salt
from strongroom.audit.needles import Needle
from strongroom.formats import FORMATS
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
    """No format is left out but age, which is not audited."""
    assert KEYS.keys() == {name for name, row in FORMATS.items() if not row.keys}


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
