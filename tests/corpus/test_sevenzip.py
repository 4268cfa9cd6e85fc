"""7z files of other projects: what each gives, or with what it is refused."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.errors import StrongroomError, UnsupportedError, WrongKeyError
from tests.corpus.manifest import Row, rows
from tests.corpus.reading import (
    assert_as_expected,
    assert_extraction_stays_inside,
    assert_refused,
    bounded,
    open_row,
    read_all,
)

ROWS = rows("7z")
LEAST = {"open": 50, "open-or-unsupported": 2, "unsupported": 2, "refuse": 10, "traversal": 1}

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
    assert sum(row.password is not None for row in ROWS) >= 10
    for row in ROWS:
        assert hashlib.sha256(row.path.read_bytes()).hexdigest() == row.sha256, row.path


@each
def test_what_it_gives(row: Row) -> None:
    """Sound archives give exactly their data; all others a `StrongroomError`, and no wrong data beside it."""
    assert_as_expected(row, read_all(row, row.password))


@each
def test_extraction_stays_in_its_folder(row: Row, tmp_path: Path) -> None:
    """Nothing is made outside of the folder, no link inside of it; what is not whole leaves nothing at all."""
    assert_extraction_stays_inside(row, tmp_path, ["/a/b/test.txt"])  # the corpus's one name that leads out


@each_encrypted
@pytest.mark.parametrize("password", [None, "not the password"])
def test_without_the_password(row: Row, password: str | None) -> None:
    """An encrypted entry is never read without its password, nor with another one."""
    assert_refused(row, password)


@each_encrypted
def test_a_wrong_password_is_told_at_once(row: Row) -> None:
    """It takes no more than `open` to know, by the header's CRC or by what the first folder decodes to."""
    try:
        open_row(row, "not the password").close()
    except WrongKeyError:
        return
    pytest.fail("a wrong password went unnoticed")


@each
def test_only_aes_without_being_asked(row: Row) -> None:
    """Without `allow_plaintext` only files under AES are read, and those without data."""
    try:
        with open_row(row, row.password, lenient=False) as room:
            for entry in room:
                if entry.size and entry.encryption is None:
                    with pytest.raises(UnsupportedError):
                        room.read(entry.name)
    except StrongroomError:
        assert row.kind != "open"
