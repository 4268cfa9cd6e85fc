from __future__ import annotations

import base64

import pytest

from strongroom.errors import FormatError
from strongroom.formats.age import armor
from strongroom.formats.age.armor import ArmoredSource, Armorer
from strongroom.source import read
from tests import agecraft
from tests.helpers import noise

SIZES = (0, 1, 2, 3, 47, 48, 49, 95, 96, 97, 48 * armor._LINES - 1, 48 * armor._LINES, 48 * armor._LINES + 50)


def armored(data: bytes, step: int = 1 << 20) -> bytes:
    """Return the armor around `data`."""
    armorer = Armorer()
    parts = [piece for start in range(0, len(data), step) for piece in armorer.update(data[start : start + step])]
    return b"".join([*parts, *armorer.finish()])


@pytest.mark.parametrize("size", SIZES)
def test_armor_is_pem(size: int) -> None:
    """RFC 7468, Figure 3: lines of 64 columns, base64 with padding; the same for pieces of any size."""
    data = noise(size)
    text = base64.b64encode(data).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    expected = "\n".join(["-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----", ""])
    assert armored(data) == expected.encode()
    if size < 200:
        for step in (1, 5, 47, 48, 49):
            assert armored(data, step) == expected.encode()


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", SIZES)
def test_armor_is_read_at_any_offset(size: int, ends: bytes) -> None:
    """Its lines are where arithmetic says; whitespace may stand around it."""
    data = noise(size)
    text = b" \t\r\n\n" + armored(data).replace(b"\n", ends) + b"\r\n\t "
    opened = ArmoredSource(agecraft.source(text))
    assert opened.size == size
    assert read(opened, 0, size) == data
    for start in {0, 1, 47, 48, 49, size // 2, size - 1} & set(range(size)):
        for length in {0, 1, 48, 50, size - start} & set(range(size - start + 1)):
            assert read(opened, start, length) == data[start : start + length]
    with pytest.raises(FormatError):
        read(opened, size, 1)


def test_each_changed_byte_is_noticed() -> None:
    """Armor cannot be changed without the file changing: no second text has the same meaning, but whitespace around."""
    data = noise(130)
    text = armored(data)
    for place in range(len(text)):
        for new in b"\n\r =AB-\x80":
            if text[place] == new:
                continue
            changed = text[:place] + bytes([new]) + text[place + 1 :]
            try:
                opened = ArmoredSource(agecraft.source(changed))
                assert read(opened, 0, opened.size) != data or changed.strip() == text.strip()
            except FormatError:
                continue
        for other in (text[:place] + text[place + 1 :], text[:place] + b"\n" + text[place:], text[:place]):
            try:
                opened = ArmoredSource(agecraft.source(other))
                assert read(opened, 0, opened.size) != data or other.strip() == text.strip()
            except FormatError:
                continue


def test_lines_end_alike() -> None:
    """Stricter than age: where they did not, no line's place could be known."""
    text = armored(noise(500))
    place = text.index(b"\n", 200)
    opened = text[:place] + b"\r" + text[place:]
    with pytest.raises(FormatError):
        read(ArmoredSource(agecraft.source(opened)), 0, 500)


def test_whitespace_around_is_bounded() -> None:
    """A file of nothing but spaces is not searched to its end."""
    text = armored(b"data")
    for changed in (b" " * 5000 + text, text + b" " * 5000):
        with pytest.raises(FormatError):
            ArmoredSource(agecraft.source(changed))
    assert not armor.is_armored(agecraft.source(b" " * 5000 + text))
    assert armor.is_armored(agecraft.source(b"\n" + text))
