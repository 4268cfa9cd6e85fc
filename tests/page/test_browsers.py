"""The page in real browsers, from file://, as a recipient opens it. tests/page/drive.mjs does, and this judges.

Each test starts a browser of its own, so that tests can run side by side.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import strongroom
from strongroom.formats.html import spec
from tests import agecraft, zipcraft
from tests.helpers import noise, tool
from tests.page import making
from tests.page.driving import drive, each_browser
from tests.proof import Tried

PASSWORD: Final = "correct horse battery"
MIB: Final = 1 << 20


def quiet(log: dict[str, Any]) -> bool:
    """Whether the browser's log has no request, no violation of the policy, no error and no dialog."""
    return log["requests"] == log["violations"] == log["errors"] == []


def page_around(age: bytes) -> bytes:
    """A page with an armored age file."""
    return spec.front() + age + spec.CLOSING


def sealed_zip(*items: zipcraft.Item) -> bytes:
    """A page with a ZIP of these entries, for `agecraft.X25519`."""
    return page_around(agecraft.seal(zipcraft.join(*items), armored=True))


def encoded(data: bytes) -> str:
    """Bytes as JSON takes them."""
    return base64.b64encode(data).decode()


@each_browser
def test_the_whole_way(browser: str, tmp_path: Path, tried: Tried) -> None:
    """Wrong password, right one, every preview, saving, locking, and opening again; and nothing is sent or left."""
    entries, page, out = making.entries(), tmp_path / "case für X.html", tmp_path / "out"
    out.mkdir()
    strongroom.seal(entries, page, password=PASSWORD)
    facts = drive(
        browser,
        tmp_path,
        [{
            "name": "whole", "kind": "whole", "file": str(page), "wrong": PASSWORD + "?", "password": PASSWORD,
            "out": str(out), "needles": making.NEEDLES,
        }],
    )["whole"]  # fmt: skip
    assert (facts["closed"]["screen"], facts["closed"]["focus"], facts["closed"]["names"]) == ("unlock", "password", [])
    assert (facts["wrong"]["screen"], facts["wrong"]["focus"], facts["wrongLeft"]) == ("unlock", "password", 0)
    assert "password does not open" in facts["wrong"]["alert"]
    assert (facts["opened"]["screen"], facts["opened"]["alert"], facts["password"]) == ("contents", "", "")
    shown = [name.replace("\u202e", "\\u{202e}") for name in entries]
    assert facts["opened"]["names"] == shown
    _check_previews(facts["previews"], browser)
    assert facts["focusBack"] != "viewer-name"
    for number, data in enumerate(entries.values()):
        assert (out / f"saved-{number}").read_bytes() == data
    assert facts["saved"]["scans/slice.png"] == "slice.png"
    assert facts["all"] == "case für X.zip"
    with zipfile.ZipFile(out / "all.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == entries
    assert facts["framesBefore"] > facts["framesAfter"] == 1
    assert (facts["locked"]["screen"], facts["locked"]["names"], facts["leftInPage"]) == ("locked", [], [])
    assert facts["workers"] == 0
    assert facts["log"]["made"] > len(entries)
    assert facts["log"]["left"] == 0
    assert quiet(facts["log"]), facts["log"]
    assert facts["again"]["screen"] == "contents"
    tried("P10", f"the page in {browser}: open, look at all, save all, lock", "no request, no violation of its policy")
    tried("P9", f"a wrong password in {browser}", "said so, and nothing shown")


def _check_previews(previews: dict[str, dict[str, Any]], browser: str) -> None:
    assert all(found["screen"] == "viewer" and not found["alert"] for found in previews.values())
    assert "Übelkeit, 37 °C" in previews["report.txt"]["text"]
    rows = previews["patients.csv"]
    assert rows["words"] == "Table, 200,000 rows, 5 columns"  # a million cells
    assert rows["head"] == ["", "patient", "ward", "dose", "unit", "note"]
    assert rows["first"] == ["1", "P000000", "ward 0", "0.0", "mg", "taken, 0"]
    assert rows["last"] == ["200,000", "P199999", "ward 2", "96.3", "mg", "taken, 199999"]
    assert rows["inSight"]
    assert max(rows["elements"]) < 100, "only what is in sight exists"
    assert rows["scrolling"] < 2000
    assert previews["scans/slice.png"]["image"] == [400, 300]
    assert previews["scans/slice.png"]["pixel"] == [254, 0, 120, 255]
    assert previews["letter.pdf"]["frame"] == "blob"
    assert previews["letter.pdf"].get("sandbox") == ("allow-scripts" if browser == "firefox" else None)
    assert "blob" in previews["letter.pdf"]["frames"]
    assert previews["data.bin"]["note"]
    assert previews[making.EVIL]["text"] == "<script>alert(2)</script>"
    assert previews[making.ARABIC]["text"] == "تقرير"
    assert previews["empty.txt"]["text"] == ""
    assert sum(found["markup"] for found in previews.values()) == 0


@each_browser
def test_keys(browser: str, tmp_path: Path, tried: Tried) -> None:
    """Identities open what was sealed to them, hybrid ones too, pasted or as a file; others and none do not."""
    keys = tmp_path / "key.txt"
    keys.write_text(f"# created: 2026-01-01\n\n{agecraft.HYBRID}\n")
    hybrid = agecraft.identity(agecraft.HYBRID).recipient
    pages = {}
    for name, to in {"hybrid": hybrid, "x25519": agecraft.X25519_RECIPIENT}.items():
        pages[name] = tmp_path / f"{name}.html"
        strongroom.seal({"a.txt": b"for you"}, pages[name], recipients=[to])
    ask = {
        "hybrid": [{"identity": agecraft.X25519}, {"identity": "ssh-ed25519 AAAA"}, {"identity": agecraft.HYBRID}],
        "file": [{"file": str(keys)}],
        "x25519": [{"identity": agecraft.HYBRID}, {"identity": f"# mine\n{agecraft.X25519.lower()}"}],
    }
    scenarios: list[dict[str, Any]] = [
        {"name": name, "kind": "open", "file": str(pages.get(name, pages["hybrid"])), "keys": given}
        for name, given in ask.items()
    ]
    facts = drive(browser, tmp_path, scenarios)
    for name in ask:
        *wrong, right = facts[name]["states"]
        assert (right["screen"], right["names"]) == ("contents", ["a.txt"])
        assert all(state["screen"] == "unlock" and state["alert"] and not state["names"] for state in wrong)
        assert facts[name]["first"]["focus"] == "identity"
        assert quiet(facts[name]["log"])
    assert len({state["alert"] for state in facts["hybrid"]["states"]}) == 3, "each error has a sentence of its own"
    tried("P9", f"a key that is not the recipient's, in {browser}", "said so, and nothing shown", count=3)


@each_browser
def test_other_files(browser: str, tmp_path: Path, tried: Tried) -> None:
    """The page without a payload opens what strongroom and 7-Zip write, chosen or dropped, and refuses the rest."""
    page, data = tmp_path / "open.html", {"note.txt": b"a note of the ward"}
    page.write_bytes(spec.empty_page())
    for name in ("a.zip", "b.zip.age", "c.html"):
        strongroom.seal(data, tmp_path / name, password=PASSWORD)
    strongroom.seal(b"a note of the ward", tmp_path / "note.txt.age", password=PASSWORD, armor=True)
    seven = tmp_path / "seven.zip"
    source = tmp_path / "note.txt"
    source.write_bytes(data["note.txt"] * 50)
    command = [tool("7zz"), "a", "-tzip", "-mm=Deflate64", "-mem=AES128", f"-p{PASSWORD}", seven, source]
    subprocess.run(command, check=True, capture_output=True)
    aes = zipcraft.aes("a.txt", b"x" * 40)
    refused = {
        "plain.zip": zipcraft.join(zipcraft.plain("a.txt", b"x")),
        "mixed.zip": zipcraft.join(aes, zipcraft.plain("b.txt", b"slipped in")),
        "old.zip": zipcraft.join(zipcraft.zipcrypto("a.txt", b"x")),
        "open.html": spec.empty_page(),
        "x.7z": b"7z\xbc\xaf\x27\x1c" + bytes(40),
        "cut.html": (tmp_path / "c.html").read_bytes()[:-30],
        "nothing.zip": b"",
    }
    files: dict[str, Any] = {
        name: {"path": str(tmp_path / name), "password": PASSWORD}
        for name in ("a.zip", "b.zip.age", "c.html", "note.txt.age", "seven.zip")
    }
    files["dropped.zip.age"] = {"drop": encoded((tmp_path / "b.zip.age").read_bytes()), "password": PASSWORD}
    files["wrong.zip"] = {"drop": encoded((tmp_path / "a.zip").read_bytes()), "password": "wrong"}
    for name, bad in refused.items():
        files[name] = {"drop": encoded(bad), "password": zipcraft.PASSWORD}
    facts = drive(browser, tmp_path, [{"name": "others", "kind": "others", "page": str(page), "files": files}])
    found = facts["others"]["files"]
    assert facts["others"]["first"]["screen"] == "choose"
    for name in ("a.zip", "b.zip.age", "c.html", "note.txt.age", "dropped.zip.age"):
        assert (found[name]["screen"], found[name]["read"]) == ("contents", {"note.txt": "a note of the ward"}), name
    assert found["seven.zip"]["read"] == {"note.txt": "a note of the ward" * 50}
    for name in (*refused, "wrong.zip"):
        assert found[name]["screen"] in {"choose", "unlock"}, name
        assert found[name]["alert"], name
        assert not found[name]["names"], name
    assert quiet(facts["others"]["log"]), facts["others"]["log"]
    tried("P8", f"ZIPs that mix in plaintext, old encryption or none, in {browser}", "refused with a sentence", count=3)


@each_browser
def test_hostile_archives(browser: str, tmp_path: Path, tried: Tried) -> None:
    """What the key opens may still be made to do harm: names, sizes, two readings. Nothing of it is given out."""
    plain = zipcraft.plain
    names = ["../up", "/root", "a/../../b", "C:x", "a\\b", "a\nb", "a//b", ". /x"]
    inside = {f"name {name!r}": sealed_zip(plain(name, b"x")) for name in names}
    inside |= {
        "twice": sealed_zip(plain("a", b"1"), plain("a", b"2")),
        "file and folder": sealed_zip(plain("a", b"1"), plain("a/b", b"2")),
        "another name inside": sealed_zip(plain("a", b"1").but(local={"name": b"b"})),
        "before": page_around(agecraft.seal(b"MZ" + zipcraft.join(plain("a", b"1")), armored=True)),
        "no archive": page_around(agecraft.seal(b"no archive", armored=True)),
        "bad crc": sealed_zip(plain("a", b"1").but(crc=7)),
        "longer": sealed_zip(plain("a", b"1" * 999, "deflate").but(size=10)),
        "huge": sealed_zip(plain("a", b"1" * 99, "deflate").but(size=0xFFFF_FFF0)),
        "method": sealed_zip(plain("a", b"1" * 99, "bzip2")),
    }
    cases = [
        {"name": "x.html", "data": encoded(page), "identity": agecraft.X25519, "read": 0} for page in inside.values()
    ]
    good = {"name": "x.html", "data": encoded(sealed_zip(plain("a", b"1"))), "identity": agecraft.X25519, "read": 0}
    scenario = {"name": "worker", "kind": "worker", "page": str(_empty(tmp_path)), "cases": [good, *cases]}
    first, *answers = drive(browser, tmp_path, [scenario])["worker"]["answers"]
    assert (first["problem"], first["text"]) == (None, "1")
    said = dict(zip(inside, (answer["problem"] for answer in answers), strict=True))
    assert all(said.values()), said
    assert {said[f"name {name!r}"] for name in names} <= {"unsafe-name", "damaged"}
    assert said["method"] == "unsupported"
    assert said["huge"] in {"too-large", "damaged"}
    tried("P8", f"hostile ZIPs inside a page, in {browser}", "refused with a sentence", count=len(inside))


@each_browser
def test_every_flip(browser: str, tmp_path: Path, times: Callable[[int, int], int], tried: Tried) -> None:
    """No changed character of the payload opens, and each gets an answer that has a sentence."""
    armor = agecraft.seal(zipcraft.join(zipcraft.plain("a.txt", b"content")), armored=True).decode()
    step = times(7, 1)
    masks = [1, 2, 4, 8, 16, 32, 64, 128] if step == 1 else [1, 32, 128]
    scenario = {
        "name": "flips", "kind": "flips", "page": str(_empty(tmp_path)), "front": spec.front().decode("latin-1"),
        "armor": armor, "end": spec.CLOSING.decode(), "identity": agecraft.X25519, "masks": masks, "step": step,
    }  # fmt: skip
    facts = drive(browser, tmp_path, [scenario], 900)["flips"]
    assert facts["whole"] == "opened"
    assert facts["opened"] == []
    assert set(facts["counts"]) <= {"damaged", "truncated", "wrong-identity", "needs-password", "unknown-file"}
    assert sum(facts["counts"].values()) == facts["tried"] >= len(armor) * len(masks) // step - len(masks)
    tried("P5", f"a changed byte of a page's payload, in {browser}", "a sentence, no content", count=facts["tried"])


@each_browser
def test_damaged_pages(browser: str, tmp_path: Path) -> None:
    """Opened by a double click, a page with damage anywhere in its payload says so, and shows nothing."""
    whole = sealed_zip(zipcraft.plain("a.txt", b"content"))
    start, end = len(spec.front()), len(whole) - len(spec.CLOSING)
    damaged = {"cut": whole[: end - 60], "half": whole[: (start + end) // 2], "end": whole[: end - 3]}
    for place in range(start + 5, end, (end - start) // 3):
        damaged[f"flip {place - start}"] = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    scenarios = []
    for number, (name, data) in enumerate(damaged.items()):
        path = tmp_path / f"{number}.html"
        path.write_bytes(data)
        keys = [{"identity": agecraft.X25519}]
        scenarios.append({"name": name, "kind": "open", "file": str(path), "keys": keys})
    facts = drive(browser, tmp_path, scenarios)
    for name in damaged:
        last = [facts[name]["first"], *facts[name]["states"]][-1]
        assert last["screen"] in {"broken", "unlock"}, (name, last)
        assert last["alert"], name
        assert not last["names"], name
        assert facts[name]["log"]["violations"] == facts[name]["log"]["requests"] == []


@each_browser
def test_the_log_would_tell(browser: str, tmp_path: Path, tried: Tried) -> None:
    """A request that a page makes is in the log that the other tests read; in our page the policy stops it."""
    bare = tmp_path / "bare.html"
    bare.write_text("<!DOCTYPE html><title>bare</title><body>")
    scenario = {"name": "control", "kind": "control", "page": str(_empty(tmp_path)), "bare": str(bare)}
    facts = drive(browser, tmp_path, [scenario])["control"]
    assert facts["bare"]["requests"]
    assert not facts["bare"]["violations"]
    assert {violation.split(" ")[0] for violation in facts["page"]["violations"]} == {"img-src", "connect-src"}
    assert facts["asked"]
    assert set(facts["asked"]) == {"/bare"}
    tried("P10", f"a picture and a fetch from a server, put into the page in {browser}", "its policy stops both")


@each_browser
def test_a_large_payload(
    browser: str, tmp_path: Path, times: Callable[[int, int], int], tried: Tried, record_property: Callable[..., None]
) -> None:
    """200 MiB open and are saved, byte for byte."""
    size = times(8, 200) * MIB
    page, target, data = tmp_path / "large.html", tmp_path / "saved", noise(size)
    strongroom.seal({"scan.raw": data}, page, recipients=[agecraft.X25519_RECIPIENT], compression="store")
    scenario = {
        "name": "large", "kind": "large", "file": str(page), "identity": agecraft.X25519, "target": str(target),
        "entry": "scan.raw",
    }  # fmt: skip
    facts = drive(browser, tmp_path, [scenario], 560)["large"]
    assert facts["opened"]["names"] == ["scan.raw"]
    assert target.read_bytes() == data
    assert quiet(facts["log"])
    loading, opening, saving = (ms / 1000 for ms in facts["ms"])
    figures = f"loaded in {loading:.1f} s, opened in {opening:.1f} s, saved in {saving:.1f} s"
    record_property("figures", f"{browser}, {size // MIB} MiB: {figures}")
    print(f"{browser}, {size // MIB} MiB: {figures}")
    tried("P5", f"a page with {size // MIB} MiB in {browser}", "opened whole, and saved byte for byte")


@each_browser
def test_a_real_password(browser: str, tmp_path: Path) -> None:
    """The work factor that strongroom uses, 18, is one that a browser does in seconds."""
    page = tmp_path / "real.html"
    code = f"import strongroom; strongroom.seal({{'a': b'1'}}, {str(page)!r}, password={PASSWORD!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    scenario = {"name": "open", "kind": "open", "file": str(page), "keys": [{"password": PASSWORD}]}
    facts = drive(browser, tmp_path, [scenario])["open"]
    assert facts["states"][0]["names"] == ["a"]


def _empty(folder: Path) -> Path:
    path = folder / "empty.html"
    path.write_bytes(spec.empty_page())
    return path
