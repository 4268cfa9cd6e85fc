"""Makes a manifest, while an archive is written."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from strongroom.manifest import keys
from strongroom.manifest.spec import SALT_SIZE, Tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from strongroom.manifest import Evidence


def whole_tag(key: keys.Key, parts: tuple[bytes, ...]) -> bytes:
    """Return the tag of the whole. Its parts may be large, so that they are hashed where they stand, not joined."""
    return key.tag(b"whole", *(keys.digest(part) for part in parts))


class Sealer:
    """The manifest of one archive. `derive` makes its key of salt and rounds; wiped by `close()`.

    `random` gives that many bytes.
    """

    def __init__(self, derive: Callable[[bytes, int], keys.Key], random: Callable[[int], bytes]) -> None:
        self._derive = derive
        self._front = random(SALT_SIZE)
        self._rounds = keys.ROUNDS
        self._made: keys.Key | None = None
        self._indices = count(int.from_bytes(random(keys.OFFSET_BITS // 8), "little"))
        self._count = 0

    def share(self, derive: Callable[[bytes, int], keys.Key], rounds: int) -> bytes:
        """Have `derive` make the key, of the archive's own; return the salt that this is to be derived with.

        For formats that have one key for all entries. The key is made when it is first needed.
        """
        self._derive, self._rounds = derive, rounds
        return keys.stamp(self._front)

    @property
    def _key(self) -> keys.Key:
        if self._made is None:
            self._made = self._derive(self._front, self._rounds)
        return self._made

    def salt(self) -> bytes:
        """Return a salt of 16 bytes for an entry, never the same twice, that carries the mark."""
        return self._key.mark(next(self._indices))

    def record(self, evidence: Evidence) -> bytes:
        """Return what to store with the next entry."""
        number, self._count = self._count, self._count + 1
        return self._key.record(number, evidence.parts, evidence.aspects).encode()

    def tail(self) -> bytes:
        """Return what to store behind the last record; the tag of the whole takes its last `TAG_SIZE` bytes."""
        return Tail(self._key.salt, self._key.rounds, self._count, self._key.check).encode()

    def whole(self, *parts: bytes) -> bytes:
        """Return the tag of the whole, over what `Shown.whole` has."""
        return whole_tag(self._key, parts)

    def close(self) -> None:
        """Wipe the key."""
        if self._made is not None:
            self._made.close()
