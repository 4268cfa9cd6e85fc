"""The corpus of third-party files, which is not part of the project, and what each of them must give."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Row:
    """A line of MANIFEST.tsv: a file, its format, its password, what it is to give, and the digest of its data."""

    path: Path
    format: str
    password: str | None
    kind: str
    exercises: str
    data_sha256: str
    sha256: str

    @property
    def id(self) -> str:
        """A short name for pytest."""
        return f"{self.kind}-{self.path.name}"


def rows(archive_format: str) -> list[Row]:
    """Return the lines of a format. Without a corpus the module that asks is skipped, or in CI fails."""
    default = Path(__file__).parents[3] / "shared" / "corpus"
    root = Path(os.environ.get("STRONGROOM_CORPUS") or default)
    if not (root / "MANIFEST.tsv").is_file():
        message = f"no corpus at {root}; STRONGROOM_CORPUS says where one is"
        if os.environ.get("CI") == "true":
            raise FileNotFoundError(message)
        pytest.skip(message, allow_module_level=True)
    with (root / "MANIFEST.tsv").open(newline="") as table:
        return [
            Row(
                path=root / line["flat"],
                format=line["format"],
                password=line["password"] or None,
                kind=line["kind"],
                exercises=line["exercises"],
                data_sha256=line["data_sha256"],
                sha256=line["sha256"],
            )
            for line in csv.DictReader(table, delimiter="\t")
            if line["format"] == archive_format
        ]


def digest(members: Iterable[bytes]) -> str:
    """The corpus's digest of an archive: of the sorted digests of its regular files, whatever their names."""
    lines = sorted(hashlib.sha256(data).hexdigest() for data in members)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
