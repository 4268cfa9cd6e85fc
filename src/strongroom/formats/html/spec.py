"""The bytes around the archive. docs/formats/html.md; HTML, 13.2.5 (Tokenization).

    page up to and with `OPENING`     HTML, style and script; built from page/, the same in every file of a version
    armor                             an age file with a ZIP in it: age, "ASCII armor", lines ending in LF
    `CLOSING`

Armor has no character that means anything in HTML, so it stands there as it is, in an element that is not shown. The
page without an archive, which `strongroom page` gives, has `CLOSING` right behind `OPENING`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from strongroom.limits import MIB

MAGIC: Final = b'<!DOCTYPE html>\n<html lang="en" data-page="strongroom">\n'
OPENING: Final = b'</script>\n<div id="payload" hidden>\n'  # no script has its own end in it, so this is found once
ARMOR: Final = b"-----BEGIN AGE ENCRYPTED FILE-----\n"
ARMOR_END: Final = b"\n-----END AGE ENCRYPTED FILE-----\n"
CLOSING: Final = b"</div>\n</body>\n</html>\n"

LARGEST: Final = 256 * MIB
"""What the age file may have. A browser holds it, what is in it, and an entry that is shown, in memory all at once."""

LONGEST_FRONT: Final = 1 * MIB
"""What may stand before the archive, in which it is looked for. Our own has under 400 KiB."""

_PAGE: Final = "page.html"


@cache
def empty_page() -> bytes:
    """Return the page without an archive: a part of this program, built from `page/`."""
    return files("strongroom.formats.html").joinpath(_PAGE).read_bytes()


def front() -> bytes:
    """Return what this version puts before an archive."""
    return empty_page().removesuffix(CLOSING)
