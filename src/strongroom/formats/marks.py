"""What a first reading leaves for a second one: so a file that changes between the two is noticed."""

from __future__ import annotations

import threading

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.memory.secret import SecretBuffer


class Marks:
    """A GMAC of each chunk, under a key made for one reader alone. Chunks can be checked in any order, and often."""

    def __init__(self) -> None:
        self._key: SecretBuffer | None = None
        self._tags: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def same(self, place: int, chunk: memoryview) -> bool:
        """Whether the chunk at byte `place` is the one that was there the first time; which it is the first time."""
        with self._lock:  # two threads may come first
            if self._key is None:
                self._key = SecretBuffer.random(32)
        nonce, tag = place.to_bytes(12, "big"), self._tags.get(place)
        with memoryview(self._key) as key:
            cipher = AESGCM(key)
        if tag is None:
            self._tags[place] = cipher.encrypt(nonce, b"", chunk)
            return True
        try:
            cipher.decrypt(nonce, tag, chunk)
        except InvalidTag:
            return False
        return True

    def close(self) -> None:
        """Wipe the key."""
        self._tags.clear()
        if self._key is not None:
            self._key.close()
