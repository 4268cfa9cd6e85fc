"""The page around an archive: what is written, what is read, and what is refused. The page itself: tests/page."""

from __future__ import annotations

import io
import re
import subprocess
import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import pytest

import strongroom
from strongroom.errors import (
    FormatError,
    LimitError,
    StrongroomError,
    StrongroomWarning,
    TruncatedError,
    WrongKeyError,
)
from strongroom.formats.html import spec, writer
from strongroom.formats.html.reader import locate
from tests import agecraft, zipcraft
from tests.helpers import noise, nothing_left, tool
from tests.proof import Tried

PASSWORD = "a made-up password"
ARMOR = agecraft.seal(zipcraft.join(zipcraft.plain("a.txt", b"content")), armored=True)
WHOLE = spec.front() + ARMOR + spec.CLOSING


def entries(page: bytes) -> dict[str, bytes]:
    """All that is in a page that is sealed to `agecraft.X25519`."""
    with strongroom.open(io.BytesIO(page), identities=[agecraft.X25519]) as room:
        assert room.verify().ok
        return {entry.name: room.read(entry.name) for entry in room}


def test_age_opens_what_is_cut_out(tmp_path: Path) -> None:
    """The lines of armor in a page are an age file with a ZIP in it, for any tool."""
    page, key = tmp_path / "case.html", tmp_path / "key.txt"
    strongroom.seal({"a.txt": b"content"}, page, recipients=[agecraft.X25519_RECIPIENT])
    key.write_text(agecraft.X25519 + "\n")
    cut = subprocess.run(
        ["sed", "-n", "/^-----BEGIN AGE/,/^-----END AGE/p", page], capture_output=True, check=True
    ).stdout
    done = subprocess.run([tool("age"), "-d", "-i", key], input=cut, capture_output=True, check=True)
    target = tmp_path / "inner.zip"
    target.write_bytes(done.stdout)
    listed = subprocess.run([tool("bsdtar"), "-xOf", target, "a.txt"], capture_output=True, check=True)
    assert listed.stdout == b"content"


def test_found_by_content(tmp_path: Path) -> None:
    """A page is read whatever it is called, and its name says how it is written."""
    strongroom.seal({"a": b"1"}, tmp_path / "a.html", password=PASSWORD)
    renamed = (tmp_path / "a.html").rename(tmp_path / "b.bin")
    with strongroom.open(renamed, password=PASSWORD) as room:
        assert (room.read("a"), room.entry("a").encryption) == (b"1", "age")
    with pytest.raises(WrongKeyError):
        strongroom.open(renamed, password="other")


@pytest.mark.parametrize("compression", ["deflate", "store"])
@pytest.mark.parametrize("threads", [1, 3])
def test_what_goes_in_comes_out(tmp_path: Path, compression: str, threads: int) -> None:
    """Through a file that is read again, through a pipe, and into memory."""
    data = {"empty": b"", "small": b"x" * 77, "deep/er.csv": b"a,b\n1,2\n" * 99, "large": noise((1 << 20) + 5)}
    path, stream = tmp_path / "a.html", io.BytesIO()
    options = {"password": PASSWORD, "compression": compression, "threads": threads}
    strongroom.seal(data, path, verify=True, **options)  # type: ignore[arg-type]
    pipe = io.BufferedWriter(stream)
    strongroom.seal(data, pipe, format="html", **options)  # type: ignore[call-overload]
    pipe.flush()
    for source in (path, io.BytesIO(stream.getvalue())):
        with strongroom.open(source, password=PASSWORD, threads=threads) as room:
            assert {entry.name: room.read(entry.name) for entry in room} == data
            with room.open("large", "rb") as file:
                file.seek(1 << 20)
                assert file.read() == data["large"][1 << 20 :]
            assert room.verify().ok
            room.extract(tmp_path / f"out {type(source).__name__}")
    assert (tmp_path / "out BytesIO" / "deep" / "er.csv").read_bytes() == data["deep/er.csv"]
    with strongroom.unseal(path, password=PASSWORD) as ram:
        assert ram.cat_file("/small") == data["small"]


@pytest.mark.parametrize("other", ["b.zip", "b.7z", "b.zip.age"])
def test_convert(tmp_path: Path, other: str) -> None:
    """A page is made out of any archive, and the other way round."""
    data = {"a.txt": b"a" * 999, "b/c": b""}
    strongroom.seal(data, tmp_path / other, password=PASSWORD)
    strongroom.convert(tmp_path / other, tmp_path / "a.html", password=PASSWORD)
    strongroom.convert(tmp_path / "a.html", tmp_path / f"new-{other}", password=PASSWORD)
    for name in ("a.html", f"new-{other}"):
        with strongroom.open(tmp_path / name, password=PASSWORD) as room:
            assert {entry.name: room.read(entry.name) for entry in room} == data


def test_without_a_key() -> None:
    """Nothing is listed, and what is missing is told."""
    with pytest.raises(WrongKeyError) as caught:
        strongroom.open(io.BytesIO(WHOLE))
    assert caught.value.identity


def test_rekey_keeps_the_page(tmp_path: Path) -> None:
    """Other keys make another page with the same content, and only they open it."""
    path = tmp_path / "a.html"
    strongroom.seal({"a": b"1"}, path, password=PASSWORD)
    strongroom.rekey(path, password=PASSWORD, recipients=[agecraft.X25519_RECIPIENT], verify=True)
    assert entries(path.read_bytes()) == {"a": b"1"}
    with pytest.raises(WrongKeyError):
        strongroom.open(path, password=PASSWORD)


@pytest.mark.parametrize(("source", "target"), [("a.html", "b.zip.age"), ("a.zip.age", "b.html"), ("a.html", "b.age")])
def test_rekey_keeps_the_format(tmp_path: Path, source: str, target: str) -> None:
    """A page does not get the name of an age file, nor the other way round: it would not be what it is called."""
    strongroom.seal({"a": b"1"}, tmp_path / source, password=PASSWORD)
    with pytest.raises(ValueError):
        strongroom.rekey(tmp_path / source, tmp_path / target, password=PASSWORD, new_password="other")
    assert not (tmp_path / target).exists()


def test_every_flip_of_the_payload(tried: Tried) -> None:
    """No changed byte of the payload or of what follows opens, nor escapes as a foreign error."""
    assert entries(WHOLE) == {"a.txt": b"content"}
    start = len(spec.front())
    for place in range(start, len(WHOLE)):
        with pytest.raises(StrongroomError):
            entries(WHOLE[:place] + bytes([WHOLE[place] ^ 1]) + WHOLE[place + 1 :])
    tried("P5", "a changed byte of a page's payload", "a StrongroomError", count=len(WHOLE) - start)


def test_every_cut() -> None:
    """Nor does a page that lost its end."""
    for end in (*range(0, len(spec.front()), 9973), *range(len(spec.front()) - 40, len(WHOLE))):
        with pytest.raises(StrongroomError):
            entries(WHOLE[:end])


@pytest.mark.parametrize("place", [100, 5000, len(spec.front()) - 200])
def test_an_altered_page_is_told_of(place: int, tried: Tried) -> None:
    """A script that was changed is not run, and its archive is read: with a warning, since others will run it."""
    other = WHOLE[:place] + b"x" + WHOLE[place + 1 :]
    with pytest.warns(StrongroomWarning):
        assert entries(other) == {"a.txt": b"content"}
    tried("P7", "a changed byte of the page around an archive", "a warning; the archive is read as it is")


def test_inspect_tells_of_the_page(tmp_path: Path) -> None:
    """Without a key: what is in the page, which program opens it, and whether the page is ours."""
    found = strongroom.inspect(io.BytesIO(WHOLE))
    assert (found.format, found.ok, found.size, found.recipients) == ("html", True, len(WHOLE), ("X25519",))
    assert {tool.name: tool.opens for tool in found.tools} == {"any browser": True, "age": True}
    altered = strongroom.inspect(io.BytesIO(WHOLE[:5000] + b"x" + WHOLE[5001:]))
    assert {one.code for one in altered.weaknesses} - {one.code for one in found.weaknesses} == {"foreign-page"}
    assert not strongroom.inspect(io.BytesIO(WHOLE[:-9])).ok
    tag = agecraft.seal(zipcraft.join(), [agecraft.TAG_RECIPIENT], armored=True)
    tools = strongroom.inspect(io.BytesIO(spec.front() + tag + spec.CLOSING)).tools
    assert not tools[0].opens


def test_an_older_page_opens() -> None:
    """The page of another version is another one, and what is in it is read."""
    older = spec.MAGIC + b"<script>\n// another version\n" + spec.OPENING + ARMOR + spec.CLOSING
    with pytest.warns(StrongroomWarning):
        assert entries(older) == {"a.txt": b"content"}


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (spec.empty_page(), FormatError),
        (spec.MAGIC, TruncatedError),
        (spec.front(), FormatError),
        (spec.MAGIC + bytes(2 * spec.LONGEST_FRONT) + spec.OPENING + ARMOR + spec.CLOSING, FormatError),
        (spec.front() + b"\n" + ARMOR + spec.CLOSING, FormatError),
        (spec.front() + ARMOR + spec.CLOSING + b"\n", TruncatedError),
        (spec.front() + ARMOR.replace(b"\n", b"\r\n") + spec.CLOSING, FormatError),
        (spec.front() + ARMOR + ARMOR + spec.CLOSING, FormatError),
        (spec.front() + ARMOR + spec.CLOSING + WHOLE, FormatError),
    ],
)
def test_one_layout(page: bytes, error: type[FormatError]) -> None:
    """What another reader could read in another way is no page of ours."""
    with pytest.raises(error):
        entries(page)


def test_too_large_for_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound the page is not written, nothing is left, and the error says what to do."""
    monkeypatch.setattr(writer, "LARGEST", 3 << 20)
    path = tmp_path / "a.html"
    with nothing_left(tmp_path), pytest.raises(LimitError) as caught:
        strongroom.seal({"a": noise(4 << 20)}, path, password=PASSWORD, compression="store")
    assert any(".zip.age" in note and "strongroom page" in note for note in caught.value.__notes__)
    strongroom.seal({"a": noise(2 << 20)}, path, password=PASSWORD, compression="store")


def test_the_bound_is_256_mib() -> None:
    """The bound counts the age file, not its text."""

    class Armored:
        def update(self, data: object, /) -> Iterable[bytes]:
            yield bytes(65 << 20)  # 48 MiB

        def finish(self) -> Iterable[bytes]:
            yield b""

        def close(self) -> None: ...

    page = writer.Page(Armored())  # type: ignore[arg-type]
    for _ in range(5):
        list(page.update(b""))
    with pytest.raises(LimitError):
        list(page.update(b""))


def test_constant_memory(tmp_path: Path) -> None:
    """Neither writing nor reading a page holds more than some chunks of it."""
    path, size = tmp_path / "a.html", 48 << 20

    def parts() -> Iterable[bytes]:
        block = noise(1 << 20)
        for _ in range(size >> 20):
            yield block

    tracemalloc.start()
    try:
        strongroom.seal({"a": parts()}, path, recipients=[agecraft.X25519_RECIPIENT], compression="store", threads=1)
        with strongroom.open(path, identities=[agecraft.X25519], threads=1) as room:
            assert sum(len(chunk) for chunk in room.chunks("a")) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size // 2


def failing(path: Path) -> None:
    """Seal what breaks off in the middle."""
    with strongroom.create(path, password=PASSWORD) as room:
        room.write("a", (noise(1 << 20) if number < 5 else b"" + 1 for number in range(9)))  # type: ignore[operator]


def test_a_failed_seal_leaves_nothing(tmp_path: Path) -> None:
    """P4 holds for pages as well."""
    with nothing_left(tmp_path), pytest.raises(TypeError):
        failing(tmp_path / "a.html")


def test_the_place_is_found_once() -> None:
    """The page names the place of the archive once, so that a browser and we take the same."""
    assert spec.empty_page().count(spec.OPENING) == 1
    assert spec.empty_page().startswith(spec.MAGIC)
    assert spec.empty_page() == spec.front() + spec.CLOSING
    assert locate(agecraft.source(WHOLE))[0].size == len(ARMOR)


def test_the_policy_allows_only_what_is_there() -> None:
    """The page's own style and script by their hashes, and nothing from anywhere."""
    page = spec.empty_page().decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for name in ("script", "style"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert rules.pop(f"{name}-src") == f"'sha256-{digest}'"
        assert b64decode(digest)
    assert rules == {
        "default-src": "'none'",
        "worker-src": "blob:",
        "frame-src": "blob:",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_is_small_and_by_itself() -> None:
    """Under 400 KiB; nothing in it is loaded from elsewhere, no handler stands in the markup, and licences go along."""
    page = spec.empty_page().decode()
    markup = re.sub(r"<(script|style)>.*?</\1>", "", page, flags=re.DOTALL)
    assert len(page.encode()) < 400 * 1024
    assert not re.search(r"\s(?:src|href|style|on\w+)=", markup)
    for name in ("age-encryption 0", "@zip.js/zip.js 2", "@noble/hashes 2", "@scure/base 2"):
        assert f"\n{name}" in page
    assert page.count("Redistribution and use in source and binary forms") == 2
