from __future__ import annotations

import hmac
import io
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from Cryptodome.Cipher import AES

import strongroom
from strongroom import TamperedError
from strongroom.flow import CHUNK
from strongroom.formats.sevenzip import crypto, evidence, spec
from strongroom.formats.sevenzip.digests import Digests, PackHash, TagKey, iv
from strongroom.formats.sevenzip.directory import Place
from strongroom.formats.sevenzip.streams import Coder, Folder
from strongroom.limits import MIB, Limits
from strongroom.manifest import keys
from strongroom.manifest.spec import RECORD_SIZE, TAIL_SIZE
from strongroom.memory.secret import SecretBuffer
from strongroom.source import open_source
from tests.helpers import noise, text
from tests.sevenzipedit import apart, flipped

PASSWORD = "pass"
OWN = bytes(range(32))
IV = bytes(range(100, 116))


def seal(path: Path, data: bytes, compression: str = "store") -> None:
    """One entry."""
    strongroom.seal({"a": data}, path, password=PASSWORD, compression=compression)


@pytest.fixture
def tag_key() -> Iterator[TagKey]:
    """The key of tags that follows from OWN."""
    with SecretBuffer(32) as secret:
        secret[:] = OWN
        key = TagKey(secret)
    yield key
    key.close()


def expanded(label: bytes) -> bytes:
    """A key made of OWN as RFC 5869 has it for one block without a salt."""
    return hmac.digest(hmac.digest(bytes(32), OWN, "sha256"), label + b"\1", "sha256")


def gmac(iv: bytes, stream: int, number: int, leaf: bytes) -> bytes:
    """A tag, as another implementation makes it, of the nonce as docs/design.md has it."""
    nonce = iv + stream.to_bytes(8, "little") + number.to_bytes(8, "little")
    cipher = AES.new(expanded(b"strongroom manifest 1 7z tags"), AES.MODE_GCM, nonce=nonce)
    return cipher.update(leaf).digest()


def hashed(key: TagKey, data: bytes, piece: int = CHUNK, iv: bytes = IV) -> bytes:
    """The digest of a stream that comes in pieces."""
    taken = PackHash(key, iv)
    for start in range(0, len(data), piece):
        taken.update(memoryview(data)[start : start + piece])
    return taken.digest()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
@pytest.mark.parametrize("piece", [4097, CHUNK, 3 * CHUNK])
def test_digest(tag_key: TagKey, size: int, piece: int) -> None:
    """The SHA-256 of the tags of each MiB, in whatever pieces the stream comes; that of none is of nothing."""
    data = noise(size)
    tags = [gmac(IV, 0, number, data[number * MIB : (number + 1) * MIB]) for number in range(-(-size // MIB))]
    assert hashed(tag_key, data, piece) == sha256(b"".join(tags)).digest()
    assert tags == [
        tag_key.tag(IV, 0, number, memoryview(data)[number * MIB : (number + 1) * MIB]) for number in range(len(tags))
    ]


def test_a_digest_depends_on_everything(tag_key: TagKey) -> None:
    """On each leaf, its place, what was cut off or put behind it, on zeros and their number, on the IV and the key."""
    first, second, last = noise(CHUNK, 1), noise(CHUNK, 2), noise(100, 3)
    streams = [
        b"",
        *(bytes(count) for count in (1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 16, 2 * CHUNK)),
        first + second + last,
        second + first + last,  # moved
        first + first + last,  # copied over
        first + last + second,
        bytes(CHUNK) + second + last,
        second + last,  # cut off in front,
        first + second,  # and at the end
        first + second + last[:-1],
        *(first + second + last + bytes(zeros) for zeros in (1, 11, 12, 13, 16, 28)),  # as GHASH itself pads
        *(flipped(first + second + last, position) for position in (0, CHUNK - 1, CHUNK, 2 * CHUNK + 99)),
    ]
    digests = [hashed(tag_key, stream) for stream in streams]
    digests += [hashed(tag_key, streams[10], iv=flipped(IV, bit // 8, 1 << bit % 8)) for bit in range(128)]
    with SecretBuffer(32) as secret:
        other = TagKey(secret)
    digests.append(hashed(other, streams[10]))
    other.close()
    assert len(set(digests)) == len(digests)


def test_a_tag_depends_on_its_place(tag_key: TagKey) -> None:
    """The same leaf has another one in every place of every stream: no nonce comes twice."""
    leaf = memoryview(bytes(16))
    places = [(stream, number) for stream in (0, 1, 2, 256) for number in (0, 1, 2, 256, 1 << 32)]
    assert len({tag_key.tag(IV, *place, leaf) for place in places}) == len(places)


def test_zeros_do_not_show_the_hash_key(tag_key: TagKey) -> None:
    """The tag of nothing but zeros is not zero, nor that of no byte: the length block is under the key as well."""
    tags = {tag_key.tag(IV, 0, 0, memoryview(bytes(size))) for size in (0, 1, 15, 16, 17, 32)}
    assert len(tags | {bytes(16)}) == 7


def folder_of(*coder: Coder) -> Folder:
    """A folder of one coder."""
    return Folder(coder, (), (0,), (5,) * len(coder))


def test_ivs() -> None:
    """The IV that a folder's AES coder names, with the zeros that it leaves out; a folder without one has zeros."""
    for given in (b"", b"\7", IV):
        properties = crypto.AesProperties(19, b"", given).encode()
        assert iv(folder_of(Coder(spec.AES, properties))) == given.ljust(16, b"\0")
    assert iv(folder_of(Coder(spec.COPY))) == bytes(16)
    with pytest.raises(strongroom.FormatError):
        iv(folder_of(Coder(spec.AES, b"\xd3")))


def test_digests_of_what_is_read(tag_key: TagKey) -> None:
    """Reader and writer agree; the streams of a folder without AES have a digest each, by their numbers."""
    data = noise(2 * CHUNK + 5)
    encrypted = folder_of(Coder(spec.AES, crypto.AesProperties(19, b"", IV).encode()))
    places = [[Place(0, len(data))], [Place(0, 5), Place(0, 5), Place(3, 0)]]
    with closing(open_source(io.BytesIO(data), Limits())) as source:
        for threads in (1, 3):
            digests = Digests(source, [encrypted, folder_of(Coder(spec.COPY))], places, lambda: tag_key, threads)
            assert digests.of(0) == (hashed(tag_key, data),)
            tags = [gmac(bytes(16), stream, 0, data[:5]) for stream in (0, 1)]
            assert digests.of(1) == (*(sha256(tag).digest() for tag in tags), sha256(b"").digest())


def test_keys() -> None:
    """HKDF-SHA256 of the archive's own key, one for the manifest and one for the tags."""
    with SecretBuffer(32) as secret:
        secret[:] = OWN
        key, tags = keys.Key.expand(secret, evidence.LABEL, bytes(10), 1 << 19), TagKey(secret)
    assert key._buffer == expanded(b"strongroom manifest 1 7z")
    assert tags._buffer == expanded(b"strongroom manifest 1 7z tags")
    key.close()
    tags.close()
    with pytest.raises(ValueError, match="closed"):
        tags.tag(IV, 0, 0, memoryview(b""))


def test_no_nonce_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many folders and chunks an archive has, each tag that is taken while sealing has a nonce of its own."""
    seen: list[tuple[bytes, int, int]] = []
    real = TagKey.begin

    def begin(self: TagKey, iv: bytes, stream: int, number: int) -> Any:  # noqa: ANN401 - a context
        seen.append((iv, stream, number))
        return real(self, iv, stream, number)

    monkeypatch.setattr(TagKey, "begin", begin)
    data = {f"{size}": noise(size) for size in (1, 100, CHUNK, 2 * CHUNK, 2 * CHUNK + 7)}
    strongroom.seal(data, io.BytesIO(), format="7z", password=PASSWORD, compression="store")
    assert len(seen) == len(set(seen)) == 1 + 1 + 2 + 3 + 1  # a solid folder, one each, and the header's


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
