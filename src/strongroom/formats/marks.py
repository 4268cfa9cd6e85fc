"""What a first reading leaves for a second one: so a file that changes between the two is noticed."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


@dataclass(slots=True)
class Marks:
    """A GMAC of each chunk, under a key made for one reader alone. Chunks can be checked in any order, and often."""

    key: bytes = field(default_factory=lambda: AESGCM.generate_key(256), repr=False)
    tags: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def add(self, place: int, chunk: memoryview) -> None:
        """Keep what the chunk at `place`, which is new, was."""
        self.tags[place] = AESGCM(self.key).encrypt(_nonce(place), b"", chunk)

    def fits(self, place: int, chunk: memoryview) -> bool:
        """Whether the chunk at `place` is the one that was added."""
        try:
            AESGCM(self.key).decrypt(_nonce(place), self.tags[place], chunk)
        except InvalidTag:
            return False
        return True

    def __contains__(self, place: int) -> bool:
        return place in self.tags


def _nonce(place: int) -> bytes:
    return place.to_bytes(12, "big")
