"""How the site is built: `make docs`, strictly, into build/site."""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import click
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
smartquotes = False  # which would make a dash of the two in --help
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
highlight_language = "text"
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = "strongroom"
html_show_sphinx = False

_ITEM: Final = re.compile(r"(\w+(?:, \w+)*)( +)(?=\S)")
_CODE: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_MEASURED: Final = "benchmarks/figures"
_TOP: Final = r"\]\((?:\.\./)+"


def setup(app: Sphinx) -> None:
    """Take pages, docstrings and the command line's help as they are written."""
    app.connect("source-read", _inside)
    app.connect("autodoc-process-docstring", _docstring)
    for part in ("description", "options", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _help)


def _inside(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to what stands beside docs/, which a reader of the repository follows, to pages of the site."""
    if not (app.srcdir / _MEASURED).with_suffix(".md").exists():  # until `make bench` has been run once
        source[0] = source[0].replace(f"\n{_MEASURED}\n", "\n")
    del page
    text = re.sub(_TOP + r"(SECURITY|CHANGELOG|CONTRIBUTING)\.md", lambda match: f"](/{match[1].lower()}.md", source[0])
    text = re.sub(_TOP + r"examples/(\w+)\.py", r"](/examples.md#\1py", text)
    source[0] = re.sub(_TOP + r"examples\b", "](/examples.md", text)


def _help(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Turn a verb's help, which is text for a terminal, into what means the same here."""
    del app, context
    made: list[str] = []
    for line in lines:
        if line.startswith("| "):  # a paragraph that keeps its lines, examples mostly
            made += [] if made and made[-1].startswith("   ") else ["::", ""]
            made.append(f"   {line[2:]}")
        else:
            made.append(line if line.startswith("..") else _plain(line))
    lines[:] = made


def _plain(line: str) -> str:
    """Mark `code` as such, and nothing else."""
    parts = _CODE.split(line)  # text and code by turns
    parts[::2] = [re.sub(r"[*\\]|(?<=\w)_(?!\w)", r"\\\g<0>", text) for text in parts[::2]]
    parts[1::2] = [f"``{code}``" for code in parts[1::2]]
    return "".join(parts)


def _docstring(*given: object) -> None:
    """Turn a docstring into what autodoc reads: its `code`, and lists of names whose meaning stands in a column."""
    lines = cast("list[str]", given[-1])
    made: list[str] = []
    column = 0  # where the meaning begins, inside a list
    for line in lines:
        code = _plain(line)
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
