"""How the site is built: `make docs`, strictly, into build/site."""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "strongroom"
release = version = installed(project)
project_copyright = "the strongroom authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["adr/README.md"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r".*")]  # types of others have no pages here; links in text stay strict
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
html_theme = "furo"
html_title = "strongroom"
html_show_sphinx = False

_ITEM: Final = re.compile(r"(\w+(?:, \w+)*)( +)(?=\S)")


def setup(app: Sphinx) -> None:
    """Take pages and docstrings as they are written."""
    app.connect("source-read", _inside)
    app.connect("autodoc-process-docstring", _docstring)


def _inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to files that stand beside docs/, which a reader of the repository follows, to pages of the site."""
    del app, page
    source[0] = re.sub(r"\]\((?:\.\./)+SECURITY\.md", "](/security.md", source[0])


def _docstring(*given: object) -> None:
    """Turn a docstring into what autodoc reads: its `code`, and lists of names whose meaning stands in a column."""
    lines = cast("list[str]", given[-1])
    made: list[str] = []
    column = 0  # where the meaning begins, inside a list
    for line in lines:
        code = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
        match = _ITEM.match(line)
        if match and (match.end() == column if column else match[2] != " "):
            if not column:
                made.append("")
            column = match.end()
            code = f"- **{match[1]}**: {code[column:]}"
        elif column and line.startswith(" " * column):
            code = f"  {code.strip()}"
        elif column:
            column = 0
            made.append("")
        made.append(code)
    lines[:] = made
