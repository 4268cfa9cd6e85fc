"""The tamper evidence of P7: a MAC over what a format leaves unauthenticated, the same for every format that needs it.

A format hands over raw bytes and stores opaque ones; it knows no key. `Sealer` makes a manifest while an archive is
written, `Guard` checks it while one is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

ManifestPolicy = Literal["auto", "required", "ignore"]
"""`auto` checks a manifest that is there, and misses one that was removed; `required` refuses archives without one;
`ignore` reads what does not hold, with a warning."""

ManifestState = Literal["verified", "absent", "removed", "changed", "unchecked", "unneeded"]
"""What became of it. `verified`: it holds. `absent`: there is none, nor a sign that there was. `removed`: the archive
was made with one, which was cut off. `changed`: it does not hold. `unchecked`: there was no password to check it
with. `unneeded`: the format authenticates the whole file by itself, as age does."""


class Evidence(NamedTuple):
    """What a format shows of an entry.

    parts    every raw part of it, as it stands in the file, in an order that the format never changes
    aspects  the bytes of name, time, attributes, packing (method, sizes, encryption) and data, to say what was changed
    salt     the salt of its encryption, or nothing
    name     the name, and `packing` words for how it is packed and encrypted now, for messages
    rest     words for what the parts have and no aspect does
    """

    parts: tuple[bytes, ...]
    aspects: tuple[bytes, bytes, bytes, bytes, bytes]
    salt: bytes
    name: str
    packing: str
    rest: str


class Shown(Protocol):
    """What a format's reader shows of an archive."""

    @property
    def fields(self) -> Sequence[bytes]:
        """What the manifest stored with each entry, in order, empty where there is nothing; the last with the tail.

        An archive without entries has the tail alone, or nothing.
        """
        ...

    @property
    def salt(self) -> bytes:
        """The salt of the key that all of the archive shares, or nothing, where every entry has its own."""
        ...

    @property
    def count(self) -> int | None:
        """How many entries there are, where `fields` does not stand with them but apart; else None.

        Raises a `StrongroomError` where the names cannot be read.
        """
        ...

    @property
    def whole(self) -> tuple[bytes, ...]:
        """The raw parts that the tag of the whole covers: all of the directory and of what follows, less that tag."""
        ...

    @property
    def oddities(self) -> Sequence[str]:
        """What no archive of ours has, in words for an error."""
        ...

    def evidence(self, position: int) -> Evidence:
        """Show an entry by its position; what cannot be read of it is empty."""
        ...

    def authentic(self) -> bool:
        """Whether some entry's own authentication code holds, so that the password is right."""
        ...
