from __future__ import annotations

import random

import pytest

from strongroom.errors import LimitError
from strongroom.fs import heap
from strongroom.fs.heap import SLAB, Heap

LARGEST = 65552


@pytest.fixture
def memory() -> Heap:
    """A heap of three slabs at most."""
    return Heap(LARGEST, most=3)


def test_blocks_never_overlap(memory: Heap) -> None:
    """Blocks of any sizes, taken and given back in any order, keep what is in them."""
    dice = random.Random(0)
    held: dict[int, tuple[int, int]] = {}
    for step in range(1, 4000):
        if held and dice.random() < 0.45:
            start = dice.choice(list(held))
            size, mark = held.pop(start)
            assert memory.view(start, size) == bytes([mark]) * size
            memory.free(start, size)
        else:
            size = dice.choice([1, 15, 16, 17, 1000, LARGEST - 1, LARGEST, dice.randint(1, LARGEST)])
            start = memory.allocate(size)
            assert start not in held
            held[start] = size, step % 251
            memory.view(start, size)[:] = bytes([step % 251]) * size
    for start, (size, mark) in held.items():
        assert memory.view(start, size) == bytes([mark]) * size
        memory.free(start, size)
    assert memory.mapped == SLAB, "one slab is kept for the next block, and the others go"
    memory.close()


def test_a_slab_is_full_to_the_byte(memory: Heap) -> None:
    """512 pages with their tags take one slab, and the next one takes another."""
    starts = [memory.allocate(LARGEST) for _ in range(512)]
    assert memory.mapped == SLAB
    starts.append(memory.allocate(1))
    assert memory.mapped == 2 * SLAB
    memory.free(starts.pop(7), LARGEST)
    assert memory.allocate(16) not in starts, "the last, short slab has the smaller gaps"
    assert memory.allocate(LARGEST) not in starts
    assert memory.mapped == 2 * SLAB
    memory.close()


def test_short_blocks_fill_gaps(memory: Heap) -> None:
    """A short block goes where the least is left over."""
    large, first, small, second = (memory.allocate(size) for size in (1600, 16, 160, 16))
    memory.free(large, 1600)
    memory.free(small, 160)
    assert memory.allocate(100) == small
    assert memory.allocate(1600) == large
    assert first != second
    memory.close()


def test_too_many_slabs(memory: Heap) -> None:
    """The heap has a limit of its own, whatever its blocks are."""
    with pytest.raises(LimitError):  # noqa: PT012 - which of the calls it is does not matter
        for _ in range(3 * 512 + 1):
            memory.allocate(LARGEST)
    assert memory.mapped == 3 * SLAB
    memory.close()
    assert memory.mapped == 0


@pytest.mark.parametrize("error", [OSError(12, "no memory"), MemoryError()])
def test_the_system_has_no_more(memory: Heap, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A system that gives no memory is a limit, too."""

    def refuse() -> None:
        raise error

    monkeypatch.setattr(heap, "_new_slab", refuse)
    with pytest.raises(LimitError):
        memory.allocate(1)


def test_close_with_a_view(memory: Heap) -> None:
    """A view that something still holds does not keep the heap from closing."""
    view = memory.view(memory.allocate(100), 100)
    memory.close()
    assert memory.mapped == 0
    assert view.nbytes == 100
