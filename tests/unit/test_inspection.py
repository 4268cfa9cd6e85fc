"""What `inspect` says of archives made for it, without a password."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest

import strongroom
from strongroom.errors import FormatError, StrongroomError
from strongroom.formats import FORMATS
from strongroom.formats.age.passphrase import ScryptRecipient
from strongroom.formats.sevenzip import crypto, spec
from strongroom.formats.sevenzip.files import File
from strongroom.formats.sevenzip.streams import Coder
from strongroom.inspection import Cipher, Derivation, Inspection, inspect
from strongroom.limits import Limits
from strongroom.memory.secret import Secret
from tests import agecraft, sevenzipcraft, zipcraft
from tests.sevenzipcraft import archive as seven
from tests.traits import TRAITS, Trait, each_format
from tests.zipcraft import aes, plain, zipcrypto

PASSWORD = "correct horse battery"
DATA = b"sodium 140, potassium 4.2"


def look(data: bytes, name: str | None = None) -> Inspection:
    """Inspect an archive in memory."""
    stream = io.BytesIO(data)
    if name is not None:
        stream.name = name
    return inspect(stream)


def codes(found: Inspection) -> set[str]:
    """The codes of what is weak."""
    return {weakness.code for weakness in found.weaknesses}


def sealed(trait: Trait) -> bytes:
    """An archive of ours."""
    stream = io.BytesIO()
    strongroom.seal({"a.txt": DATA, "b.txt": DATA}, stream, format=trait.name, password=PASSWORD)
    return stream.getvalue()


def test_every_format_explains_itself() -> None:
    """No format is without; a new one has to have the same file as the others."""
    for row in FORMATS.values():
        found = row.inspect(agecraft.source(made(row.name)), Limits())
        assert (found.format, found.ok) == (row.name, True)


def made(name: str) -> bytes:
    """An archive of ours with one entry, in each format."""
    stream = io.BytesIO()
    strongroom.seal(DATA, stream, format=name, password=PASSWORD, **({} if name == "age" else {"name": "a.txt"}))
    return stream.getvalue()


@each_format
def test_ours(trait: Trait, tmp_path: Path) -> None:
    """Of ours nothing is broken; what is seen of them is what `Format.readable` says after sealing."""
    path = tmp_path / f"a{trait.suffix}"
    path.write_bytes(sealed(trait))
    found = inspect(path)
    assert found.ok
    assert (found.format, found.size) == (trait.name, path.stat().st_size)
    assert found.manifest == ("present" if trait.manifest else "unneeded")
    assert not [weakness for weakness in found.weaknesses if weakness.level == "broken"]
    assert ("names" in found.visible) is not trait.hidden
    assert ("names" in found.hidden) is trait.hidden
    assert "contents" in found.hidden
    assert all(derivation.salt >= 10 for derivation in found.derivations)


def test_zip_of_ours() -> None:
    """Two keys, one for files and one for the manifest, and what the format is to blame for."""
    found = look(sealed(TRAITS[0]))
    assert found.entries == 2
    assert found.ciphers == (Cipher("AES-256 (AE-2)", 2),)
    assert [(one.name, one.rounds, one.salt) for one in found.derivations] == [
        ("PBKDF2-HMAC-SHA1", 1000, 16),
        ("PBKDF2-HMAC-SHA256", 100_000, 10),
    ]
    assert codes(found) == {"low-rounds", "plain-names"}


def test_7z_of_ours() -> None:
    """All that shows beside its size is the number of entries, which the manifest has in clear."""
    found = look(sealed(TRAITS[1]))
    assert found.entries == 2
    assert found.derivations == (Derivation("SHA-256", 1 << 19, 16),)
    assert codes(found) == set()


@pytest.mark.parametrize("number", [0, 1, 3])
def test_zip_without_or_with_few_entries(number: int) -> None:
    """The manifest is found also where it stands in the comment, or behind several entries."""
    stream = io.BytesIO()
    strongroom.seal({str(one): DATA for one in range(number)}, stream, format="zip", password=PASSWORD)
    found = look(stream.getvalue())
    assert (found.entries, found.manifest) == (number, "present")
    assert "comments" not in found.visible


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (zipcraft.join(aes("a", DATA)), {"low-rounds", "plain-names", "no-manifest", "short-verifier"}),
        (zipcraft.join(aes("a", DATA, bits=128, version=1)), {"ae-1"}),
        (zipcraft.join(aes("a", DATA), plain("b", DATA)), {"not-encrypted", "mixed"}),
        (zipcraft.join(plain("b", DATA)), {"not-encrypted"}),
        (zipcraft.join(zipcrypto("a", DATA)), {"zipcrypto"}),
        (zipcraft.join(aes("a", DATA), aes("a", DATA).but(name=b"b")), {"salt-reused"}),
        (zipcraft.join(aes("a", DATA), prefix=b"#!/bin/sh\n"), {"prepended"}),
        (zipcraft.join(plain("a", DATA).but(flags=1 | 1 << 6)), {"strong-encryption"}),
        (zipcraft.join(aes("a", DATA).but(local={"name": b"b"})), {"structure"}),
        (zipcraft.join(aes("a", DATA).but(gap=b"PK\3\4")), {"structure"}),
        (zipcraft.join(aes("a", DATA), aes("a", DATA)), {"structure", "low-rounds"}),
        (zipcraft.join(aes("a", DATA), plain("b", DATA), end={"directory_size": 1 << 20}), {"structure", "mixed"}),
        (zipcraft.join(aes("../a", DATA)), {"structure", "low-rounds"}),
        (zipcraft.join(zipcrypto("a", DATA), end={"disk": 1}), {"unsupported", "zipcrypto"}),
        (zipcraft.join(aes("a", DATA))[:-30], {"structure"}),
        (zipcraft.join(plain("a", DATA).but(size=1 << 31, flags=0)), {"structure"}),
    ],
)
def test_weak_zips(archive: bytes, expected: set[str]) -> None:
    """Each weakness has its code; what `open` refuses is one too, and the rest is said all the same."""
    found = look(archive)
    assert expected <= codes(found)
    assert found.ok is not bool(codes(found) & {"structure", "unsupported", "limit"})
    assert found.manifest != "present"
    assert not found.tools or found.ok


def test_many_faults_are_counted() -> None:
    """An archive of many faults does not fill the screen."""
    items = [aes("a", DATA).but(name=str(one).encode(), local={"name": b"z"}) for one in range(50)]
    found = look(zipcraft.join(*items))
    assert 1 < len([weakness for weakness in found.weaknesses if weakness.code == "structure"]) < 10


def with_aes(power: int = 19, salt: bytes = bytes(16), iv: bytes = bytes(range(16)), *, hidden: bool = True) -> bytes:
    """A 7z whose encryption has these properties; nobody decrypts it here."""
    coder = Coder(spec.AES, crypto.AesProperties(power, salt, iv).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sevenzipcraft, "AES", coder)
        return seven({"a": DATA}, hidden=hidden)


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (with_aes(), {"no-manifest"}),
        (with_aes(hidden=False), {"no-manifest", "plain-names", "plain-crc"}),
        (with_aes(salt=b""), {"no-salt", "no-manifest"}),
        (with_aes(iv=bytes(range(1, 9))), {"short-iv", "no-manifest"}),
        (with_aes(iv=b""), {"short-iv", "no-manifest"}),
        (with_aes(power=10), {"low-rounds", "no-manifest"}),
        (with_aes(power=63), {"no-hash", "no-manifest"}),
        (seven({"a": DATA, "b": DATA}), {"iv-reused", "low-rounds", "plain-names", "plain-crc", "no-manifest"}),
        (seven({"a": DATA}, secret=False), {"not-encrypted", "plain-names"}),
        (b"MZ" + seven({"a": DATA}), {"prepended"}),
        (sevenzipcraft.archive({"a": DATA}, extra=[File("b", has_data=False, anti=True)]), {"anti-item"}),
        (seven({"a": DATA}) + b"\0", {"structure"}),
        (seven({"a": DATA})[:-1], {"structure"}),
        (seven({"a": DATA, "../b": DATA}), {"structure"}),
    ],
)
def test_weak_7z(archive: bytes, expected: set[str]) -> None:
    """Each weakness has its code, whether the header shows or not."""
    found = look(archive)
    assert expected <= codes(found)
    assert found.format == "7z"
    assert found.ok is not bool(codes(found) & {"structure", "unsupported", "limit"})


def test_7z_without_rounds_says_so() -> None:
    """Where the key is the password itself, no number of rounds is made up."""
    assert look(with_aes(power=63)).derivations == (Derivation("SHA-256", 0, 16),)
    assert look(with_aes(power=62)).derivations == (Derivation("SHA-256", 1 << 62, 16),)


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (agecraft.seal(DATA), {"not-post-quantum", "unknown-sender"}),
        (agecraft.seal(DATA, [agecraft.identity(agecraft.HYBRID).recipient]), {"unknown-sender"}),
        (agecraft.seal(DATA, [ScryptRecipient(Secret("x"), 10)]), {"low-rounds"}),
        (agecraft.seal(DATA, armored=True), {"not-post-quantum", "unknown-sender"}),
        (agecraft.seal(DATA)[:100], {"structure"}),
        (agecraft.seal(DATA).replace(b"v1\n", b"v2\n"), {"structure"}),
        (agecraft.seal(DATA, [ScryptRecipient(Secret("x"), 10)]).replace(b" 10\n", b" 99\n"), {"limit"}),
        (agecraft.seal(DATA, [ScryptRecipient(Secret("x"), 10)]).replace(b" 10\n", b" +1\n"), {"structure"}),
    ],
)
def test_age(archive: bytes, expected: set[str]) -> None:
    """Recipients and work factor show; who sealed it does not."""
    found = look(archive)
    assert codes(found) == expected
    assert found.format == "age"
    assert found.manifest == "unneeded"
    if found.ok:
        assert found.recipients
        assert f"{len(DATA)} bytes" in found.visible[0]


def test_no_key_is_ever_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decrypted, nor any key derived: there is no password that could be asked for."""
    archives = [sealed(trait) for trait in TRAITS] + [seven({"a": DATA}), zipcraft.join(aes("a", DATA))]

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    for place in ("zip.crypto.Keys", "sevenzip.crypto.Key", "age.passphrase._derive", "zip.crypto.ZipCrypto"):
        monkeypatch.setattr(f"strongroom.formats.{place}", fail)
    for archive in archives:
        assert look(archive).description


def test_what_is_no_archive(tmp_path: Path) -> None:
    """It is refused as `open` does, with the same class."""
    for data in (b"", b"noise", bytes(1000), b"%PDF-1.7"):
        with pytest.raises(FormatError):
            look(data)
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "missing")


@pytest.mark.parametrize("archive", [sealed(TRAITS[0]), sealed(TRAITS[1]), seven({"a": DATA}), agecraft.seal(DATA)])
def test_every_flip_is_explained_or_refused(archive: bytes) -> None:
    """Whatever bit is changed, `inspect` ends, and raises nothing but errors of ours."""
    for position in range(len(archive)):
        changed = bytearray(archive)
        changed[position] ^= 1 << position % 8
        try:
            look(bytes(changed))
        except StrongroomError:
            continue


def test_a_header_that_lies_about_its_size() -> None:
    """Limits hold, and are named as the reason."""
    data = bytearray(seven({"a": DATA}))
    data[12:20] = struct.pack("<Q", 0)
    data[20:28] = struct.pack("<Q", len(data) - 32)
    data[8:12] = struct.pack("<I", zlib.crc32(data[12:32]))
    found = inspect(io.BytesIO(bytes(data)), limits=Limits(header_size=10))
    assert codes(found) == {"limit"}
    many = zipcraft.join(*(aes("a", DATA).but(name=str(one).encode()) for one in range(20)))
    found = inspect(io.BytesIO(many), limits=Limits(entries=5))
    assert "limit" in codes(found)
    assert found.entries == 5


def test_public_name() -> None:
    """`strongroom.inspect` is the function, whatever was imported before it."""
    import strongroom.cli.inspect
    import strongroom.formats.zip.inspect

    assert strongroom.inspect is inspect
    assert isinstance(look(sealed(TRAITS[0])), strongroom.Inspection)
