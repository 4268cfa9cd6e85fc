"""ZIP files of other projects: what each gives, or with what it is refused."""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.errors import StrongroomError, UnsupportedError
from tests.corpus.manifest import Row, rows
from tests.corpus.reading import (
    assert_as_expected,
    assert_extraction_stays_inside,
    assert_refused,
    bounded,
    open_row,
    read_all,
)

ROWS = rows("zip")
LEAST = {"open": 76, "open-or-unsupported": 3, "unsupported": 7, "refuse": 51, "strict": 33, "traversal": 7}

each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
each_encrypted = pytest.mark.parametrize("row", [row for row in ROWS if row.password], ids=lambda row: row.id)


@pytest.fixture(autouse=True)
def within_bounds() -> Iterator[None]:
    """As `bounded` says."""
    with bounded():
        yield


def test_the_corpus_is_there() -> None:
    """The corpus is the one that these tests were written for, or a larger one, and undamaged."""
    kinds = Counter(row.kind for row in ROWS)
    assert all(kinds[kind] >= count for kind, count in LEAST.items()), kinds
    assert set(kinds) == set(LEAST), "a kind that no test knows"
    assert sum(row.password is not None for row in ROWS) >= 33
    for row in ROWS:
        assert hashlib.sha256(row.path.read_bytes()).hexdigest() == row.sha256, row.path


@each
def test_what_it_gives(row: Row) -> None:
    """Sound archives give exactly their data; all others a `StrongroomError`, and no wrong data beside it."""
    assert_as_expected(row, read_all(row, row.password))


@each
def test_extraction_stays_in_its_folder(row: Row, tmp_path: Path) -> None:
    """Nothing is made outside of the folder, no link inside of it; what is not whole leaves nothing at all."""
    assert_extraction_stays_inside(row, tmp_path, names(row.path))


def names(archive: Path) -> list[str]:
    """The names of the entries as `zipfile` reads them."""
    try:
        with zipfile.ZipFile(archive) as reader:
            return [info.orig_filename for info in reader.infolist()]
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError):
        return []


@each_encrypted
@pytest.mark.parametrize("password", [None, "not the password"])
def test_without_the_password(row: Row, password: str | None) -> None:
    """An encrypted entry is never read without its password, nor with another one."""
    assert_refused(row, password)


@each
def test_only_aes_without_being_asked(row: Row) -> None:
    """Without `legacy` and `allow_plaintext` only files under AES are read."""
    try:
        with open_row(row, row.password, lenient=False) as room:
            for entry in room:
                if entry.kind == "file" and not (entry.encryption or "").startswith("AES"):
                    with pytest.raises(UnsupportedError):
                        room.read(entry.name)
    except StrongroomError:
        assert row.kind != "open"
