from __future__ import annotations

import ctypes

from strongroom.memory.returned import move_into


def test_value_is_moved_and_overwritten() -> None:
    """What nobody else holds is zeros where it stood."""
    target = bytearray(4)
    values = [bytes(bytearray(b"key!"))]
    place = id(values[0]) + bytes.__basicsize__ - 1
    before = ctypes.string_at(place, 4)
    holder = memoryview(target)
    move_into(values.pop(), holder)
    after = (ctypes.c_char * 4).from_address(place)  # not a new object in the place of the old one
    assert after[:] == bytes(4)
    assert before == bytes(target) == b"key!"


def test_shared_value_stays_as_it_is() -> None:
    """Nobody sees bytes change that they hold as well; nor the one object that a byte is."""
    value, target = bytes(bytearray(b"constant")), bytearray(8)
    move_into(value, memoryview(target))
    move_into(b"\x07"[:1], memoryview(target)[:1])
    assert value == b"constant"
    assert bytes([7])[0] == 7
    assert bytes(target) == b"\x07onstant"
