"""Makes the manual pages while a wheel is built, from the declarations of the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualHook(BuildHookInterface):
    """Adds share/man/man1/*.1 to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages beside what else is built, and name them."""
        del version
        sys.path.insert(0, str(Path(self.root, "src")))
        try:
            from strongroom.cli.manual import pages  # noqa: PLC0415 - from here, not from what is installed
        finally:
            del sys.path[0]
        folder = Path(self.root, "build", "man")
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in pages(self.metadata.version).items():
            path = folder / name
            path.write_text(page, encoding="utf-8")
            build_data["shared_data"][str(path)] = f"share/man/man1/{name}"
