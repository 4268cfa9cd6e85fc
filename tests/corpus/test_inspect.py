"""`inspect` on every archive of other projects: it explains each, or refuses it as an error of ours, in bounds."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import pytest

import strongroom
from strongroom.errors import FormatError, StrongroomError
from tests.corpus.manifest import Row, rows
from tests.corpus.reading import bounded, open_row
from tests.corpus.test_age import VECTORS, Vector

ROWS = [row for kind in ("zip", "7z", "age") for row in rows(kind)]
assert len(ROWS) >= 240
_ENCRYPTED = {"AES", "Zip", "PKW"}


@pytest.fixture(autouse=True)
def within_bounds() -> Iterator[None]:
    """As `bounded` says; and nothing warns."""
    with bounded(), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_archive(row: Row) -> None:
    """Sound archives are taken, with the ciphers that their entries have; what `open` refuses for its structure is not.

    It takes no password.
    """
    try:
        found = strongroom.inspect(row.path)
    except FormatError:
        with pytest.raises(StrongroomError):
            open_row(row, row.password)
        assert row.kind != "open" or "keys" in row.path.name
        return
    assert row.format in (found.format, "age")
    assert found.description
    assert found.ok or row.kind != "open"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            room = open_row(row, None)
    except FormatError:
        assert not found.ok
        return
    except StrongroomError:
        return
    with room:
        assert found.entries in (len(room), None)
        if row.format != "age" and found.entries is not None and found.ok:
            mine = {entry.encryption or "none" for entry in room if entry.kind != "directory" and entry.size}
            assert {name[:7] for name in mine} <= {cipher.name[:7] for cipher in found.ciphers}


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_age_kit(vector: Vector) -> None:
    """A header that breaks the rules is explained as such, without anyone's key."""
    broken = vector.expect in ("header failure", "armor failure")
    try:
        found = strongroom.inspect(io.BytesIO(vector.file))
    except FormatError:
        assert broken
        return
    assert found.format == "age"
    assert found.ok or broken or vector.expect == "payload failure" or "scrypt" in vector.name
