"""What is done to entries, in archives of one, two and fifty: `open` says it by name, or by number where that is gone.

ZIP's headers are open to anyone. Those of 7z are encrypted, so that what is done here, but for the last, takes the
password; which does not help, as long as whoever has it does not make a manifest anew.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

import strongroom
from strongroom.errors import StrongroomWarning, TamperedError
from strongroom.formats.sevenzip import spec
from strongroom.formats.sevenzip.files import File
from strongroom.formats.sevenzip.streams import Coder, Folder, Stream
from strongroom.formats.zip import extras
from tests import sevenzipedit, zipcraft
from tests.cli import running
from tests.helpers import noise
from tests.proof import Tried
from tests.sevenzipcraft import join
from tests.sevenzipedit import Parts
from tests.zipedit import Part, apart

PASSWORD: Final = running.PASSWORD.decode()
WHEN: Final = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
each_count: Final = pytest.mark.parametrize("count", [1, 2, 50])


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys cost little, and each entry of a 7z has a folder of its own."""
    monkeypatch.setattr("strongroom.manifest.keys.ROUNDS", 2)
    monkeypatch.setattr("strongroom.formats.sevenzip.crypto.CYCLES_POWER", 8)
    monkeypatch.setattr("strongroom.formats.sevenzip.writer._SOLID", 0)


def name_of(number: int) -> str:
    """The name of an entry."""
    return f"entry-{number}.txt"


def data_of(number: int) -> bytes:
    """Its data, all of one length: so nothing but what is changed differs."""
    return noise(100, number)


def sealed(form: str, count: int, data: Callable[[int], bytes] = data_of) -> bytes:
    """An archive of ours."""
    out = io.BytesIO()
    with strongroom.create(out, format=form, password=PASSWORD, compression="store") as room:
        for number in range(count):
            room.write(name_of(number), data(number), modified=WHEN)
    return out.getvalue()


def refused(archive: bytes, *facts: str) -> None:
    """Hold that `open` says the facts, that `required` does not help, and that `verify` reports what was ignored."""
    for manifest in ("auto", "required"):
        with pytest.raises(TamperedError) as caught:
            strongroom.open(io.BytesIO(archive), password=PASSWORD, manifest=manifest)  # type: ignore[arg-type]
        assert all(fact in str(caught.value) for fact in facts), (facts, caught.value)
    with pytest.warns(StrongroomWarning):
        room = strongroom.open(io.BytesIO(archive), password=PASSWORD, manifest="ignore")
    with room:
        assert room.verify().manifest in ("changed", "removed")


def places(count: int, most: int) -> list[int]:
    """Which entries are attacked: the first, the last, and some between them."""
    return sorted({0, count - 1, *range(0, count, -(-count // most))})


# ZIP


def item(number: int, make: Callable[..., zipcraft.Item], **options: Any) -> Part:  # noqa: ANN401 - of all kinds
    """An entry of another tool, of the same name, and under the same password."""
    options |= {} if make is zipcraft.plain else {"password": PASSWORD}
    return apart(zipcraft.join(make(name_of(number), b"other", **options))).parts[0]


def older(part: Part) -> Part:
    """AE-1 with a CRC-32."""
    extra = part.local.extra.replace(extras.AesExtra(2, 3, 0).encode(), extras.AesExtra(1, 3, 0).encode())
    return part.but(extra=extra, crc=zlib.crc32(b"a guess"))


def redated(part: Part) -> Part:
    """Ten years older, wherever a time stands."""
    seconds = int(WHEN.timestamp())
    extra = part.local.extra.replace(struct.pack("<i", seconds), struct.pack("<i", seconds - 10 * 365 * 86400))
    return part.but(extra=extra, dos_time=0x2A21_6000)


ZIP_CHANGES: Final[dict[str, Callable[[Part, int], Part]]] = {
    "renamed": lambda part, _: part.but(name=b"entry.exe"),
    "re-dated": lambda part, _: redated(part),
    "made a link": lambda part, _: part.central_but(external=0o120777 << 16),
    "replaced by an entry under the same password": lambda part, number: item(number, zipcraft.aes).with_manifest(
        part.manifest
    ),
    "downgraded to AE-1": lambda part, _: older(part),
    "downgraded to AES-128": lambda part, number: item(number, zipcraft.aes, bits=128).with_manifest(part.manifest),
    "downgraded to ZipCrypto": lambda part, number: item(number, zipcraft.zipcrypto).with_manifest(part.manifest),
    "downgraded to no encryption": lambda part, number: item(number, zipcraft.plain).with_manifest(part.manifest),
}


@each_count
@pytest.mark.parametrize("kind", ZIP_CHANGES)
def test_changed_in_a_zip(kind: str, count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """Each is named, whichever it is."""
    whole = apart(sealed("zip", count))
    found = places(count, times(2, 50))
    for number in found:
        changed = ZIP_CHANGES[kind](whole.parts[number], number)
        attacked = replace(whole, parts=[*whole.parts[:number], changed, *whole.parts[number + 1 :]])
        another = count == 1 and "replaced" in kind  # of what the manifest is about, nothing is there
        refused(attacked.together(), *(() if another else (repr(changed.name),)))
    tried("P7", f"ZIP: an entry {kind}", "refused, by name", count=len(found))


@each_count
def test_replaced_in_a_zip(count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """An entry of the same name, size and time out of another archive of ours, when it is read, or first in `open`.

    The directory is as it was, byte for byte: salts and codes stand at the entries (ADR 6).
    """
    whole, other = (apart(sealed("zip", count, lambda at, of=of: noise(100, at + of))) for of in (0, 1000))
    found = places(count, times(2, 50))
    for number in found:
        name = name_of(number)
        new = other.parts[number].with_manifest(whole.parts[number].manifest)
        attacked = replace(whole, parts=[*whole.parts[:number], new, *whole.parts[number + 1 :]]).together()
        if number == 0:
            refused(attacked, repr(name))
            continue
        with strongroom.open(io.BytesIO(attacked), password=PASSWORD) as room:
            with pytest.raises(TamperedError, match=name):
                room.read(name)
            report = room.verify()
            assert [finding.entry for finding in report.findings] == [name]
            assert report.manifest == "changed"
    tried("P7", "ZIP: an entry replaced by one of another archive", "refused, by name", count=len(found))


@each_count
def test_deleted_from_a_zip(count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """By number, since the name is gone; the last ones as such. An archive that was emptied has nothing to tell it."""
    whole = apart(sealed("zip", count))
    found = places(count, times(2, 50))
    for number in found:
        attacked = replace(whole, parts=whole.parts[:number] + whole.parts[number + 1 :]).together()
        if count == 1:
            with strongroom.open(io.BytesIO(attacked), password=PASSWORD) as room:
                assert room.verify().manifest == "absent"
            with pytest.raises(TamperedError):
                strongroom.open(io.BytesIO(attacked), password=PASSWORD, manifest="required")
        else:
            refused(attacked, "last entries" if number == count - 1 else f"number {number + 1} ")
    outcome = "refused where it is required" if count == 1 else "refused, by number"
    tried("P7", f"ZIP: {'the only' if count == 1 else 'an'} entry deleted", outcome, count=len(found))


@each_count
@pytest.mark.parametrize("make", [zipcraft.plain, zipcraft.zipcrypto, zipcraft.aes])
def test_added_to_a_zip(
    make: Callable[..., zipcraft.Item], count: int, tried: Tried, times: Callable[[int, int], int]
) -> None:
    """By name, wherever it was put, with a record of its own, another's, or none."""
    whole = apart(sealed("zip", count))
    options = {} if make is zipcraft.plain else {"password": PASSWORD}
    new = apart(zipcraft.join(make("new.txt", b"new", **options))).parts[0]
    found = [*places(count, times(2, 50)), count]
    for number in found:
        for record in (b"", whole.parts[0].manifest):
            attacked = replace(whole, parts=[*whole.parts[:number], new.with_manifest(record), *whole.parts[number:]])
            refused(attacked.together(), "'new.txt'")
    tried("P7", f"ZIP: an entry added ({make.__name__})", "refused, by name", count=2 * len(found))


@pytest.mark.parametrize("count", [2, 50])
def test_moved_in_a_zip(count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """Put in another order, or with their names swapped."""
    whole = apart(sealed("zip", count))
    found = places(count - 1, times(2, 50))
    for number in found:
        first, second = whole.parts[number : number + 2]
        around = whole.parts[:number], whole.parts[number + 2 :]
        refused(replace(whole, parts=[*around[0], second, first, *around[1]]).together(), "order")
        renamed = first.but(name=second.central.name), second.but(name=first.central.name)
        refused(
            replace(whole, parts=[*around[0], *renamed, *around[1]]).together(), repr(first.name), repr(second.name)
        )
    tried("P7", "ZIP: two entries put in another order", "refused", count=len(found))
    tried("P7", "ZIP: the names of two entries swapped", "refused, by name", count=len(found))


# 7z


def with_file(header: spec.Header, number: int, **changes: Any) -> spec.Header:  # noqa: ANN401 - fields of all kinds
    """The header with one file's record changed."""
    files = list(header.files)
    files[number] = files[number]._replace(**changes)
    return header._replace(files=tuple(files))


def with_streams(header: spec.Header, number: int, folder: Folder | None, stream: Stream | None) -> spec.Header:
    """The header with another folder at a place, or without one."""
    streams = header.streams
    new = slice(number, number + 1)
    folders, substreams, packs = list(streams.folders), list(streams.substreams), list(streams.packs)
    folders[new] = [] if folder is None else [folder]
    substreams[new] = [] if stream is None else [(stream,)]
    if folder is None:
        del packs[number]
    return header._replace(
        streams=streams._replace(packs=tuple(packs), folders=tuple(folders), substreams=tuple(substreams))
    )


def stripped(header: spec.Header, number: int, pack: bytes) -> spec.Header:
    """A folder that is not encrypted: its data is what the pack stream is."""
    folder = Folder((Coder(spec.COPY),), (), (0,), (len(pack),))
    return with_streams(header, number, folder, Stream(len(pack), zlib.crc32(pack)))


SEVENZIP_CHANGES: Final[dict[str, Callable[[spec.Header, int, bytes], spec.Header]]] = {
    "renamed": lambda header, number, _: with_file(header, number, name="entry.exe"),
    "re-dated": lambda header, number, _: with_file(header, number, modified=1 << 56),
    "made a link": lambda header, number, _: with_file(header, number, attributes=0o120777 << 16 | 0x8020),
    "downgraded to no encryption": stripped,
}


def seven(count: int) -> Parts:
    """An archive of ours, in parts."""
    return sevenzipedit.split(sevenzipedit.apart(sealed("7z", count)), PASSWORD)


def edited(parts: Parts, change: Callable[[spec.Header], spec.Header]) -> bytes:
    """The archive with another header, and its old manifest."""
    return parts.with_header(change(parts.header(PASSWORD)), PASSWORD).together()


@each_count
@pytest.mark.parametrize("kind", SEVENZIP_CHANGES)
def test_changed_in_a_7z(kind: str, count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """Each is named, whichever it is."""
    parts = seven(count)
    found = places(count, times(2, 50))
    for number in found:
        attacked = edited(parts, lambda header, at=number: SEVENZIP_CHANGES[kind](header, at, parts.packs[at]))
        refused(attacked, "'entry.exe'" if kind == "renamed" else repr(name_of(number)))
    tried("P7", f"7z: an entry {kind}, with the password", "refused, by name", count=len(found))


@each_count
def test_replaced_in_a_7z(count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """A pack stream of another archive under the same password, which takes no password to put in."""
    parts, other = seven(count), seven(count)
    found = places(count, times(2, 50))
    for number in found:
        packs = (*parts.packs[:number], other.packs[number], *parts.packs[number + 1 :])
        with strongroom.open(io.BytesIO(replace(parts, packs=packs).together()), password=PASSWORD) as room:
            report = room.verify()
            assert [finding.entry for finding in report.findings] == [name_of(number)]
            assert report.manifest == "changed"
            with pytest.raises(TamperedError):
                room.read(name_of(number))
    tried("P7", "7z: a pack stream replaced", "refused, by name", count=len(found))


@each_count
def test_deleted_and_added_in_a_7z(count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """By number and by name."""
    parts = seven(count)
    found = places(count, times(2, 50))
    for number in found:

        def drop(header: spec.Header, at: int = number) -> spec.Header:
            left = header._replace(files=header.files[:at] + header.files[at + 1 :])
            return with_streams(left, at, None, None)

        def add(header: spec.Header, at: int = number) -> spec.Header:
            new = File("new.txt", has_data=False)
            return header._replace(files=(*header.files[:at], new, *header.files[at:]))

        fewer = replace(parts, packs=parts.packs[:number] + parts.packs[number + 1 :])
        refused(edited(fewer, drop), f"number {number + 1} ")
        refused(edited(parts, add), "'new.txt'")
    tried("P7", "7z: an entry deleted, with the password", "refused, by number", count=len(found))
    tried("P7", "7z: an entry added, with the password", "refused, by name", count=len(found))


@pytest.mark.parametrize("count", [2, 50])
def test_moved_in_a_7z(count: int, tried: Tried, times: Callable[[int, int], int]) -> None:
    """Put in another order, with their names swapped, or, without the password, with their pack streams swapped."""
    parts = seven(count)
    found = places(count - 1, times(2, 50))
    for number in found:
        names = name_of(number), name_of(number + 1)

        def swap(header: spec.Header, at: int = number) -> spec.Header:
            files = list(header.files)
            files[at], files[at + 1] = (
                files[at]._replace(name=name_of(at + 1)),
                files[at + 1]._replace(name=name_of(at)),
            )
            return header._replace(files=tuple(files))

        def turn(header: spec.Header, at: int = number) -> spec.Header:
            whole = header
            first, second = whole.files[at : at + 2]
            whole = whole._replace(files=(*whole.files[:at], second, first, *whole.files[at + 2 :]))
            streams = header.streams
            for mine, other in ((at, at + 1), (at + 1, at)):
                whole = with_streams(whole, mine, streams.folders[other], streams.substreams[other][0])
            return whole

        packs = list(parts.packs)
        packs[number], packs[number + 1] = packs[number + 1], packs[number]
        refused(edited(parts, swap), *map(repr, names))
        refused(edited(replace(parts, packs=tuple(packs)), turn), "order")
        with strongroom.open(io.BytesIO(replace(parts, packs=tuple(packs)).together()), password=PASSWORD) as room:
            assert [finding.entry for finding in room.verify().findings] == list(names)
    tried("P7", "7z: two entries put in another order, with the password", "refused", count=len(found))
    tried("P7", "7z: the names of two entries swapped, with the password", "refused, by name", count=len(found))
    tried("P7", "7z: two pack streams swapped", "refused, by name", count=len(found))


@each_count
def test_a_plain_header_in_place_of_the_encrypted_one(count: int, tried: Tried) -> None:
    """With the names in the clear, over the folders as they were: these need our salt, which has the stamp."""
    parts = seven(count)
    header = parts.header(PASSWORD).encode()
    refused(join(b"".join(parts.packs), header), "removed")
    kept = b"".join(parts.packs) + parts.packed
    with pytest.raises(strongroom.StrongroomError):
        strongroom.open(io.BytesIO(join(kept, header, gap=parts.manifest)), password=PASSWORD)
    tried("P7", "7z: the encrypted header replaced by a plain one", "refused", count=2)


# The command line


@pytest.mark.parametrize("form", ["zip", "7z"])
def test_the_command_line_says_it(form: str, tried: Tried, tmp_path: Any) -> None:  # noqa: ANN401 - a folder
    """`verify`, `cat`, `extract` and `ls` name what was renamed, and end with the code for forgery."""
    desk = running.Desk(tmp_path)
    if form == "zip":
        whole = apart(sealed("zip", 3))
        renamed = replace(whole, parts=[whole.parts[0].but(name=b"entry.exe"), *whole.parts[1:]]).together()
    else:
        renamed = edited(seven(3), lambda header: with_file(header, 0, name="entry.exe"))
    desk.put(f"a.{form}", renamed)
    for arguments in (("verify",), ("ls",), ("cat", "entry.exe"), ("extract", "out")):
        verb, *rest = arguments
        done = desk.run(verb, f"a.{form}", *rest, "--password-file", "pw")
        assert done.code == 4, done
        assert "'entry.exe'" in done.err
        assert not done.out
    assert desk.names() == [f"a.{form}"]
    tried("P7", f"{form}: `verify`, `ls`, `cat` and `extract` of a renamed entry", "exit code 4, by name", count=4)
