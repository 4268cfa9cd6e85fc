from __future__ import annotations

import io
import os
import threading

import numpy as np
import pytest

from strongroom.audit.needles import Needle, of_fernet_key, of_hmac_key, of_password
from strongroom.audit.scanner import Memory, Search, scan_source
from strongroom.source import StreamSource
from tests.helpers import noise

WINDOW = 1 << 20
NEEDLES = [Needle("key", str(number), noise(16, number)) for number in range(300)]


@pytest.mark.parametrize("place", [0, 1, 7, WINDOW - 16, WINDOW - 15, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW - 16])
def test_finds_each_once(place: int) -> None:
    """A needle is counted once, wherever it stands, also across the border of two windows, and at the end."""
    for needle in NEEDLES[:3]:
        data = bytearray(3 * WINDOW)
        data[place : place + 16] = needle.value
        assert scan_source(StreamSource(io.BytesIO(data)), Search(NEEDLES)) == {needle: 1}


@pytest.mark.parametrize("size", [*range(20), WINDOW, WINDOW + 1])
def test_finds_what_a_plain_search_finds(size: int) -> None:
    """In data that is all needles, whole and cut, the counts are those of `bytes.count`, and nothing else is found."""
    data = b"".join(needle.value[: 16 - number % 3] for number, needle in enumerate(NEEDLES)) * (WINDOW // 4000)
    data = data[:size]
    found = scan_source(StreamSource(io.BytesIO(data)), Search(NEEDLES))
    assert found == {needle: count for needle in NEEDLES if (count := data.count(needle.value))}


def test_needles_of_one_beginning() -> None:
    """Needles that begin alike are told apart, and overlapping ones are all counted."""
    needles = [Needle("key", "a", b"a" * 8), Needle("key", "b", b"a" * 7 + b"b"), Needle("key", "c", b"a" * 8 + b"c")]
    found = Search(needles).count(memoryview(b"a" * 10 + b"cb"), 12)
    assert {needle.form: count for needle, count in found.items()} == {"a": 3, "c": 1}


def test_short_needles() -> None:
    """What would be found by chance is refused."""
    with pytest.raises(ValueError):
        Search([Needle("password", "bytes", b"1234567")])


def test_forms() -> None:
    """Keys and passwords are known in the forms that HMAC, Fernet and text make of them."""
    key = bytes(range(200, 232))
    forms = {needle.value for needle in of_hmac_key("k", key)}
    assert {key[:16], key[16:], bytes(byte ^ 0x36 for byte in key), bytes(byte ^ 0x5C for byte in key)} <= forms
    assert b"p\0a\0s\0s\0w\0o\0r\0d\0" in {needle.value for needle in of_password(b"password")}
    from cryptography.fernet import Fernet

    text = Fernet.generate_key()
    import base64

    forms = {needle.value for needle in of_fernet_key("f", base64.urlsafe_b64decode(text))}
    assert any(text.startswith(form) for form in forms)


def test_needles_show_no_secret() -> None:
    """The repr of a needle does not have its value."""
    assert "canary" not in repr(Needle("password", "bytes", b"canary-value"))


def test_regions() -> None:
    """A process's own memory is told apart: the stacks of its threads, malloc's arenas, and all else."""
    kinds: dict[str, str] = {}
    with Memory(os.getpid()) as memory:

        def in_thread() -> None:
            place = np.frombuffer(bytearray(1 << 16), np.uint8).ctypes.data  # of malloc's arena for this thread
            kinds["arena"] = next(region.kind for region in memory.regions() if region.start <= place < region.end)
            kinds["stacks"] = str(sum(region.name == "[stack of a thread]" for region in memory.regions()))

        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
        names = {region.name: region.kind for region in memory.regions()}
    assert kinds["arena"] == "heap"
    assert int(kinds["stacks"]) >= 1
    assert (names["[heap]"], names["[stack]"]) == ("heap", "stack")


def test_memory_of_nobody() -> None:
    """A process that is not there is an OSError."""
    with pytest.raises(OSError):
        Memory(1 << 30)
