"""`strongroom page`: the page that opens archives in a browser, without an archive in it."""

from __future__ import annotations

import os
from typing import Final

import click

from strongroom.cli.failure import Failure
from strongroom.cli.messages import data_bytes
from strongroom.cli.options import SETTINGS, force_option
from strongroom.formats.html.spec import empty_page

_STDOUT: Final = 1
_EPILOG: Final = """\b
Example:
  strongroom page > open.html
"""


@click.command("page", context_settings=SETTINGS, short_help="Write the page that opens archives.", epilog=_EPILOG)
@force_option
def command(*, force: bool) -> None:
    """Write an HTML page that opens archives in a browser, offline, for those who have nothing installed.

    The page takes a .zip with AES, a .zip.age, an .age or an .html of strongroom's, of any size that fits into the
    browser's memory, with its password or a secret key. `strongroom seal case.html ...` makes a page with the archive
    in it. Both send nothing anywhere.
    """
    if os.isatty(_STDOUT) and not force:
        message = "standard output is a terminal, and the page is long"
        raise Failure(message, hint="strongroom page > open.html puts it into a file")
    data_bytes(empty_page())
