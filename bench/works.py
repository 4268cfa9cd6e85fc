"""How the rows of the table are measured that need no process of their own, and the list of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench import data, leftovers, limits, pipes
from bench.age import age
from bench.age import inside as zip_age
from bench.age import memory as age_memory
from bench.measure import Case, Setting, prepare, speed, warm, written
from bench.peers import TOOLS, TOOLS_7Z, Load, PyzipperPieces, StrongroomStream, Tool
from bench.ram import ram
from bench.sealed import parquet


@dataclass(frozen=True, slots=True)
class Family:
    """The tools that write and read one format."""

    suffix: str
    tools: tuple[type[Tool], ...]


ZIP: Final = Family("zip", TOOLS)
SEVEN: Final = Family("7z", TOOLS_7Z)


def store_write(setting: Setting) -> Iterator[Case]:
    """Random data, not compressed; beside it what the parts cost alone."""
    content = data.noise(setting.size)
    load = prepare(setting, "noise", {"noise.bin": content})

    def write(tool: type[Tool]) -> tuple[float]:
        return (setting.size / written(setting, tool, load, "store")[0] / 1e6,)

    def plain(*, sync: bool) -> tuple[float]:
        path = setting.fresh("plain")
        warm(setting, setting.size)
        figure = speed(setting.size, partial(limits.write, path, content, sync=sync))
        path.unlink()
        return figure

    tools: tuple[type[Tool], ...] = (*TOOLS, PyzipperPieces)
    for tool in tools:
        yield Case(tool.name, ("store-write",), partial(write, tool))
    hmac = partial(limits.hmac_sha1, content)
    yield Case("limit: HMAC-SHA1", ("store-write",), partial(speed, setting.size, hmac))
    copy = partial(limits.copy, limits.target(setting.size), content)
    yield Case("limit: memory copy", ("store-write",), partial(speed, setting.size, copy))
    yield Case("limit: file write", ("store-write",), partial(plain, sync=False))
    yield Case("limit: file write and fsync", ("store-write",), partial(plain, sync=True))


def csv_write(setting: Setting) -> Iterator[Case]:
    """Deflate and zstd, speed and size, so that slow peers run once for both."""
    load = prepare(setting, "csv", {"records.csv": data.csv(setting.size)})

    def write(tool: type[Tool], compression: str, times: int) -> tuple[float, ...]:
        seconds, size = written(setting, tool, load, compression)
        return (setting.size / seconds / 1e6, size / 1e6) * times

    deflate, zstd = ("deflate-write", "deflate-size"), ("zstd-write", "zstd-size")
    for tool in TOOLS:
        if tool.name == "strongroom":
            yield Case(tool.name, deflate, partial(write, tool, "deflate", 1))
            yield Case(tool.name, zstd, partial(write, tool, "zstd", 1))
        else:
            yield Case(tool.name, deflate + zstd, partial(write, tool, "deflate", 2))


def _read(setting: Setting, work: str, compression: str, load: Load, family: Family = ZIP) -> Iterator[Case]:
    """All tools read one archive, made by the first of them that can."""
    for tool in family.tools:
        archive = setting.fresh(f"{compression}.{family.suffix}")
        try:
            tool().write(archive, load, compression)
        except Exception:  # noqa: BLE001, S112 - the row of the tool's own writing says what is wrong
            continue
        break
    else:
        return
    limits.read(archive)

    def read(tool: type[Tool]) -> tuple[float]:
        peer = tool()
        counts: list[int | None] = []
        figure = speed(setting.size, lambda: counts.append(peer.read(archive)))
        if counts[0] not in (None, setting.size):
            raise RuntimeError(f"gave {counts[0]} bytes, expected {setting.size}")
        return figure

    for tool in (*family.tools, StrongroomStream):
        yield Case(tool.name, (work,), partial(read, tool))
    yield Case("limit: file read", (work,), lambda: speed(archive.stat().st_size, partial(limits.read, archive)))


def store_read(setting: Setting) -> Iterator[Case]:
    """Random data; to the limits belongs the MAC, which every byte has to pass."""
    content = data.noise(setting.size)
    yield from _read(setting, "store-read", "store", prepare(setting, "noise", {"noise.bin": content}))
    hmac = partial(limits.hmac_sha1, content)
    yield Case("limit: HMAC-SHA1", ("store-read",), partial(speed, setting.size, hmac))


def csv_read(setting: Setting) -> Iterator[Case]:
    """The same with deflate."""
    content = data.csv(setting.size)
    yield from _read(setting, "deflate-read", "deflate", prepare(setting, "csv", {"records.csv": content}))


def _entries(setting: Setting, work: str, family: Family) -> Iterator[Case]:
    content = data.noise(1024 * setting.entries)
    files = {f"{n:06}.bin": content[n * 1024 : (n + 1) * 1024] for n in range(setting.entries)}
    load = prepare(setting, "entries", files)

    def write(tool: type[Tool]) -> tuple[float]:
        return (written(setting, tool, load, "store", family.suffix)[0],)

    for tool in family.tools:
        yield Case(tool.name, (work,), partial(write, tool))


def entries(setting: Setting) -> Iterator[Case]:
    """Many small files, not compressed: deriving a key for each is most of the work."""
    yield from _entries(setting, "entries", ZIP)


def entries_7z(setting: Setting) -> Iterator[Case]:
    """The same into a 7z, where one key serves all of them."""
    yield from _entries(setting, "7z-entries", SEVEN)


def store_7z(setting: Setting) -> Iterator[Case]:
    """Random data into a 7z, not compressed, and out of it."""
    load = prepare(setting, "noise", {"noise.bin": data.noise(setting.size)})

    def write(tool: type[Tool]) -> tuple[float]:
        return (setting.size / written(setting, tool, load, "store", "7z")[0] / 1e6,)

    for tool in TOOLS_7Z:
        yield Case(tool.name, ("7z-store-write",), partial(write, tool))
    yield from _read(setting, "7z-store-read", "store", load, SEVEN)


def csv_7z(setting: Setting) -> Iterator[Case]:
    """Deflate and LZMA2; 7zz, whose -mx1 is LZMA2, runs once for both."""
    load = prepare(setting, "csv", {"records.csv": data.csv(setting.size)})

    def write(tool: type[Tool], compression: str, times: int) -> tuple[float, ...]:
        seconds, size = written(setting, tool, load, compression, "7z")
        return (setting.size / seconds / 1e6, size / 1e6) * times

    deflate, lzma = ("7z-deflate-write", "7z-deflate-size"), ("7z-lzma-write", "7z-lzma-size")
    for tool in TOOLS_7Z:
        if tool.name == "7zz":
            yield Case(tool.name, deflate + lzma, partial(write, tool, "lzma", 2))
        else:
            yield Case(tool.name, deflate, partial(write, tool, "deflate", 1))
            yield Case(tool.name, lzma, partial(write, tool, "lzma", 1))
    yield from _read(setting, "7z-lzma-read", "lzma", load, SEVEN)


GROUPS: Final = (
    (("store-write",), store_write),
    (("store-read",), store_read),
    (("deflate-write", "deflate-size", "zstd-write", "zstd-size"), csv_write),
    (("deflate-read",), csv_read),
    (("entries",), entries),
    (("ram-write", "ram-read"), ram),
    (("sealed-write", "sealed-read"), parquet),
    (("process",), pipes.process),
    (("memory-large",), pipes.memory_large),
    (("memory-small",), pipes.memory_small),
    (("7z-store-write", "7z-store-read"), store_7z),
    (("7z-deflate-write", "7z-deflate-size", "7z-lzma-write", "7z-lzma-size", "7z-lzma-read"), csv_7z),
    (("7z-entries",), entries_7z),
    (("7z-memory",), pipes.memory_7z),
    (("age-seal-file", "age-seal-memory", "age-open-file", "age-open-memory"), age),
    (("zip-age-zstd", "zip-age-middle"), zip_age),
    (("age-memory-keys", "age-memory-password"), age_memory),
    (("left-secrets", "left-plaintext"), leftovers.left),
)
