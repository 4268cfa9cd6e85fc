from __future__ import annotations

import json

from tests.cli.running import Desk


def test_audit(desk: Desk) -> None:
    """The audit of this machine finds nothing but on the stack, says so to programs, and leaves nothing."""
    done = desk.run("audit", "--json")
    assert done.code == 0, done.out
    report = json.loads(done.out)
    assert report["ok"] is True
    places = {measure["place"] for measure in report["measures"]}
    assert {"memory: heap", "memory: maps", "memory: stack", "arguments and environments"} <= places
    assert all(measure["found"] == 0 for measure in report["measures"] if measure["judged"])
    assert desk.names() == []


def test_folder_is_missing(desk: Desk) -> None:
    """A folder that is not there is a mistake of the user."""
    assert desk.run("audit", "nowhere").failure[0] == 2
