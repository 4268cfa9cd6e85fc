"""What is done to ZIP files without the password: what today's tools make of it, and strongroom (P5, P6, P7)."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import pyzipper  # type: ignore[import-untyped]

import strongroom
from strongroom.errors import StrongroomError, StrongroomWarning, TamperedError, UnsupportedError, WrongKeyError
from strongroom.formats.zip import crypto, extras
from strongroom.manifest import ManifestPolicy
from tests import zipcraft
from tests.helpers import text, tool
from tests.proof import Tried
from tests.tamper import peers
from tests.tamper.peers import ACCEPTS, LEAVES, PASSWORD, REFUSES, RELEASES
from tests.tamper.ways import WAYS, Way
from tests.zipedit import Apart, Part, apart

LETTER: Final = b"pay 0000100 EUR to alice, and not more"
FORGED: Final = LETTER.replace(b"0000100", b"9000100")
TABLE: Final = text(3000)
DATA: Final = {"letter.txt": LETTER, "other.txt": b"to bob", "table.csv": TABLE, "empty.txt": b""}
_SALT: Final = crypto.salt_size(256) + crypto.VERIFIER_SIZE


def ours() -> Apart:
    """Sealed by strongroom, with its manifest."""
    out = io.BytesIO()
    strongroom.seal(DATA, out, format="zip", password=PASSWORD, level=9)
    return apart(out.getvalue())


def foreign() -> Apart:
    """As other tools make it: AE-2, and nothing beside it."""
    methods = {name: "deflate" if name == "table.csv" else "store" for name in DATA}
    return apart(zipcraft.join(*(zipcraft.aes(name, data, methods[name]) for name, data in DATA.items())))


def changed(archive: Apart, name: str, change: Callable[[Part], Part]) -> bytes:
    """The archive with one entry changed."""
    return replace(archive, parts=[change(part) if part.name == name else part for part in archive.parts]).together()


def flipped(part: Part, place: int, mask: int = 1) -> Part:
    """The entry with a bit of its body flipped."""
    body = bytearray(part.body)
    body[place] ^= mask
    return replace(part, body=bytes(body))


def another(item: zipcraft.Item) -> Callable[[Part], Part]:
    """Puts another entry in an entry's place, with its record of the manifest."""
    return lambda old: apart(zipcraft.join(item)).parts[0].with_manifest(old.manifest)


def flip_letter(archive: Apart) -> bytes:
    """The amount is another one: in counter mode a bit of the ciphertext is a bit of the plaintext."""
    place = LETTER.index(b"0")
    return changed(archive, "letter.txt", lambda part: flipped(part, _SALT + place, LETTER[place] ^ FORGED[place]))


def flip_code(name: str) -> Callable[[Apart], bytes]:
    """The authentication code is another one, and the data as it was."""
    return lambda archive: changed(archive, name, lambda part: flipped(part, -1))


def swap_names(archive: Apart) -> bytes:
    """Alice gets Bob's."""
    first, second, *rest = archive.parts
    return replace(archive, parts=[first.but(name=b"other.txt"), second.but(name=b"letter.txt"), *rest]).together()


def change_method(archive: Apart) -> bytes:
    """Kohno, "Attacking and Repairing the WinZip Encryption Scheme", 3.1: stored, with the length of the packed data.

    Who gets what comes out, and sends it back as unreadable, has sent the plaintext.
    """

    def stored(part: Part) -> Part:
        extra = part.local.extra.replace(extras.AesExtra(2, 3, 8).encode(), extras.AesExtra(2, 3, 0).encode())
        return part.but(extra=extra, size=len(part.body) - crypto.overhead(256))

    return changed(archive, "table.csv", stored)


def to_ae1(archive: Apart) -> bytes:
    """Kohno, 3.3: AE-1 with the CRC-32 of a guess, so that whether it opens tells whether the guess was right."""

    def older(part: Part) -> Part:
        extra = part.local.extra.replace(extras.AesExtra(2, 3, 0).encode(), extras.AesExtra(1, 3, 0).encode())
        return part.but(extra=extra, crc=zlib.crc32(LETTER))

    return changed(archive, "letter.txt", older)


class Attack(NamedTuple):
    """What is done; what then comes out of tools that fall for it, and what each does.

    `alone` is our error where the archive has no manifest, and None where nothing tells; with one it is TamperedError.
    """

    what: str
    build: Callable[[Apart], bytes]
    forged: Mapping[str, bytes]
    tools: tuple[str, str, str, str, str]
    alone: type[StrongroomError] | None


_ALL_ACCEPT: Final = (ACCEPTS,) * 5
_BY_CODE: Final = (REFUSES, RELEASES, ACCEPTS, LEAVES, LEAVES)
ATTACKS: Final = (
    Attack("a bit of a stored entry flipped", flip_letter, {"letter.txt": FORGED}, _BY_CODE, TamperedError),
    Attack(
        "the code of a stored entry changed", flip_code("letter.txt"), {"letter.txt": LETTER}, _BY_CODE, TamperedError
    ),
    Attack(
        "the code of a compressed entry changed",
        flip_code("table.csv"),
        {"table.csv": TABLE},
        (REFUSES, RELEASES, "gives out something else", LEAVES, REFUSES),
        TamperedError,
    ),
    Attack(
        "the code of an empty entry changed",
        flip_code("empty.txt"),
        {"empty.txt": b""},
        (REFUSES, REFUSES, "gives out something else", LEAVES, ACCEPTS),
        TamperedError,
    ),
    Attack(
        "an entry replaced by one that is not encrypted",
        lambda archive: changed(archive, "letter.txt", another(zipcraft.plain("letter.txt", FORGED))),
        {"letter.txt": FORGED},
        _ALL_ACCEPT,
        UnsupportedError,
    ),
    Attack(
        "an entry replaced by one under ZipCrypto",
        lambda archive: changed(archive, "letter.txt", another(zipcraft.zipcrypto("letter.txt", FORGED))),
        {"letter.txt": FORGED},
        _ALL_ACCEPT,
        UnsupportedError,
    ),
    Attack("names swapped", swap_names, {"letter.txt": b"to bob", "other.txt": LETTER}, _ALL_ACCEPT, None),
    Attack(
        "method and length changed",
        change_method,
        {"table.csv": zipcraft.PACKERS["deflate"](TABLE)[:1]},
        _ALL_ACCEPT,
        None,
    ),
    Attack("AE-2 made AE-1, with the CRC-32 of a guess", to_ae1, {"letter.txt": LETTER}, _ALL_ACCEPT, None),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_what_tools_fall_for(attack: Attack, tried: Tried, tmp_path: Path) -> None:
    """Peers fall for it, on archives of ours as on others; strongroom releases nothing of it, by any way of reading."""
    expected = dict(zip(peers.ZIP, attack.tools, strict=True))
    for label, archive in (("ours", ours()), ("foreign", foreign())):
        attacked = attack.build(archive)
        assert peers.verdicts(peers.ZIP, attacked, tmp_path / label, attack.forged) == expected, label
        for way in WAYS:
            found = outcome(attacked, way, tmp_path, attack.forged)
            assert found is (TamperedError if label == "ours" else attack.alone), (label, way.__name__)
            if label == "ours" or attack.alone is None:
                assert outcome(attacked, way, tmp_path, attack.forged, manifest="required") is TamperedError
    promise = "P5" if attack.alone is TamperedError else "P7"
    tried(promise, f"ZIP: {attack.what}", "refused", count=2 * len(WAYS), peers=expected)


def outcome(
    archive: bytes, way: Way, folder: Path, forged: Mapping[str, bytes], manifest: ManifestPolicy = "auto"
) -> type[StrongroomError] | None:
    """What reading ends with; hold that before an error nothing was released of what was tampered with."""
    released: set[str] = set()
    try:
        with strongroom.open(io.BytesIO(archive), password=PASSWORD, manifest=manifest) as room:
            released.update(name for name, _, _ in way(room, random.Random(1), folder))
    except StrongroomError as error:
        assert not released & set(forged)
        return type(error)
    return None


def test_before_the_code(tried: Tried, tmp_path: Path) -> None:
    """Of a long entry with one flipped bit others release nearly all, or all, before they come to its code."""
    data = text(1_000_000)
    part = apart(zipcraft.join(zipcraft.aes("a", data))).parts[0]
    attacked = Apart(parts=[flipped(part, -500)]).together()
    gave = {name: len(peers.ZIP[name](attacked, tmp_path).data["a"]) for name in ("pyzipper", "stream-unzip")}
    assert gave["pyzipper"] > 900_000
    assert gave["stream-unzip"] == 1_000_000
    with strongroom.open(io.BytesIO(attacked), password=PASSWORD) as room:
        for _ in range(2):  # libzip checked an entry only when it was opened for the first time (libzip #571)
            with pytest.raises(TamperedError):
                room.open("a", "rb")
            with pytest.raises(TamperedError):
                next(room.chunks("a"))
    shown = {name: f"releases {size:,} of 1,000,000 bytes" for name, size in gave.items()}
    tried("P5", "ZIP: a bit of a long entry flipped, read in pieces", "not a byte", count=4, peers=shown)


def test_crc_in_the_clear(tried: Tried, tmp_path: Path) -> None:
    """Archives of bsdtar are AE-1, with the CRC-32 of what is secret; ours never are."""
    (tmp_path / "letter.txt").write_bytes(LETTER)
    options = "zip:encryption=aes256,zip:compression=store"
    command = [tool("bsdtar"), "-cf", "made.zip", "--format", "zip", "--options", options]
    subprocess.run([*command, "--passphrase", PASSWORD, "letter.txt"], cwd=tmp_path, check=True)
    crc = zlib.crc32(LETTER).to_bytes(4, "little")
    assert crc in (tmp_path / "made.zip").read_bytes()
    assert crc not in ours().together()
    with strongroom.open(tmp_path / "made.zip", password=PASSWORD) as room:
        assert room.entry("letter.txt").encryption == "AES-256 (AE-1)"
        assert room.read("letter.txt") == LETTER
    tried(
        "P6", "ZIP: the CRC-32 of the plaintext looked for in the file", "is not there", peers={"bsdtar": "stores it"}
    )


def test_twin_of_a_long_password(tried: Tried) -> None:
    """HMAC hashes a key of more than 64 bytes, so that its SHA-1 digest opens the entries as well.

    Sealing with such a password warns. The manifest's keys come of SHA-256, for which that digest is another password.
    """
    long = "a password that is longer than a block of HMAC-SHA1, which has only 64 bytes"
    twin = hashlib.sha1(long.encode()).digest()  # noqa: S324 - HMAC's
    out = io.BytesIO()
    with pytest.warns(StrongroomWarning):
        strongroom.seal({"a": LETTER}, out, format="zip", password=long)
    with pyzipper.AESZipFile(out) as other:
        other.setpassword(twin)
        assert other.read("a") == LETTER
    with pytest.raises(TamperedError):
        strongroom.open(out, password=twin)
    with pytest.raises(WrongKeyError):
        strongroom.open(out, password=hashlib.sha256(long.encode()).digest())
    with strongroom.open(out, password=long, manifest="required") as room:
        assert room.read("a") == LETTER
    peers_do = {"pyzipper": "opens it"}
    tried(
        "P9",
        "ZIP: the 20-byte twin of a password of more than 64",
        "warned of; refused, by the manifest",
        peers=peers_do,
    )
