from __future__ import annotations

import pytest

from strongroom.memory.given import given_bytes

SIZES = [0, 1, 2, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, 9 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_filled_in_place(size: int) -> None:
    """What was put in comes back, as bytes like any others, and no shared object was written to."""
    content = bytes(number % 251 for number in range(min(size, 1000))) + bytes(max(0, size - 1000))

    def fill(view: memoryview) -> None:
        view[:] = content

    given = given_bytes(size, fill)
    assert type(given) is bytes
    assert given == content
    assert hash(given) == hash(content)
    assert given + b"x" == content + b"x"
    assert [bytes([number]) for number in range(3)] == [b"\0", b"\1", b"\2"]


@pytest.mark.parametrize("size", SIZES)
def test_wiped_where_it_fails(size: int) -> None:
    """An error leaves the memory without what was put in, also for who kept a view of it too long."""
    kept: list[memoryview] = []

    def fill(view: memoryview) -> None:
        view[:] = b"x" * len(view)
        kept.append(view)
        raise KeyError

    with pytest.raises(KeyError) as caught:
        given_bytes(size, fill)
    frames = caught.traceback[-2].frame
    value = frames.f_locals.get("value", b"")
    assert not any(value)
