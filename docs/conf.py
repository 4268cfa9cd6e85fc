"""How the site is built: `make docs`, strictly, into build/site."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "strongroom"
release = version = installed(project)
project_copyright = "the strongroom authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r".*")]  # types of others have no pages here; links in text stay strict
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
suppress_warnings = ["myst.xref_missing"]
html_theme = "furo"
html_title = "strongroom"
html_show_sphinx = False
