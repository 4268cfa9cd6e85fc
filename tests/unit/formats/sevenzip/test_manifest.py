from __future__ import annotations

import hmac
import io
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

import strongroom
from strongroom import TamperedError
from strongroom.flow import CHUNK
from strongroom.formats.sevenzip import crypto, evidence
from strongroom.formats.sevenzip.digests import PackHash
from strongroom.limits import MIB, Limits
from strongroom.manifest import keys
from strongroom.manifest.spec import RECORD_SIZE, TAIL_SIZE
from strongroom.memory.secret import SecretBuffer
from tests.helpers import noise, text
from tests.sevenzipedit import apart

PASSWORD = "pass"


def seal(path: Path, data: bytes, compression: str = "store") -> None:
    """One entry."""
    strongroom.seal({"a": data}, path, password=PASSWORD, compression=compression)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
@pytest.mark.parametrize("piece", [4097, CHUNK, 3 * CHUNK])
def test_digest(size: int, piece: int) -> None:
    """The SHA-256 of the SHA-256 of each MiB, in whatever pieces the stream comes."""
    data = noise(size)
    taken = PackHash()
    for start in range(0, size, piece):
        taken.update(memoryview(data)[start : start + piece])
    leaves = b"".join(sha256(data[start : start + MIB]).digest() for start in range(0, size, MIB))
    assert taken.digest() == sha256(leaves).digest()


def test_key() -> None:
    """HKDF-SHA256 of the archive's own key, as RFC 5869 has it for one block without a salt."""
    own = bytes(range(32))
    with SecretBuffer(32) as secret:
        secret[:] = own
        key = keys.Key.expand(secret, evidence.LABEL, bytes(10), 1 << 19)
    extracted = hmac.digest(bytes(32), own, "sha256")
    expected = hmac.digest(extracted, b"strongroom manifest 1 7z\1", "sha256")
    assert key._buffer == expected
    key.close()


def test_stamp() -> None:
    """Six bytes of the hash of the first ten; another byte anywhere, or another length, is no stamp."""
    salt = keys.stamp(bytes(10))
    assert salt == bytes(10) + sha256(b"strongroom manifest 1 salt" + bytes(10)).digest()[:6]
    assert keys.stamped(salt)
    for position in range(16):
        assert not keys.stamped(salt[:position] + bytes((salt[position] ^ 1,)) + salt[position + 1 :])
    for other in (b"", salt[:15], salt + b"\0"):
        assert not keys.stamped(other)


@pytest.mark.parametrize("rounds", [0, 3, (1 << 19) + 1])
def test_rounds_of_no_key(rounds: int) -> None:
    """A number of rounds that is no power of two gives an error before any work."""
    with pytest.raises(strongroom.FormatError):
        evidence.derive(lambda _: pytest.fail("a key was derived"), bytes(10), rounds)


def test_one_derivation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifest, header and all folders take one key derivation between them, when sealing as when reading."""
    made: list[object] = []
    real = crypto._hash_rounds

    def counted(salt: bytes, text: SecretBuffer, rounds: int, target: SecretBuffer) -> None:
        made.append(rounds)
        real(salt, text, rounds, target)

    monkeypatch.setattr(crypto, "_hash_rounds", counted)
    seal(tmp_path / "a.7z", noise(2 * CHUNK))
    assert made == [1 << 19]
    with strongroom.open(tmp_path / "a.7z", password=PASSWORD, manifest="required") as room:
        assert room.verify().ok
        assert room.read("a") == noise(2 * CHUNK)
    assert made == [1 << 19] * 2


def test_many_entries() -> None:
    """Constant work and 40 bytes an entry: nothing of 64 KiB is in the way."""
    stream = io.BytesIO()
    count = 5000
    strongroom.seal({f"{number:05}": b"%d" % number for number in range(count)}, stream, format="7z", password=PASSWORD)
    assert len(apart(stream.getvalue()).manifest) == count * RECORD_SIZE + TAIL_SIZE
    with strongroom.open(stream, password=PASSWORD, limits=Limits(entries=count)) as room:
        report = room.verify()
        assert (report.ok, report.manifest, len(report.entries)) == (True, "verified", count)
        assert room.read("04999") == b"4999"


def streamed(room: strongroom.ReadRoom) -> bytes:
    """An entry as a file gives it."""
    with room.open("a", "rb") as file:
        return file.read()


@pytest.mark.parametrize("compression", ["store", "lzma"])
@pytest.mark.parametrize("way", [lambda room: room.read("a"), streamed])
def test_what_changes_after_the_check(
    tmp_path: Path, compression: str, way: Callable[[strongroom.ReadRoom], bytes]
) -> None:
    """What the manifest had vouched for, and is another thing when it is decoded, is tampering."""
    path = tmp_path / "a.7z"
    data = noise(3 * CHUNK) + text(CHUNK)
    seal(path, data, compression)
    with strongroom.open(path, password=PASSWORD) as room:
        assert way(room) == data
        with path.open("r+b") as file:
            file.seek(2 * CHUNK)
            file.write(b"changed")
        with pytest.raises(TamperedError):
            way(room)


def test_seeking_reads_no_more_than_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a stored entry any place is reached without what stands before it, once it was checked."""
    data = noise(40 * CHUNK)
    seal(tmp_path / "a.7z", data)
    with strongroom.open(tmp_path / "a.7z", password=PASSWORD, threads=1) as room, room.open("a", "rb") as file:
        seen: list[int] = []
        real = crypto.Key.decryptor
        monkeypatch.setattr(crypto.Key, "decryptor", lambda self, iv: (seen.append(1), real(self, iv))[1])
        file.seek(37 * CHUNK + 5)
        assert file.read(10) == data[37 * CHUNK + 5 :][:10]
        assert len(seen) == 1
