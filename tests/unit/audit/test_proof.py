from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from strongroom.audit import child, proof
from strongroom.audit.report import Report
from strongroom.audit.tracer import Tracer
from strongroom.errors import StrongroomError
from tests.helpers import listing, nothing_left

START = child.start
STEPS = dict(child.STEPS)
SMALL = {"30 bytes": 30, "2 MiB": 2 << 20}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One method, less data, and two steps."""
    monkeypatch.setattr(proof, "SIZES", SMALL)
    monkeypatch.setattr(child, "STEPS", {name: STEPS[name] for name in ("seal", "read")})
    row = proof.FORMATS["zip"]
    monkeypatch.setattr(proof, "_audited", lambda: [row._replace(compressions=("deflate",))])


def audited(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str = "") -> Report:
    """An audit of the child with `code` before its work."""
    program = ("-c", f"import os, subprocess, sys\nfrom strongroom.audit import child\n{code}\nchild.main(sys.argv[1])")

    monkeypatch.setattr(child, "start", partial(START, program=program))
    return proof.audit(folder)


def counts(report: Report) -> dict[tuple[str, str], int | None]:
    """All that was found."""
    return {(measure.place, measure.subject): measure.found for measure in report.measures if measure.found != 0}


def test_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of strongroom itself nothing is found, nothing is left, and the files that it opened are all told of."""
    monkeypatch.setattr(child, "STEPS", STEPS)
    with nothing_left(tmp_path):
        report = audited(tmp_path, monkeypatch)
    assert report.ok
    assert not {place for place, _ in counts(report)} - {"memory: stack"}
    assert {file.program for file in report.opened} == {"python"}
    assert len(report.opened) == 5
    assert "overwritten" in report.setting["hardened"]


def patched(step: str) -> str:
    """Code that does `step` with the `work` of sealing, after it."""
    return (
        f"seal = child.STEPS['seal']\ndef careless(work):\n    seal(work)\n    {step}\nchild.STEPS['seal'] = careless"
    )


LEAKS = {
    "password in memory": ("global kept; kept = bytes(work.password)", ("memory: ", "password")),
    "plaintext in memory": ("global kept; kept = bytes(work.data['2 MiB'])", ("memory: ", "plaintext")),
    "an argument": ("subprocess.run(['true', bytes(work.password)])", ("arguments and environments", "password")),
    "a variable": (
        "subprocess.run(['true'], env={'P': bytes(work.password).decode()})",
        ("arguments and environments", "password"),
    ),
    "a file": ("open(os.environ['HOME'] + '/.hidden', 'wb').write(work.data['30 bytes'])", ("HOME", "plaintext")),
    "a file elsewhere": ("open(os.environ['ELSEWHERE'], 'w').close()", ("opened for writing elsewhere", "files")),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_the_nets_catch(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, leak: str
) -> None:
    """What a careless program leaves is found, wherever that is, and fails the audit."""
    step, (place, subject) = LEAKS[leak]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ELSEWHERE", str(elsewhere / "file"))
    report = audited(tmp_path, monkeypatch, patched(step))
    assert not report.ok
    place = f"files in {tmp_path}" if place == "HOME" else place
    assert any(found.startswith(place) and what == subject for found, what in counts(report))
    assert "canary" not in repr(report)


def test_without_tracing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system refuses tracing, that is said, all else is measured, and the audit is no proof."""

    def refuse(self: Tracer, pid: int) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr(Tracer, "__init__", refuse)
    report = audited(tmp_path, monkeypatch)
    assert not report.ok
    found = {place: count for place, count in counts(report).items() if place[0] != "memory: stack"}
    assert found == {("opened for writing elsewhere", "files"): None}
    assert any("Operation not permitted" in line for line in report.unseen)


def test_child_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the work itself fails there is no report, and nothing is left."""
    with pytest.raises(StrongroomError):
        audited(tmp_path, monkeypatch, "child.STEPS['read'] = lambda work: sys.exit(5)")
    assert listing(tmp_path) == []
    with pytest.raises(StrongroomError):
        audited(tmp_path, monkeypatch, "sys.exit(5)")
    assert listing(tmp_path) == []


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A folder that cannot be written to is an OSError."""
    with pytest.raises(OSError):
        proof.audit(tmp_path / "no")
