"""The attacks that 7z leaves open, made for real: other tools accept them, strongroom says what was done."""

from __future__ import annotations

import io
import subprocess
import warnings
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import py7zr
import py7zr.properties
import pytest

import strongroom
from strongroom import StrongroomError, StrongroomWarning, TamperedError, WrongKeyError
from strongroom.errors import FormatError, LimitError
from strongroom.flow import CHUNK
from strongroom.formats.sevenzip import crypto, directory, spec
from strongroom.formats.sevenzip.coders import Tools, unpack
from strongroom.formats.sevenzip.evidence import derive
from strongroom.formats.sevenzip.files import File
from strongroom.formats.sevenzip.streams import Coder, Folder, Stream, Streams
from strongroom.limits import Limits
from strongroom.manifest import keys
from strongroom.manifest.sealing import whole_tag
from strongroom.manifest.spec import RECORD_SIZE, TAG_SIZE, TAIL_SIZE, Tail
from strongroom.memory.secret import Secret
from strongroom.source import open_source
from tests.helpers import noise, text, tool
from tests.proof import Tried
from tests.sevenzipcraft import join
from tests.sevenzipedit import Parts, aes, apart, flipped, split, with_aes

PASSWORD = "a made-up password"
LETTER = b"pay 0000100 to alice, and not more"
DATA = {
    "letter.txt": LETTER,
    "empty.txt": b"",
    "long.bin": noise(2 * CHUNK + 100, 1),
    "table.csv": text(5000),
    "other.bin": noise(2 * CHUNK + 100, 2),
}
WHEN = datetime(2024, 2, 3, 4, 5, 7, tzinfo=UTC)


def sealed(data: dict[str, bytes] = DATA, **options: Any) -> bytes:  # noqa: ANN401 - options of all kinds
    """An archive of ours, with a folder."""
    stream = io.BytesIO()
    with strongroom.create(stream, format="7z", **{"password": PASSWORD, "compression": "store"} | options) as room:
        for name, value in data.items():
            room.write(name, value, modified=WHEN)
        room.mkdir("folder", modified=WHEN)
    return stream.getvalue()


@pytest.fixture(scope="module")
def whole() -> bytes:
    """The archive that is attacked."""
    archive = sealed()
    with opened(archive) as room:
        assert room.verify().manifest == "verified"
    return archive


@pytest.fixture(scope="module")
def parts(whole: bytes) -> Parts:
    """The same, taken apart, a pack stream for each folder."""
    return split(apart(whole), PASSWORD)


def opened(archive: bytes, **options: Any) -> strongroom.ReadRoom:  # noqa: ANN401 - options of all kinds
    """Open an archive with its password."""
    return strongroom.open(io.BytesIO(archive), **{"password": PASSWORD} | options)


def refused(archive: bytes, *words: str) -> None:
    """Hold that `open` refuses an archive, with these words."""
    with pytest.raises(TamperedError) as caught:
        opened(archive)
    assert all(word in str(caught.value) for word in words), caught.value
    with pytest.raises(TamperedError):
        opened(archive, manifest="required")


def ignored(archive: bytes) -> strongroom.ReadRoom:
    """Open an archive whose manifest does not hold, which takes a warning."""
    with pytest.warns(StrongroomWarning) as warned:
        room = opened(archive, manifest="ignore")
    assert warned[0].filename == __file__
    return room


def seven(folder: Path, archive: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run 7zz on an archive, in a folder."""
    (folder / "a.7z").write_bytes(archive)
    command = [tool("7zz"), arguments[0], "-y", f"-p{PASSWORD}", "a.7z", *arguments[1:]]
    return subprocess.run(command, capture_output=True, cwd=folder, check=False)


def with_manifest(parts: Parts, change: Any) -> bytes:  # noqa: ANN401 - a function of bytes
    """The archive with another manifest, as who has no password writes it."""
    return replace(parts, manifest=change(parts.manifest)).together()


# Other tools open what we write


@pytest.mark.parametrize("data", [{}, {"one": b"1"}, DATA], ids=["empty", "one", "some"])
@pytest.mark.parametrize("compression", ["store", "lzma"])
def test_other_tools_open_it(data: dict[str, bytes], compression: str, tried: Tried, tmp_path: Path) -> None:
    """No error, no warning, every byte: 7zz, py7zr; bsdtar cannot decrypt 7z, and says so as ever."""
    archive = sealed(data, compression=compression)
    done = seven(tmp_path, archive, "t")
    assert done.returncode == 0, done.stdout
    assert b"arning" not in done.stdout + done.stderr
    done = seven(tmp_path, archive, "x", "-oout")
    assert done.returncode == 0
    assert {name: (tmp_path / "out" / name).read_bytes() for name in data} == data
    with py7zr.SevenZipFile(io.BytesIO(archive), password=PASSWORD) as other:
        assert set(other.getnames()) == {*data, "folder"}
        assert other.testzip() is None
    done = subprocess.run([tool("bsdtar"), "-tf", "a.7z"], capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert b"ncrypted" in done.stderr
    peers = {"7zz, py7zr": "read it, without a warning", "bsdtar": "decrypts no 7z"}
    tried("P7", "7z: an archive with a manifest, given to other tools", "is an archive like others", peers=peers)


# The IV flip: AES-CBC lets whoever knows the first block choose it anew, and a CRC-32 has no key


def forged(header: spec.Header, index: int) -> spec.Header:
    """Change the plaintext of a stored folder in its first block, by its IV, and mend its CRC-32."""
    after = LETTER.replace(b"0000100", b"9000100")
    delta = bytes(old ^ new for old, new in zip(LETTER[:16], after[:16], strict=True))
    streams = header.streams
    folder = streams.folders[index]
    iv = bytes(old ^ new for old, new in zip(aes(folder).iv.ljust(16, b"\0"), delta, strict=True))
    changed = with_aes(folder, aes(folder)._replace(iv=iv))
    crc = zlib.crc32(after)
    substreams = list(streams.substreams)
    substreams[index] = (Stream(len(after), crc),)
    folders = list(streams.folders)
    folders[index] = changed._replace(crc=None if changed.crc is None else crc)
    return header._replace(streams=streams._replace(folders=tuple(folders), substreams=tuple(substreams)))


def plain_header(archive: bytes) -> tuple[bytes, spec.Header]:
    """Pack streams and header of an archive whose header is not encrypted."""
    start = spec.SignatureHeader.decode(archive[:32])
    header = spec.decode_header(archive[32 + start.offset :], 0, Limits())
    body = archive[32 : 32 + start.offset]
    if isinstance(header, spec.EncodedHeader):  # packed, without a password
        body = body[: header.streams.position]
        with closing(open_source(io.BytesIO(archive), Limits())) as source:
            outline = directory.locate(source, Limits())
        tools = Tools(Limits(), 1, lambda _: pytest.fail("the header is encrypted"))
        packs = [iter((memoryview(pack),)) for pack in outline.packs]
        header = spec.decode_header(b"".join(map(bytes, unpack(header.streams.folders[0], packs, tools))), 0, Limits())
    assert isinstance(header, spec.Header)
    return body, header


def test_the_iv_flip_on_an_archive_of_7zz(tried: Tried, tmp_path: Path) -> None:
    """7zz finds everything fine, and gives what was never sealed. So do we, since nothing tells: see SECURITY.md."""
    (tmp_path / "letter.txt").write_bytes(LETTER)
    command = [tool("7zz"), "a", f"-p{PASSWORD}", "-m0=Copy", "-mhc=off", "made.7z", "letter.txt"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    body, header = plain_header((tmp_path / "made.7z").read_bytes())
    attacked = join(body, forged(header, 0).encode())
    assert b"Everything is Ok" in seven(tmp_path, attacked, "t").stdout
    assert seven(tmp_path, attacked, "x", "-so").stdout == LETTER.replace(b"0000100", b"9000100")
    with opened(attacked) as room:
        assert room.verify().manifest == "absent"
        assert room.read("letter.txt") != LETTER
    with pytest.raises(TamperedError):
        opened(attacked, manifest="required")
    peers = {"7zz": '"Everything is Ok", and the other amount'}
    tried("P7", _FOREIGN_FLIP, "cannot be noticed; refused where a manifest is required", peers=peers)


_FOREIGN_FLIP = "7z of another tool: another amount by its IV, without the password"


def test_the_iv_flip_on_an_archive_of_py7zr(tried: Tried) -> None:
    """py7zr accepts it as well."""
    stream = io.BytesIO()
    filters = [{"id": py7zr.properties.FILTER_COPY}, {"id": py7zr.properties.FILTER_CRYPTO_AES256_SHA256}]
    with py7zr.SevenZipFile(stream, "w", password=PASSWORD, filters=filters) as other:
        other.writestr(LETTER, "letter.txt")
    body, header = plain_header(stream.getvalue())
    attacked = join(body, forged(header, 0).encode())
    with py7zr.SevenZipFile(io.BytesIO(attacked), password=PASSWORD) as other:
        assert other.testzip() is None
    with py7zr.SevenZipFile(io.BytesIO(attacked), password=PASSWORD) as other:
        factory = py7zr.io.BytesIOFactory(1 << 20)
        other.extractall(factory=factory)
    assert factory.products["letter.txt"].read() == LETTER.replace(b"0000100", b"9000100")
    with pytest.raises(TamperedError):
        opened(attacked, manifest="required")
    peers = {"py7zr": "the other amount"}
    tried("P7", _FOREIGN_FLIP, "cannot be noticed; refused where a manifest is required", peers=peers)


def test_the_iv_flip_on_ours(parts: Parts, tried: Tried, tmp_path: Path) -> None:
    """Refused, also by who has the password and so reaches the IV, but cannot make the manifest's tags by hand."""
    for bit in range(16):
        iv = flipped(parts.properties.iv, bit)
        attacked = parts.with_folder(with_aes(parts.folder, parts.properties._replace(iv=iv)))
        refused(attacked.together(), "header was changed")
    header = parts.header(PASSWORD)
    attacked = parts.with_header(forged(header, 0), PASSWORD)
    refused(attacked.together(), "'letter.txt'", "other data")
    with ignored(attacked.together()) as room:
        assert room.read("letter.txt") == LETTER.replace(b"0000100", b"9000100")
        assert room.verify().manifest == "changed"
    assert b"Everything is Ok" in seven(tmp_path, attacked.together(), "t").stdout
    peers = {"7zz": '"Everything is Ok"'}
    tried("P7", "7z: another amount by its IV, with the password", "refused, by name", count=17, peers=peers)


# What can be done without the password


@pytest.mark.parametrize("position", [0, 15, 16, CHUNK - 1, CHUNK, -1])
def test_flipped_data(parts: Parts, position: int) -> None:
    """A changed pack stream is named by each entry that it holds, in every way of reading, before the first byte."""
    for number, names in ((0, ["letter.txt"]), (1, ["long.bin"]), (3, ["other.bin"])):
        pack = parts.packs[number]
        if not -len(pack) <= position < len(pack):
            continue
        packs = list(parts.packs)
        packs[number] = flipped(pack, position % len(pack))
        archive = replace(parts, packs=tuple(packs)).together()
        with opened(archive) as room:
            for name in names:
                with pytest.raises(TamperedError, match=name):
                    room.read(name)
                with pytest.raises(TamperedError, match=name):
                    next(room.chunks(name))
                buffer = bytearray(b"\1") * len(DATA[name])
                with pytest.raises(TamperedError, match=name):
                    room.read_into(name, buffer)
                assert not any(buffer)
            report = room.verify()
            assert [finding.entry for finding in report.findings] == names
            assert report.manifest == "changed"
            assert room.read("table.csv") == DATA["table.csv"]


@pytest.mark.parametrize("compression", ["lzma", "deflate", "bzip2"])
def test_no_decoder_sees_flipped_data(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not authenticated does not come as far as a decoder."""
    pieces = apart(sealed({"a": text(3 * CHUNK)}, compression=compression))
    archive = replace(pieces, packs=(flipped(pieces.packs[0], 1000),)).together()
    with opened(archive) as room:
        monkeypatch.setattr("strongroom.formats.sevenzip.coders.unpack", lambda *_: pytest.fail("was decoded"))
        for way in (
            room.read,
            lambda name: room.read_into(name, bytearray(3 * CHUNK)),
            lambda _: room.extract("never"),
        ):
            with pytest.raises(TamperedError, match="other data"):
                way("a")
        assert not room.verify().ok


def test_swapped_folders(parts: Parts) -> None:
    """Two pack streams of one size change places: each entry says that it has other data."""
    first, second = parts.packs[1], parts.packs[3]
    assert len(first) == len(second)
    archive = replace(parts, packs=(parts.packs[0], second, parts.packs[2], first)).together()
    with opened(archive) as room:
        assert {finding.entry for finding in room.verify().findings} == {"long.bin", "other.bin"}


def _leaves(pack: bytes) -> list[bytes]:
    """The pieces of a pack stream that have a tag each."""
    return [pack[start : start + CHUNK] for start in range(0, len(pack), CHUNK)]


@pytest.mark.parametrize(
    "change",
    [
        lambda first, second, end: second + first + end,
        lambda first, _, end: first + first + end,
        lambda _, second, end: bytes(CHUNK) + second + end,
        lambda first, second, end: first[:-16] + bytes(16) + second + end,
        lambda first, second, end: first + second + bytes(len(end)),
        lambda first, second, end: end + first + second,
        lambda first, second, end: first[16:] + second + end + bytes(16),
    ],
    ids=["moved", "repeated", "zeros", "zeros in it", "zeros for the end", "turned", "cut in front"],
)
def test_changed_leaves(parts: Parts, change: Callable[[bytes, bytes, bytes], bytes]) -> None:
    """What has its own tag is known by its place, and zeros are no better than other bytes."""
    pack = parts.packs[1]
    packs = (parts.packs[0], change(*_leaves(pack)), *parts.packs[2:])
    assert len(packs[1]) == len(pack)
    with opened(replace(parts, packs=packs).together()) as room:
        for read in (
            lambda: room.read("long.bin"),
            lambda: room.read_into("long.bin", bytearray(len(pack))),
            lambda: next(room.chunks("long.bin")),
        ):
            with pytest.raises(TamperedError, match="other data"):
                read()
        assert [finding.entry for finding in room.verify().findings] == ["long.bin"]
        assert room.read("other.bin") == DATA["other.bin"]


def test_leaves_of_another_archive(parts: Parts) -> None:
    """Of the same data, under the same password, sealed once more: nothing of it fits, nor does its first MiB alone."""
    other = split(apart(sealed()), PASSWORD)
    for pack in (other.packs[1], other.packs[1][:CHUNK] + parts.packs[1][CHUNK:]):
        with opened(replace(parts, packs=(parts.packs[0], pack, *parts.packs[2:])).together()) as room:
            assert [finding.entry for finding in room.verify().findings] == ["long.bin"]


@pytest.mark.parametrize("size", [0, 1, TAIL_SIZE, RECORD_SIZE])
def test_a_manifest_cut_off(parts: Parts, size: int) -> None:
    """Wholly, or but for its start: the salt says that there was one. `ignore` reads what there is."""
    archive = with_manifest(parts, lambda manifest: manifest[:size])
    refused(archive, "removed")
    with ignored(archive) as room:
        assert room.read("letter.txt") == LETTER
        assert room.verify().manifest == "removed"


def test_a_manifest_without_some_records(parts: Parts) -> None:
    """The tail has their count, and the whole its tag."""
    refused(with_manifest(parts, lambda manifest: manifest[RECORD_SIZE:]), "removed")

    def fewer(manifest: bytes) -> bytes:
        tail = Tail.decode(manifest[-TAIL_SIZE:])
        return manifest[RECORD_SIZE:-TAIL_SIZE] + tail._replace(entries=tail.entries - 1).encode()

    refused(with_manifest(parts, fewer), "'letter.txt' is number 1")


def test_a_manifest_of_another_archive(parts: Parts) -> None:
    """Of an earlier version, or of quite another archive, under the same password."""
    for data in (DATA, {"x": b"1", "y": b"2"}):
        other = apart(sealed(data))
        refused(with_manifest(parts, lambda _, other=other: other.manifest), "another archive", "earlier version")


def test_a_header_of_another_archive(parts: Parts) -> None:
    """An earlier header on newer data, with and without its manifest."""
    older = apart(sealed(DATA | {"letter.txt": LETTER.replace(b"1", b"2")}))
    refused(replace(parts, packed=older.packed, outer=older.outer).together(), "another archive")
    mixed = replace(older, packs=parts.packs)
    with opened(mixed.together()) as room:  # the header is genuine, and so is its manifest: the data is not
        assert {finding.entry for finding in room.verify().findings} == {name for name, data in DATA.items() if data}
    refused(replace(mixed, manifest=b"").together(), "removed")


def test_an_older_archive_put_back_whole(whole: bytes) -> None:
    """Is as genuine as it was: nothing in it is newer."""
    with opened(whole) as room:
        assert room.verify().manifest == "verified"


def test_another_salt(parts: Parts) -> None:
    """Whoever takes the stamp out of the salt has changed the key: the manifest tells, or else nothing decrypts."""
    salt = noise(16)
    assert keys.stamped(parts.properties.salt)
    assert not keys.stamped(salt)
    attacked = parts.with_folder(with_aes(parts.folder, parts.properties._replace(salt=salt)))
    refused(attacked.together(), "another archive")
    with pytest.raises(WrongKeyError):
        opened(replace(attacked, manifest=b"").together())


def test_a_plain_header_in_its_place(parts: Parts) -> None:
    """The folders need the salt, so that a header of the attacker's own has the stamp in it."""
    folder = Folder(
        (parts.folder.coders[0]._replace(properties=parts.properties._replace(iv=noise(16)).encode()),), (), (0,), (96,)
    )
    pack = parts.packs[1][:96]
    header = spec.Header(Streams(0, (Stream(96),), (folder,), ((Stream(96, 0),),)), (File("letter.txt"),))
    refused(join(pack, header.encode()), "removed")
    with pytest.raises(TamperedError, match="removed"):
        opened(join(pack, header.encode()), password=None)


def test_bytes_before_and_between(parts: Parts) -> None:
    """Nobody vouches for a program that was put before it; a gap elsewhere is refused."""
    refused(parts.together(before=b"MZ" + bytes(100)), "102 bytes were put before")
    with pytest.raises(StrongroomError):
        opened(parts.together(gap=b"more"))
    with pytest.raises(FormatError, match="follow the header"):
        opened(parts.together() + b"\0")


def test_every_byte_of_the_manifest(whole: bytes) -> None:
    """Any flipped bit of it is an error, and with `ignore` the data is there all the same."""
    pieces = apart(whole)
    for position in range(len(pieces.manifest)):
        archive = with_manifest(pieces, lambda manifest, position=position: flipped(manifest, position, 0x10))
        with pytest.raises((TamperedError, FormatError, LimitError)):
            opened(archive)
    with ignored(archive) as room:
        assert room.read("letter.txt") == LETTER


def test_flips_with_mended_crcs(whole: bytes) -> None:
    """Who mends the CRC-32s of the two outer headers gets no further: all that differs is the class of the error."""
    pieces = apart(whole)
    outer = pieces.outer.encode()
    for position in range(len(outer)):
        changed = flipped(outer, position, 1 << position % 8)
        start = len(pieces.packs[0]) + len(pieces.packed) + len(pieces.manifest)
        signature = spec.SignatureHeader(start, len(changed), zlib.crc32(changed)).encode()
        body = b"".join((*pieces.packs, pieces.packed, pieces.manifest))
        with pytest.raises(StrongroomError):
            opened(signature + body + changed)
    for position in range(6, 8):  # the version, which no CRC covers
        with pytest.raises(StrongroomError):
            opened(flipped(whole, position))


# What takes the password: out of scope, but the words should fit


def edited(parts: Parts, change: Any) -> bytes:  # noqa: ANN401 - a function of a header
    """The archive with another header under its own key, and its old manifest."""
    return parts.with_header(change(parts.header(PASSWORD)), PASSWORD).together()


def with_file(header: spec.Header, which: str, **changes: Any) -> spec.Header:  # noqa: ANN401 - fields of all kinds
    """The header with one file's record changed."""
    files = (file._replace(**changes) if file.name == which else file for file in header.files)
    return header._replace(files=tuple(files))


def test_the_words_for_changed_entries(parts: Parts) -> None:
    """Renamed, re-dated, given other attributes, reordered: each by name."""
    refused(edited(parts, lambda header: header), "its end records or its manifest")
    for name, changes, words in (
        ("table.csv", {"modified": 1 << 56}, "re-dated"),
        ("letter.txt", {"attributes": 0o120777 << 16 | 0x8020}, "other attributes"),
        ("folder", {"attributes": 0o040777 << 16 | 0x8010}, "other attributes"),
        ("empty.txt", {"modified": None}, "re-dated"),
    ):
        refused(edited(parts, lambda header, n=name, c=changes: with_file(header, n, **c)), f"'{name}'", words)
    refused(
        edited(parts, lambda header: with_file(header, "table.csv", name="board.csv")), "'board.csv' was renamed", "4"
    )


def test_the_words_for_swapped_names(parts: Parts) -> None:
    """Two names change places."""

    def swap(header: spec.Header) -> spec.Header:
        header = with_file(header, "long.bin", name="-")
        return with_file(with_file(header, "other.bin", name="long.bin"), "-", name="other.bin")

    refused(edited(parts, swap), "'long.bin' was swapped", "'other.bin' was swapped", "number 3", "number 5")


def test_the_words_for_deleted_and_added_entries(parts: Parts) -> None:
    """Deleted by number, since the name is gone; added by name."""

    def drop(header: spec.Header) -> spec.Header:
        streams = header.streams
        kept = streams._replace(
            packs=streams.packs[:-1], folders=streams.folders[:-1], substreams=streams.substreams[:-1]
        )
        files = tuple(file for file in header.files if file.name != "other.bin")
        return header._replace(streams=kept, files=files)

    fewer = replace(parts, packs=parts.packs[:-1])
    refused(edited(fewer, drop), "number 5 was deleted")

    def add(header: spec.Header) -> spec.Header:
        return header._replace(files=(*header.files, File("more.txt", has_data=False)))

    refused(edited(parts, add), "'more.txt' was added")


def test_the_words_for_a_folder_without_encryption(parts: Parts) -> None:
    """It has no IV: its digests are of what is there all the same, and its record says what was done."""

    def strip(header: spec.Header) -> spec.Header:
        streams = header.streams
        number = 1
        size = streams.packs[number].size
        folders = list(streams.folders)
        folders[number] = Folder((Coder(spec.COPY),), (), (0,), (size,))
        substreams = list(streams.substreams)
        substreams[number] = (Stream(size, zlib.crc32(parts.packs[number])),)
        return header._replace(streams=streams._replace(folders=tuple(folders), substreams=tuple(substreams)))

    archive = edited(parts, strip)
    refused(archive, "'long.bin'", "another method, size or encryption (now store")
    with pytest.warns(StrongroomWarning):
        room = opened(archive, manifest="ignore", allow_plaintext=True)
    with room:
        assert room.read("long.bin") == parts.packs[1]


def test_what_7zz_edits(whole: bytes, tmp_path: Path) -> None:
    """7zz drops the manifest when it renames or deletes; the entries' salts say that there was one."""
    for command in (("rn", "letter.txt", "x.txt"), ("d", "table.csv")):
        assert seven(tmp_path, whole, *command).returncode == 0
        archive = (tmp_path / "a.7z").read_bytes()
        refused(archive, "removed")
        with ignored(archive) as room:
            assert room.read("long.bin") == DATA["long.bin"]


def test_a_manifest_of_who_has_the_password(parts: Parts) -> None:
    """Who forges all of it, but with too few records, gets an error and nothing worse."""
    salt = parts.properties.salt
    with Secret(PASSWORD) as secret, crypto.Key(secret, salt, 19, Limits()) as own:
        key = derive(lambda _: own, salt[:10], 1 << 19)
        tail = Tail.decode(parts.manifest[-TAIL_SIZE:])._replace(entries=1)
        manifest = parts.manifest[:RECORD_SIZE] + tail.encode()
        made = replace(parts, manifest=manifest)
        archive = made.together()
        outer = archive[-len(made.outer.encode()) :]
        place = bytes(8), archive[:32], apart_outer(archive).encode(), made.packed, manifest[:-TAG_SIZE]
        assert outer == place[2]
        manifest = manifest[:-TAG_SIZE] + whole_tag(key, place)
        key.close()
    with pytest.raises(FormatError, match="records"):
        opened(replace(parts, manifest=manifest).together())


def apart_outer(archive: bytes) -> spec.EncodedHeader:
    """The outer header of an archive."""
    start = spec.SignatureHeader.decode(archive[:32])
    outer = spec.decode_header(archive[32 + start.offset :], 0, Limits())
    assert isinstance(outer, spec.EncodedHeader)
    return outer


# All in all


def test_wrong_passwords(whole: bytes) -> None:
    """Are told by the check of the key and the header's CRC-32 together."""
    for manifest in ("auto", "required", "ignore"):
        with pytest.raises(WrongKeyError):
            opened(whole, password="another", manifest=manifest)
    with pytest.raises(WrongKeyError):
        strongroom.open(io.BytesIO(whole))


@pytest.mark.parametrize("data", [{}, DATA], ids=["empty", "some"])
def test_verify_demands_it(data: dict[str, bytes], tmp_path: Path) -> None:
    """`create(verify=True)` and `manifest="required"` have it, also where there is nothing in the archive."""
    path = tmp_path / "a.7z"
    strongroom.seal(data, path, password=PASSWORD, verify=True)
    with strongroom.open(path, password=PASSWORD, manifest="required") as room:
        assert room.verify().manifest == "verified"


def test_another_tools_archive(tmp_path: Path) -> None:
    """Has none, and is read without a warning, unless one is required."""
    (tmp_path / "letter.txt").write_bytes(LETTER)
    subprocess.run(
        [tool("7zz"), "a", f"-p{PASSWORD}", "-mhe=on", "made.7z", "letter.txt"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    archive = (tmp_path / "made.7z").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opened(archive) as room:
            assert room.read("letter.txt") == LETTER
            assert room.verify().manifest == "absent"
    with pytest.raises(TamperedError, match="required"):
        opened(archive, manifest="required")
