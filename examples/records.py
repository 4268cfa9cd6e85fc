"""Patient-like records and a picture, made up in memory from a fixed seed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

SEED: Final = 20_250_704
HEADER: Final = b"id,name,born,ward,diagnosis,sodium,haemoglobin,crp,note\n"
_BLOCK_ROWS: Final = 16_384

Cells = npt.NDArray[np.uint8]

_SURNAMES: Final = [
    start + end
    for start in "Ander Berg Dahl Eich Falken Grün Hart Klein Lind Mar Nord Ober Rosen Sand Stein Vogel Wald".split()
    for end in "son mann berg feld ström holm bach dal er wald ini ova".split()
]
_GIVEN: Final = (
    "Ada Adam Alice Amir Anna Bela Boris Clara Daniel Diego Elena Emil Emma Farid Felix Fiona Georg Grace Hana "
    "Henri Ida Igor Ines Ivan Jana Jonas Julia Karim Lars Lea Leon Lina Luca Maja Marta Milan Mina Nadia Nils "
    "Nora Olga Omar Otto Paul Petra Rania Rosa Samir Sara Sofia Tariq Tomas Ulla Vera Viktor Wanda Yusuf Zoe"
).split()
_WARDS: Final = (
    "Cardiology Oncology Surgery Neurology Paediatrics Maternity Geriatrics Psychiatry Urology Dermatology "
    "Emergency ICU"
).split()
_STEMS: Final = (
    "patient reports mild pain chest since morning no fever cough dry breath short exertion stable after "
    "treatment dose raised lowered tolerated well nausea vomiting denied history hypertension diabetes type "
    "insulin adjusted wound clean healing suture removed follow week days review blood pressure pulse regular "
    "oxygen saturation room air lung sounds clear abdomen soft tender left right upper lower quadrant oedema "
    "ankle mobile with aid physio daily sleep poor appetite good weight loss gain fluid restricted intake "
    "antibiotic course completed culture negative positive x-ray unchanged scan pending result normal elevated "
    "marker repeat tomorrow discharge planned home care family informed consent given allergy penicillin noted "
    "rash resolved headache dizziness fall risk assessed alert oriented calm"
).split()
_PHRASES: Final = (
    "no known allergies,follow up in two weeks,vital signs within normal limits,continue current medication,"
    "no acute distress,see previous note,as needed for pain,blood drawn for culture,seen by consultant"
).split(",")


def _column(words: list[str]) -> Cells:
    """The words as rows of one width, filled up with NULs that `_rows` drops."""
    encoded = [word.encode() for word in words]
    width = max(map(len, encoded))
    return np.frombuffer(b"".join(word.ljust(width, b"\0") for word in encoded), np.uint8).reshape(-1, width)


def _skewed(words: list[str], power: float) -> Cells:
    """A lookup table of 4,096 rows in which the n-th word has a weight of 1 / n ** power, as in real text."""
    weight = 1 / np.arange(1, len(words) + 1) ** power
    edges = np.cumsum(weight) / weight.sum()
    return _column(words)[np.minimum(np.searchsorted(edges, np.arange(4096) / 4096, side="right"), len(words) - 1)]


def _digits(values: npt.NDArray[np.int64], width: int) -> Cells:
    return (values[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10 + 48).astype(np.uint8)


_DATES: Final = _column([str(np.datetime64("1930-01-01") + day) for day in range(33_000)])
_NAME_TABLES: Final = (_skewed(_SURNAMES, 0.6), _skewed([" " + name for name in _GIVEN], 0.5))
_WARD_TABLE: Final = _skewed(_WARDS, 0.7)
_CODE_TABLE: Final = _skewed([f"{'EIJKMNRSZ'[n % 9]}{n * 37 % 90 + 10}.{n * 7 % 10}" for n in range(400)], 0.9)
_WORD_TABLE: Final = _skewed([" " + text for text in (*_STEMS[:60], *_PHRASES, *_STEMS[60:])], 0.2)
_WORDS_MOST: Final = 20


def _rows(block: int) -> bytes:
    """One block of rows; every block has a random stream of its own, so nothing repeats over a long range."""
    rng = np.random.Generator(np.random.PCG64([SEED, block]))
    rows = _BLOCK_ROWS

    def pick(table: Cells) -> Cells:
        return table[rng.integers(0, len(table), rows)]

    def sign(text: str) -> Cells:
        return np.broadcast_to(np.frombuffer(text.encode(), np.uint8), (rows, len(text)))

    def decimal(mean: float, spread: float) -> Cells:
        hundredths = np.clip(rng.normal(mean, spread, rows) * 100, 0, 99999).astype(np.int64)
        whole = _digits(hundredths // 100, 3)
        whole[:, 0] *= hundredths >= 10000
        whole[:, 1] *= hundredths >= 1000
        return np.hstack([whole, sign("."), _digits(hundredths % 100, 2)])

    comma = sign(",")
    number = np.arange(block * rows + 1, (block + 1) * rows + 1)
    words = _WORD_TABLE[rng.integers(0, len(_WORD_TABLE), (rows, _WORDS_MOST))]
    words *= (np.arange(_WORDS_MOST) < rng.integers(6, _WORDS_MOST + 1, rows)[:, None])[:, :, None].astype(np.uint8)
    cells = [
        sign("P"), _digits(number, 8), comma, *map(pick, _NAME_TABLES), comma, pick(_DATES), comma,
        pick(_WARD_TABLE), comma, pick(_CODE_TABLE), comma, decimal(139, 4), comma, decimal(131, 14), comma,
        decimal(12, 9), sign(',"'), words.reshape(rows, -1)[:, 1:], sign('"\n'),
    ]  # fmt: skip
    padded = np.hstack(cells).ravel()
    return bytes(padded[padded != 0])


def blocks() -> Iterator[bytes]:
    """The table without end: the header, then rows, about 2 MiB at a time."""
    yield HEADER
    for block in range(10**8 // _BLOCK_ROWS):
        yield _rows(block)


def records(count: int) -> bytes:
    """A CSV file of `count` records."""
    whole, rest = divmod(count, _BLOCK_ROWS)
    table = [HEADER, *map(_rows, range(whole))]
    if rest:
        table.append(b"".join(_rows(whole).splitlines(keepends=True)[:rest]))
    return b"".join(table)


def picture(width: int = 640, height: int = 480) -> bytes:
    """A PNG: a colour gradient under rings and noise."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    y, x = np.mgrid[0:height, 0:width]
    rings = 40 * np.sin(np.hypot(x - width / 2, y - height / 2) / 12)
    base = np.stack([x * 200 / width, y * 200 / height, 200 - x * 200 / width], axis=-1)
    pixels = np.clip(base + rings[..., None] + rng.integers(0, 10, (height, width, 3)), 0, 255).astype(np.uint8)
    lines = np.hstack([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)])

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
