from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom import Secret
from strongroom.manifest import Evidence
from strongroom.manifest.keys import ROUNDS, Key, _encode
from strongroom.manifest.sealing import Sealer, whole_tag
from strongroom.manifest.spec import Record, Tail

LABEL = "strongroom manifest 1 zip"
SALT = b"0123456789"
PARTS = st.lists(st.binary(max_size=20), max_size=6)


def derived(salt: bytes = SALT, rounds: int = 3, password: bytes = b"pass") -> bytes:
    """The key, as the standard library makes it."""
    return hashlib.pbkdf2_hmac("sha256", password, LABEL.encode() + salt, rounds)


def message(*parts: bytes) -> bytes:
    """What a tag is of, put together by hand."""
    sizes = (len(parts) - 1, *map(len, parts))
    return b"".join(size.to_bytes(8, "little") for size in sizes) + b"".join(parts)


def tag(key: bytes, *parts: bytes) -> bytes:
    """A tag, as the standard library makes it."""
    return hmac.digest(key, message(*parts), "sha256")[:16]


@pytest.fixture
def key() -> Iterator[Key]:
    """A key that costs little."""
    with Secret("pass") as password, Key.derive(password, LABEL, SALT, 3) as made:
        yield made


def test_vectors(key: Key) -> None:
    """Key, check, record and tag of the whole, beside another implementation."""
    raw = derived()
    assert key.check == tag(raw, b"check")
    record = key.record(7, [b"one", b"", b"three"], [b"n", b"t", b"a", b"p", b"d"])
    names = (b"name", b"time", b"attributes", b"packing", b"data")
    hints = tuple(tag(raw, b"hint", name, name[:1])[:4] for name in names)
    assert record == Record(7, tag(raw, b"record", b"\x07\0\0\0", b"one", b"", b"three"), hints)
    digests = [hashlib.sha256(part).digest() for part in (b"a", b"b")]
    assert whole_tag(key, (b"a", b"b")) == tag(raw, b"whole", *digests)


def test_what_is_written_costs_100_000_rounds() -> None:
    """In users' archives."""
    with Secret("pass") as password:
        sealer = Sealer(partial(Key.derive, password, LABEL), lambda size: bytes(range(size)))
        tail = Tail.decode(sealer.tail())
        sealer.close()
    assert (tail.salt, tail.rounds, tail.entries) == (bytes(range(10)), 100_000, 0)
    assert tail.check == tag(derived(bytes(range(10)), ROUNDS), b"check")


@given(first=PARTS, second=PARTS)
def test_no_two_lists_of_parts_are_encoded_alike(first: list[bytes], second: list[bytes]) -> None:
    """Nothing can be moved from one part into the next."""
    assert (_encode(b"x", first) == _encode(b"x", second)) == (first == second)


def test_a_tag_depends_on_everything(key: Key) -> None:
    """On password, label, salt, rounds, number, and every part."""
    seen = {key.record(0, [b"ab", b"c"], [b""] * 5).tag}
    seen |= {key.record(1, [b"ab", b"c"], [b""] * 5).tag, key.record(0, [b"a", b"bc"], [b""] * 5).tag}
    for password, label, salt, rounds in (
        ("Pass", LABEL, SALT, 3),
        ("pass", LABEL[:-3] + "7z", SALT, 3),
        ("pass", LABEL, SALT[::-1], 3),
        ("pass", LABEL, SALT, 4),
    ):
        with Secret(password) as secret, Key.derive(secret, label, salt, rounds) as other:
            seen.add(other.record(0, [b"ab", b"c"], [b""] * 5).tag)
    assert len(seen) == 7


# The mark


def test_mark_by_hand(key: Key) -> None:
    """Ten bytes of the archive, and a counter that starts at a tag."""
    start = int.from_bytes(tag(derived(), b"mark")[:6], "little")
    assert key.mark(5) == SALT + ((start + 5) % (1 << 48)).to_bytes(6, "little")


def test_what_is_marked(key: Key) -> None:
    """All salts that an archive of 2^24 entries can have, and no others; also where the counter begins anew."""
    most = (1 << 25) - 1
    assert all(key.marked(key.mark(index)) for index in (0, 1, 1000, most))
    assert not any(key.marked(key.mark(index)) for index in (-1, most + 1, 1 << 47))
    assert not key.marked(SALT[::-1] + key.mark(0)[10:])
    assert not any(key.marked(salt) for salt in (b"", SALT, key.mark(0)[:12], key.mark(0) + b"\0"))


def test_random_salts_are_not_marked(key: Key) -> None:
    """One in 2^23 is, where the key was derived from its own front; none of these."""
    assert not any(key.marked(SALT + os.urandom(6)) for _ in range(1000))


def test_salts_never_repeat() -> None:
    """In an archive they count up from a random start, wherever that is, past the end of the counter as well."""
    for offset in (b"\0\0\0", b"\xff\xff\xff"):
        with Secret("pass") as password:
            sealer = Sealer(
                partial(Key.derive, password, LABEL), lambda size, offset=offset: offset if size == 3 else SALT
            )  # type: ignore[misc]
            salts = [sealer.salt() for _ in range(5000)]
            with Key.derive(password, LABEL, SALT, ROUNDS) as known:
                assert all(map(known.marked, salts))
            sealer.close()
        assert len({*salts}) == 5000
        assert {len(salt) for salt in salts} == {16}


def test_another_password_sees_no_mark() -> None:
    """Who doesn't know the password cannot tell the counter from random bytes."""
    with Secret("pass") as password, Key.derive(password, LABEL, SALT, 3) as mine:
        marked = mine.mark(0)
    with Secret("Pass") as password, Key.derive(password, LABEL, SALT, 3) as other:
        assert not other.marked(marked)


def test_the_key_is_wiped() -> None:
    """After `close` nothing can be made with it, and its repr never shows it."""
    with Secret("pass") as password:
        key = Key.derive(password, LABEL, SALT, 3)
    raw = derived()
    assert raw not in repr(vars(key)).encode()
    assert raw.hex() not in repr(vars(key))
    key.close()
    with pytest.raises(ValueError, match="closed"):
        key.tag(b"check")


def test_records_are_numbered() -> None:
    """From 0, in the order in which they are asked for; the tail has their count."""
    evidence = Evidence(parts=(b"part",), aspects=(b"",) * 5, salt=b"", name="a", packing="", rest="")  # type: ignore[arg-type]
    with Secret("pass") as password:
        sealer = Sealer(partial(Key.derive, password, LABEL), os.urandom)
        assert [Record.decode(sealer.record(evidence)).number for _ in range(3)] == [0, 1, 2]
        assert Tail.decode(sealer.tail()).entries == 3
        sealer.close()
