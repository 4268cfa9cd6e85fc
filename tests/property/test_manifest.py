"""Whatever stands in the manifest's field, there is a result or an error of ours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import strongroom
from strongroom.errors import FormatError, LimitError, StrongroomError, TamperedError, WrongKeyError
from strongroom.manifest.spec import RECORD_SIZE, TAIL_SIZE
from tests.zipedit import Apart, apart

LENGTHS = st.sampled_from([0, 1, RECORD_SIZE, TAIL_SIZE, RECORD_SIZE + TAIL_SIZE, RECORD_SIZE + TAIL_SIZE + 1])
FIELDS = LENGTHS.flatmap(lambda size: st.binary(min_size=size, max_size=size)) | st.binary(max_size=120)
LIMITS = strongroom.Limits(kdf_work=1000)
quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def _few_rounds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strongroom.manifest.keys.ROUNDS", 2)
        yield


def sealed() -> Apart:
    """Three entries, in pieces."""
    stream = io.BytesIO()
    strongroom.seal({"a": b"1", "b": b"22", "c": b"333"}, stream, format="zip", password="pass")
    return apart(stream.getvalue())


def outcome(archive: bytes) -> type[StrongroomError] | None:
    """What opening and verifying it raises or finds."""
    try:
        with strongroom.open(io.BytesIO(archive), password="pass", limits=LIMITS) as room:
            assert not room.verify().ok
    except StrongroomError as error:
        return type(error)
    return None


@quick
@given(number=st.integers(0, 2), data=FIELDS)
def test_any_field(number: int, data: bytes) -> None:
    """One field has other bytes: that is noticed, and never as a wrong password."""
    pieces = sealed()
    parts = list(pieces.parts)
    parts[number] = parts[number].with_manifest(data)
    error = outcome(replace(pieces, parts=parts).together())
    assert error in (FormatError, TamperedError, LimitError)


@quick
@given(data=st.lists(FIELDS, min_size=3, max_size=3))
def test_any_fields(data: list[bytes]) -> None:
    """All fields have."""
    pieces = sealed()
    parts = [part.with_manifest(field) for part, field in zip(pieces.parts, data, strict=True)]
    assert outcome(replace(pieces, parts=parts).together()) in (FormatError, TamperedError, LimitError)


@quick
@given(tail=st.binary(max_size=120), digits=st.booleans())
def test_any_comment(tail: bytes, *, digits: bool) -> None:
    """An archive without entries has a comment of any bytes: it opens as one without a manifest, or is refused."""
    comment = b"strongroom manifest 1: " + (tail.hex().encode() if digits else tail)
    archive = Apart(parts=[], comment=comment).together()
    try:
        with strongroom.open(io.BytesIO(archive), password="pass", limits=LIMITS) as room:
            assert room.verify().manifest == "absent"
    except (FormatError, TamperedError, LimitError, WrongKeyError):
        return  # without entries nothing else says whether the password is right
    with pytest.raises(TamperedError):
        strongroom.open(io.BytesIO(archive), password="pass", manifest="required")
