from __future__ import annotations

import threading

import pytest

from strongroom.memory.slots import Slots


@pytest.mark.parametrize(("size", "on_a_page"), [(1, 4096), (66, 62), (4096, 1), (5000, 1)])
def test_share_pages(size: int, on_a_page: int) -> None:
    """As many slots as fit share a page; what is given back is used again."""
    slots = Slots(size)
    taken = [slots.take() for _ in range(on_a_page)]
    assert len(slots._pages) == 1
    assert {len(slot) for slot in taken} == {size}
    for number, slot in enumerate(taken):
        slot[-1] = number % 255 + 1
    assert [slot[-1] for slot in taken] == [number % 255 + 1 for number in range(on_a_page)]
    slots.give_back(taken.pop())
    slots.take()
    assert len(slots._pages) == 1
    slots.take()
    assert len(slots._pages) == 2


def test_given_back_is_wiped() -> None:
    """What is given back is zeros at once, and so is the next slot."""
    slots = Slots(10)
    slot = slots.take()
    slot[:] = b"0123456789"
    slots.give_back(slot)
    assert bytes(slot) == bytes(10)
    assert bytes(slots.take()) == bytes(10)


def test_close_wipes_and_gives_back() -> None:
    """`close` wipes also what is still in use, and gives the pages back."""
    slots = Slots(10)
    slot = slots.take()
    slot[:] = b"0123456789"
    (page,) = slots._pages
    slots.close()
    assert bytes(slot) == bytes(10)
    slot.release()
    page.close()
    assert page.closed
    slots.close()


def test_close_without_loans() -> None:
    """With all slots given back, the pages are gone at once."""
    slots = Slots(10)
    slots.give_back(slots.take())
    (page,) = slots._pages
    slots.close()
    assert page.closed


def test_threads() -> None:
    """Threads never get the same slot at a time."""
    slots = Slots(8)
    wrong: list[int] = []

    def work(mark: int) -> None:
        for _ in range(500):
            taken = [slots.take() for _ in range(100)]
            for slot in taken:
                slot[:] = bytes([mark]) * 8
            wrong.extend(mark for slot in taken if bytes(slot) != bytes([mark]) * 8)
            for slot in taken:
                slots.give_back(slot)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(slots._pages) <= 4 + 3  # 400 slots at once, and what racing threads took twice
