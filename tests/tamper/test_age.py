"""What is done to age files: cut and put together anew at the borders of chunks, or with other headers (P5, P8)."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pyrage
import pytest

import strongroom
from strongroom.errors import StrongroomError
from tests import agecraft
from tests.helpers import noise, tool
from tests.proof import Tried
from tests.tamper.ways import WAYS

CHUNK: Final = 65536
SEALED: Final = CHUNK + 16
NONCE: Final = 16
DATA: Final = noise(3 * CHUNK + 1000)
EVEN: Final = noise(3 * CHUNK)


def parts(file: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """Header, nonce, and the sealed chunks."""
    start = file.index(b"\n--- ") + 1
    start = file.index(b"\n", start) + 1
    body = file[start + NONCE :]
    return file[:start], file[start : start + NONCE], [body[at : at + SEALED] for at in range(0, len(body), SEALED)]


def rejoined(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    """The file with other chunks."""

    def build(file: bytes) -> bytes:
        header, nonce, chunks = parts(file)
        return header + nonce + b"".join(change(chunks))

    return build


def reheaded(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The file with another header."""

    def build(file: bytes) -> bytes:
        header, nonce, chunks = parts(file)
        return change(header) + nonce + b"".join(chunks)

    return build


class Attack(NamedTuple):
    """What is done to a file, and whether age gives out its front before it complains."""

    what: str
    build: Callable[[bytes], bytes]
    front: bool
    even: bool = False


OTHER: Final = agecraft.seal(DATA, seed="other")
ATTACKS: Final = (
    Attack("cut at a chunk's end", rejoined(lambda chunks: chunks[:2]), front=True),
    Attack("cut at a chunk's end, of whole chunks alone", rejoined(lambda chunks: chunks[:-1]), front=True, even=True),
    Attack("cut after its nonce", rejoined(lambda _: []), front=False),
    Attack("its last chunk emptied", rejoined(lambda chunks: [*chunks[:-1], chunks[-1][-16:]]), front=True),
    Attack("its last chunk shortened", rejoined(lambda chunks: [*chunks[:-1], chunks[-1][:-1]]), front=True),
    Attack("chunks put in another order", rejoined(lambda chunks: [chunks[1], chunks[0], *chunks[2:]]), front=False),
    Attack("a chunk doubled", rejoined(lambda chunks: [chunks[0], *chunks]), front=True),
    Attack("the last chunk doubled", rejoined(lambda chunks: [*chunks, chunks[-1]]), front=True),
    Attack("a chunk left out", rejoined(lambda chunks: chunks[1:]), front=False),
    Attack(
        "a chunk of another file", rejoined(lambda chunks: [chunks[0], parts(OTHER)[2][1], *chunks[2:]]), front=True
    ),
    Attack("a byte behind its end", lambda file: file + b"\0", front=True),
    Attack("a second file behind its end", lambda file: file + file, front=True),
    Attack("another nonce", lambda file: b"".join((parts(file)[0], bytes(NONCE), *parts(file)[2])), front=False),
    Attack(
        "the MAC of its header stripped",
        reheaded(lambda header: header[: header.index(b"\n---") + 5] + b"\n"),
        front=False,
    ),
    Attack(
        "the MAC of its header left out", reheaded(lambda header: header[: header.index(b"\n---") + 1]), front=False
    ),
    Attack("the MAC of another header", reheaded(lambda header: header[:-44] + parts(OTHER)[0][-44:]), front=False),
    Attack(
        "a recipient added",
        reheaded(lambda header: header.replace(b"\n---", b"\n-> grease\n" + b"AAAA" + b"\n---")),
        front=False,
    ),
    Attack("two headers", lambda file: parts(file)[0] + file, front=False),
    Attack("another header's stanzas", lambda file: parts(OTHER)[0] + file[len(parts(file)[0]) :], front=False),
    Attack("bytes before it", lambda file: b"\n" + file, front=False),
    Attack("lines ended by CRLF", reheaded(lambda header: header.replace(b"\n", b"\r\n")), front=False),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_what_is_done_to_chunks_and_headers(attack: Attack, tried: Tried, tmp_path: Path) -> None:
    """Nothing comes out, by any way of reading; age gives out the chunks before, onto the disk as well."""
    data = EVEN if attack.even else DATA
    file = agecraft.seal(data)
    attacked = attack.build(file)
    assert attacked != file
    for way in WAYS:
        released: list[tuple[str, int, bytes]] = []
        with (
            pytest.raises(StrongroomError),
            strongroom.open(io.BytesIO(attacked), format="age", identities=[agecraft.X25519], threads=2) as room,
        ):
            released.extend(way(room, random.Random(1), tmp_path))
        assert all(data[place : place + len(piece)] == piece for _, place, piece in released)
        assert way.__name__ in {"by_seeking", "by_verifying"} or not released, way.__name__
    gave = by_age(attacked, tmp_path)
    assert gave != data
    assert gave == data[: len(gave)]
    assert bool(gave) == attack.front
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(attacked, [pyrage.x25519.Identity.from_str(agecraft.X25519)])
    peers = {"age": "leaves the chunks before on the disk" if attack.front else "refuses it", "pyrage": "refuses it"}
    tried("P5", f"age: {attack.what}", "refused, before the first byte", count=len(WAYS), peers=peers)


def by_age(file: bytes, folder: Path) -> bytes:
    """What `age -d` leaves on the disk of a file that it complains of."""
    (folder / "key.txt").write_text(agecraft.X25519 + "\n")
    (folder / "file.age").write_bytes(file)
    command = [tool("age"), "-d", "-i", "key.txt", "-o", "out", "file.age"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode, "it complains"
    path = folder / "out"
    return path.read_bytes() if path.exists() else b""


def armored(change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """An armored file with other lines."""
    return b"\n".join(change(agecraft.seal(b"some data", armored=True).splitlines())) + b"\n"


ARMORS: Final = {
    "words before it": armored(lambda lines: [b"Dear Bob,", *lines]),
    "words behind it": armored(lambda lines: [*lines, b"yours, Alice"]),
    "a second one behind it": armored(lambda lines: [*lines, *lines]),
    "a line twice": armored(lambda lines: [*lines[:2], lines[1], *lines[2:]]),
    "an empty line in it": armored(lambda lines: [*lines[:2], b"", *lines[2:]]),
    "a blank at a line's end": armored(lambda lines: [*lines[:1], lines[1] + b" ", *lines[2:]]),
    "a short line in it": armored(lambda lines: [*lines[:1], lines[1][:40], lines[1][40:], *lines[2:]]),
    "no last line": armored(lambda lines: lines[:-1]),
    "a header of a PEM": armored(lambda lines: [lines[0], b"Version: 1", b"", *lines[1:]]),
    "two armors, one in the other": armored(
        lambda lines: [lines[0], base64.b64encode(b"\n".join(lines))[:64], *lines[1:]]
    ),
}


@pytest.mark.parametrize("what", ARMORS)
def test_what_is_done_to_armor(what: str, tried: Tried, tmp_path: Path) -> None:
    """One reading only: what stands around or between its lines is refused, as age itself has it."""
    with (
        pytest.raises(StrongroomError),
        strongroom.open(io.BytesIO(ARMORS[what]), format="age", identities=[agecraft.X25519]) as room,
    ):
        room.read("data")
    assert not by_age(ARMORS[what], tmp_path)
    tried("P8", f"age: armor with {what}", "refused", peers={"age": "refuses it"})


@pytest.mark.parametrize("around", [b"\n", b"  \n\n", b"\r\n"])
def test_white_space_around_armor(around: bytes, tried: Tried) -> None:
    """Mail programs add it; age's test vectors (`armor_whitespace_outside`) have it read."""
    file = around + agecraft.seal(b"some data", armored=True) + around
    with strongroom.open(io.BytesIO(file), format="age", identities=[agecraft.X25519]) as room:
        assert room.read("data") == b"some data"
    tried("P8", "age: white space around armor", "is read, as age's vectors have it")


def test_twin_of_a_long_passphrase(tried: Tried) -> None:
    """Since scrypt begins with HMAC-SHA256, the digest of what has more than 64 bytes opens the file as well.

    So it is in every tool for age, and documented: nobody has that digest who has not had the passphrase, or found it
    where a passphrase was kept as its bare SHA-256.
    """
    long = "ten words of a passphrase are soon more than what a block has, of 64"
    twin = hashlib.sha256(long.encode()).digest()
    assert len(long) > 64
    out = io.BytesIO()
    strongroom.seal(b"some data", out, format="age", password=long)
    for password in (long, twin):
        with strongroom.open(out, password=password) as room:
            assert room.read("data") == b"some data"
    with pytest.raises(strongroom.WrongKeyError):
        strongroom.open(out, password=hashlib.sha256(long.encode()).hexdigest())
    tried("P9", "age: the 32-byte twin of a passphrase of more than 64 bytes", "opens it too, as the format has it")
