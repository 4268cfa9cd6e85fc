"""Keys, and a sealed file system of one's own on the local disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from strongroom.formats.age import identities
from strongroom.fs import SealedFileSystem


@dataclass(frozen=True)
class Keys:
    """A key pair: the recipient, and the path of the file of its identity."""

    recipient: str
    path: Path

    @property
    def text(self) -> str:
        """The identity as a `str`."""
        return self.path.read_text()


def make_keys(folder: Path, name: str = "identity.txt") -> Keys:
    """Make a key pair."""
    identity = identities.generate(classic=True)
    with identities.encode(identity) as text:
        (folder / name).write_bytes(bytes(text))
    identity.close()
    return Keys(identity.recipient, folder / name)


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """A key pair."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def fs(keys: Keys) -> Iterator[SealedFileSystem]:
    """A file system that writes and reads."""
    with SealedFileSystem(fs=fsspec.filesystem("file"), recipients=keys.recipient, identities=keys.path) as made:
        yield made
