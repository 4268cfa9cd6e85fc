"""The rows of work with their targets, and the table that comes of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

OWN: Final = "strongroom"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for strongroom's figure: a factor of a tool's, or absolute where it stands beside strongroom itself."""

    sign: str
    value: float

    def met(self, value: float) -> bool:
        """Whether a ratio, or an absolute figure, keeps the bound."""
        return value >= self.value if self.sign == ">=" else value <= self.value


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work; `targets` by the tool that strongroom is compared with."""

    title: str
    unit: str
    targets: Mapping[str, Target] = field(default_factory=dict)


def at_least(**factors: float) -> dict[str, Target]:
    """Targets for speeds; `seven` stands for 7zz and `limit` for HMAC-SHA1."""
    return {_NAMES.get(tool, tool): Target(">=", factor) for tool, factor in factors.items()}


def at_most(**factors: float) -> dict[str, Target]:
    """The same for times, sizes and memory."""
    return {_NAMES.get(tool, tool): Target("<=", factor) for tool, factor in factors.items()}


_NAMES: Final = {"seven": "7zz", "limit": "limit: HMAC-SHA1", "plain": "fsspec, not encrypted"}

WORKS: Final = {
    "store-write": Work("store, random data, write", "MB/s", at_least(seven=1.5, pyzipper=4, limit=0.6)),
    "store-read": Work("store, read with verification", "MB/s", at_least(seven=1, pyzipper=5)),
    "deflate-write": Work("deflate, CSV, write", "MB/s", at_least(seven=10, pyzipper=13)),
    "deflate-size": Work("deflate, CSV, archive", "MB", at_most(pyzipper=1.15)),
    "zstd-write": Work("zstd, CSV, write (others: deflate)", "MB/s", at_least(seven=12)),
    "zstd-size": Work("zstd, CSV, archive (others: deflate)", "MB", at_most(pyzipper=1.1)),
    "deflate-read": Work("deflate, CSV, read with verification", "MB/s", at_least(seven=1.5, pyzipper=2)),
    "entries": Work("{entries:,} entries of 1 KiB, write", "s", at_most(seven=1.8, pyzipper=1 / 3)),
    "ram-write": Work("RAM file system, write", "MB/s", at_least(strongroom=2500)),
    "ram-read": Work("RAM file system, read", "MB/s", at_least(strongroom=2500)),
    "sealed-write": Work("SealedFileSystem, Parquet of {records:,} records, write", "s", at_most(plain=1.3)),
    "sealed-read": Work("SealedFileSystem, Parquet of {records:,} records, read", "s", at_most(plain=1.3)),
    "process": Work("seal 30 bytes, whole process", "s", at_most(strongroom=0.15)),
    "memory-large": Work("peak memory, {large} through a pipe", "MiB", at_most(strongroom=100)),
    "memory-small": Work("peak memory, {small} through a pipe", "MiB", at_most(strongroom=100)),
    "7z-store-write": Work("7z: store, random data, write", "MB/s", at_least(seven=1.8, py7zr=4)),
    "7z-store-read": Work("7z: store, read with verification", "MB/s", at_least(seven=1)),
    "7z-deflate-write": Work("7z: deflate, CSV, write (7zz: -mx1)", "MB/s", at_least(seven=10)),
    "7z-deflate-size": Work("7z: deflate, CSV, archive (7zz: -mx1)", "MB"),
    "7z-lzma-write": Work("7z: lzma, CSV, write (7zz: -mx1)", "MB/s", at_least(seven=1, py7zr=2)),
    "7z-lzma-size": Work("7z: lzma, CSV, archive (7zz: -mx1)", "MB", at_most(seven=1.12)),
    "7z-lzma-read": Work("7z: lzma, CSV, read with verification", "MB/s", at_least(seven=0.7, py7zr=1.5)),
    "7z-entries": Work("7z: {entries:,} entries of 1 KiB, write", "s", at_most(seven=2)),
    "7z-memory": Work("7z: peak memory, {middle} through a pipe", "MiB", at_most(strongroom=400)),
    "age-seal-file": Work(
        "age: X25519, random data, file to file",
        "MB/s",
        at_least(age=1.5, pyrage=2) | {"age, synced": Target(">=", 1.5), "pyrage, synced": Target(">=", 2)},
    ),
    "age-seal-memory": Work("age: X25519, random data, memory to file", "MB/s", at_least(age=1.5, pyrage=2)),
    "age-open-file": Work("age: decrypt, file to file", "MB/s", at_least(age=1.5, pyrage=2)),
    "age-open-memory": Work("age: decrypt, file to memory", "MB/s", at_least(age=1.5, pyrage=2)),
    "zip-age-zstd": Work("zip.age: zstd, CSV, write", "MB/s", {"strongroom, .zip": Target(">=", 0.8)}),
    "zip-age-middle": Work("zip.age: 1 MiB out of {large}, once open", "ms", at_most(strongroom=20)),
    "age-memory-keys": Work("age: peak memory, {large} through a pipe", "MiB", at_most(strongroom=100)),
    "age-memory-password": Work("age: the same with a password", "MiB", at_most(strongroom=350)),
    "left-secrets": Work("passwords and keys left in memory", "copies", at_most(strongroom=0)),
    "left-plaintext": Work("plaintext left in memory, of 3 MiB", "MiB"),
}


@dataclass(slots=True)
class Row:
    """One tool at one work: every repetition's figure, or why there is none."""

    work: str
    tool: str
    figures: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def figure(self) -> float | None:
        """The median."""
        return median(self.figures) if self.figures and not self.failure else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row beside strongroom's own."""

    ratio: float | None
    target: Target | None
    met: bool | None


def judge(row: Row, rows: Sequence[Row]) -> Verdict:
    """Compare strongroom's figure with this row's."""
    target = WORKS[row.work].targets.get(row.tool)
    own = next((other.figure for other in rows if other.work == row.work and other.tool == OWN), None)
    if own is None or row.figure is None:
        return Verdict(None, target, None)
    ratio = own / row.figure if row.figure else None
    compared = own if row.tool == OWN else ratio
    return Verdict(ratio, target, target.met(compared) if target and compared is not None else None)


def short(value: float) -> str:
    """Round to what can be told apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def lines(rows: Sequence[Row], titles: Mapping[str, str]) -> list[str]:
    """The table as text: ratio is strongroom's figure divided by the row's, in a row's own unit."""
    cells = [("work", "tool", "figure", "ratio", "target", "")]
    for row in rows:
        unit = WORKS[row.work].unit
        verdict = judge(row, rows)
        bound = ""
        if verdict.target is not None and not row.failure:
            own = f" {unit}" if row.tool == OWN else ""
            bound = f"{verdict.target.sign} {verdict.target.value:.3g}{own}"
        line = (
            titles[row.work],
            row.tool,
            f"{short(row.figure)} {unit}" if row.figure is not None else row.failure or "not measured",
            f"{verdict.ratio:.2f}" if verdict.ratio is not None and row.tool != OWN else "",
            bound,
            {True: "ok", False: "miss", None: ""}[verdict.met],
        )
        cells.append(line)
    measured = [cell for cell, row in zip(cells[1:], rows, strict=True) if row.figure is not None]
    widths = [max(len(cell[column]) for cell in [cells[0], *measured]) for column in range(6)]
    widths[:2] = [max(len(cell[column]) for cell in cells) for column in range(2)]
    text: list[str] = []
    for index, (work, tool, figure, ratio, bound, verdict_text) in enumerate(cells):
        shown = "" if index > 1 and cells[index - 1][0] == work else work
        if index and shown:
            text.append("")
        text.append(
            f"{shown:{widths[0]}}  {tool:{widths[1]}}  {figure:>{widths[2]}}  {ratio:>{widths[3]}}  "
            f"{bound:{widths[4]}}  {verdict_text}".rstrip()
        )
    return text
