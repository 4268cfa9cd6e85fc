"""How much files hold: exact by arithmetic, for the price of reading their headers, and remembered.

Nothing vouches for a size before the file is opened with a key: whoever can cut a file off can also have it look
shorter here, until it is opened.
"""

# ruff: noqa: ANN401 - fsspec has no types

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from strongroom.errors import StrongroomError
from strongroom.formats.age.envelope import Sealed
from strongroom.fs.sealed.inner import RangedSource
from strongroom.limits import KIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.limits import Limits

_HEAD: Final = 4 * KIB  # more than most headers have
_KNOWN: Final = 100_000  # files; some 30 MB
_TAGS: Final = ("ETag", "etag", "generation", "md5Hash", "content_md5")
_TIMES: Final = ("mtime", "ino", "LastModified", "last_modified", "updated", "created")
"""What tells one version of a file from another, as the file systems call it; a tag alone, or all that there is."""


class Sizes:
    """The sizes of files on `fs`."""

    def __init__(self, fs: Any, limits: Limits) -> None:
        self._fs = fs
        self._limits = limits
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[tuple[str, ...], int]] = OrderedDict()

    def of(self, info: dict[str, Any]) -> int:
        """Return what a file holds, of which the inner file system says `info`. Raises `FormatError`, `LimitError`."""
        known = self._recall(info)
        return self._measure(info, b"") if known is None else known

    def of_all(self, infos: Sequence[dict[str, Any]]) -> list[int | None]:
        """Return what files hold; None for one that is no age file, so that it does not hide the others."""
        sizes = [self._recall(info) for info in infos]
        unknown = [place for place, size in enumerate(sizes) if size is None]
        if not unknown:
            return sizes
        ends = [min(_HEAD, int(infos[place]["size"] or _HEAD)) for place in unknown]
        names = [infos[place]["name"] for place in unknown]
        heads = self._fs.cat_ranges(names, [0] * len(names), ends, on_error="return")  # a store is asked at once
        for place, head in zip(unknown, heads, strict=True):
            if isinstance(head, bytes):
                try:
                    sizes[place] = self._measure(infos[place], head)
                except StrongroomError:
                    continue
                except FileNotFoundError:  # it went away meanwhile
                    continue
        return sizes

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._known.clear()

    def _measure(self, info: dict[str, Any], head: bytes) -> int:
        packed = info["size"]
        if packed is None:
            packed = self._fs.size(info["name"])
        size = Sealed(RangedSource(self._fs, info["name"], packed, head), self._limits).size
        if version := _version(info):
            with self._lock:
                self._known[info["name"]] = version, size
                while len(self._known) > _KNOWN:
                    self._known.popitem(last=False)
        return size

    def _recall(self, info: dict[str, Any]) -> int | None:
        with self._lock:
            version, size = self._known.get(info["name"], ((), 0))
        return size if version and version == _version(info) else None


def _version(info: dict[str, Any]) -> tuple[str, ...]:
    found = [info[name] for name in _TAGS if info.get(name) is not None][:1]
    found = found or [info[name] for name in _TIMES if info.get(name) is not None]
    # A listing and a question for one file may give the same time in two ways.
    same = [str(value.timestamp() if isinstance(value, datetime) else value) for value in found]
    return (str(info["size"]), *same) if same else ()
