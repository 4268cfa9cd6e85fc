"""The page of errors has all of them, with what else they are and how the command line ends."""

from __future__ import annotations

import re

from strongroom import cli, errors
from tests.docs.pages import ROOT

ROW = re.compile(r"(?m)^\| `(\w+Error)` \| (.*?) ?\| (\d) \|$")


def test_the_table_of_errors_is_true() -> None:
    """Every class, its further bases, and its exit code."""
    said = {name: (set(re.findall(r"\w+", bases)), int(code)) for name, bases, code in ROW.findall(_page())}
    found = {
        name: ({base.__name__ for base in kind.__bases__} - {"StrongroomError"}, cli._code(kind("")))
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.StrongroomError) and kind is not errors.StrongroomError
    }
    assert said == found


def _page() -> str:
    return (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
