"""Entry names: `/`-separated, relative, and such that they lead out of no folder on any system (P8)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from strongroom.errors import FormatError, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterable

_Folder = dict[str, "_Folder | None"]  # a file is None
_LISTED: Final = ""  # in a folder that an entry of its own names; no name has an empty component
_DEEPEST: Final = 128  # a name of 4 KiB could have 2,048, each of them a folder to make on extraction

_DRIVE: Final = re.compile(r"[A-Za-z]:")
# In each folder, with any extension and in any case (Microsoft, "Naming Files, Paths, and Namespaces").
_DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:[.:]|$)", re.IGNORECASE)
_CUT_OFF: Final = ". "


def fault(name: str) -> str | None:
    """Say why `name` is no entry name, or None where it is one."""
    if not name:
        return "is empty"
    if "\\" in name:
        return "has a backslash, which is a separator on Windows"
    if name.startswith("/"):
        return "is absolute"
    if _DRIVE.match(name):
        return "begins with a drive letter of Windows"
    if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
        return "has a lone surrogate: it is not valid Unicode"
    if not name.isprintable() and any(unicodedata.category(character) == "Cc" for character in name):
        return "has a control character"
    parts = name.split("/")
    if len(parts) > _DEEPEST:
        return f"lies more than {_DEEPEST} folders deep"
    if ".." in parts:
        return "leads out of its folder"
    if " " in name and any(" " in part and not part.strip(". ") for part in parts):
        return "has a component of dots and spaces alone, which Windows cuts off"
    if "." in parts or "" in parts:
        return "has an empty or '.' component"
    return None


def portable(name: str) -> str:
    """Return an entry name as files get it: with an underscore where Windows would take a part for something else.

    That are devices (`aux.txt`), a stream of another file (`a:b`), and dots and spaces at an end, which are cut off.
    """
    return "/".join(_portable(part) for part in name.split("/"))


def _portable(part: str) -> str:
    if _DEVICE.match(part):
        part = f"_{part}"
    if part[-1] in _CUT_OFF:
        part = f"{part[:-1]}_"
    return part.replace(":", "_")


class Tree:
    """The names of an archive so far: none twice, and no file where a folder is. Names are compared in NFC.

    `size` counts them, and the folders that they imply.
    """

    def __init__(self) -> None:
        self._root: _Folder = {}
        self.size: int = 0

    def add(self, name: str, *, folder: bool) -> str | None:
        """Take up `name`; says why that cannot be, or gives None."""
        if reason := fault(name):
            return reason
        *parents, last = (name if name.isascii() else unicodedata.normalize("NFC", name)).split("/")
        node = self._root
        for part in parents:
            child = self._enter(node, part)
            if child is None:
                return "lies below a name that is a file"
            node = child
        if not folder:
            if last in node:
                return "is there twice"
            node[last] = None
            self.size += 1
            return None
        child = self._enter(node, last)
        if child is None or _LISTED in child:
            return "is there twice"
        child[_LISTED] = None
        return None

    def _enter(self, node: _Folder, part: str) -> _Folder | None:
        """Return the folder `part`, made where it is missing, or None where that is a file."""
        if part not in node:
            node[part] = {}
            self.size += 1
        return node[part]


def check_tree(names: Iterable[tuple[str, str]], limit: int) -> None:
    """Check the (name, kind) pairs of an archive.

    Raises `FormatError` where they are not a tree of safe names, `LimitError` where there are more than `limit`, with
    the folders that are only implied.
    """
    tree = Tree()
    for name, kind in names:
        if reason := tree.add(name, folder=kind == "directory"):
            message = f"entry name {name!r} {reason}"
            raise FormatError(message)
        if tree.size > limit:
            message = f"the archive has more files and folders than the entries limit of {limit}"
            raise LimitError(message)
