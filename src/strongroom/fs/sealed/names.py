"""How files are named on the inner file system: as here, with `.age` behind. Folders have the same names."""

# ruff: noqa: ANN401 - fsspec has no types

from __future__ import annotations

import os
from typing import Any, Final, cast

SUFFIX: Final = ".age"
_PREFIXES: Final = ("sealed://", "sealed::")
_OF_THE_CIPHERTEXT: Final = ("Key", "Size")
"""What stores tell beside name and size, and what would contradict these."""


def inner_name(path: str) -> str:
    """Return where a file stands on the inner file system."""
    return path + SUFFIX


def shown_name(name: str) -> str | None:
    """Return how a file of the inner file system is called here; None where it is not shown."""
    shown = name.removesuffix(SUFFIX)
    return None if shown == name or not shown or shown.endswith("/") else shown


def shown(info: dict[str, Any], size: int | None) -> dict[str, Any]:
    """Return what is told of a file of the inner file system, with the name and size that it has here."""
    kept = {key: value for key, value in info.items() if key not in _OF_THE_CIPHERTEXT}
    return kept | {"name": shown_name(info["name"]), "size": size}


def without_protocol(path: Any) -> Any:
    """Return a path, or a list of them, without what says that it is of a sealed file system."""
    if isinstance(path, list):
        return [without_protocol(one) for one in cast("list[object]", path)]
    name = os.fspath(cast("str | os.PathLike[str]", path))
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def strip(fs: Any, path: Any) -> Any:
    """Return a path, or a list of them, as the inner file system `fs` has it."""
    return fs._strip_protocol(without_protocol(path))  # noqa: SLF001 - so do fsspec's own
