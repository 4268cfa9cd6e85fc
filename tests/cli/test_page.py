"""`strongroom page`, and pages as archives."""

from __future__ import annotations

from strongroom.cli import advice
from strongroom.errors import LimitError
from strongroom.formats.html import spec
from tests.cli.running import Desk


def test_the_page_goes_to_a_file_or_a_pipe(desk: Desk) -> None:
    """It is the one that seal puts around an archive."""
    done = desk.run("page")
    assert (done.code, done.out, done.err) == (0, spec.empty_page(), "")


def test_a_terminal_does_not_get_it(desk: Desk) -> None:
    """Unless it is asked for."""
    code, shown = desk.at_terminal("page").end()
    assert code == 1
    assert "strongroom page > open.html" in shown
    assert "<script>" not in shown


def test_a_page_is_an_archive(desk: Desk) -> None:
    """Every verb reads it like any other."""
    desk.put("note.txt", b"a note\n")
    said = desk.seal("case.html", "note.txt").err
    assert "browser" in said
    assert desk.open("ls", "case.html").out.count(b"note.txt") == 1
    assert desk.open("cat", "case.html", "note.txt").out == b"a note\n"
    assert desk.open("verify", "case.html").code == 0
    assert desk.open("extract", "case.html", "out").code == 0
    assert (desk.folder / "out" / "note.txt").read_bytes() == b"a note\n"
    assert b"browser" in desk.run("inspect", "case.html").out
    desk.put("pw", b"another pass phrase\n")
    assert desk.open("cat", "case.html", "note.txt").failure[0] == 3


def test_the_empty_page_is_no_archive(desk: Desk) -> None:
    """It says so, with the exit code of what is no archive."""
    desk.put("open.html", spec.empty_page())
    code, _, hinted = desk.open("ls", "open.html").failure
    assert (code, hinted) == (4, True)


def test_a_page_that_was_altered_is_told_of(desk: Desk) -> None:
    """The archive in it is read, and standard error has the warning."""
    desk.put("note.txt", b"a note\n")
    desk.seal("case.html", "note.txt")
    page = (desk.folder / "case.html").read_bytes()
    desk.put("case.html", page.replace(b"<h1>", b"<h1 >", 1))
    done = desk.open("cat", "case.html", "note.txt")
    assert (done.code, done.out) == (0, b"a note\n")
    assert done.err.startswith("strongroom: warning:")


def test_what_is_too_large_has_a_hint_of_its_own() -> None:
    """The bound of pages is not one that --limit moves."""
    failure = LimitError("too much")
    failure.add_note("do this")
    assert advice.for_failure(failure, "seal", "a.html") == "do this"
    assert "--limit" in str(advice.for_failure(LimitError("too much"), "ls", "a.zip"))
