"""SealedFileSystem keeps fsspec's contract: fsspec's own suites, over memory and over the local disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.tests import abstract

from strongroom.formats.age import identities
from strongroom.fs import SealedFileSystem


class SealedFixtures(abstract.AbstractFixtures):
    @pytest.fixture(params=["memory", "file"])
    def fs(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SealedFileSystem]:
        monkeypatch.setattr("os.fsync", lambda _: None)  # of thousands of small files; tests/faults has what it is for
        identity = identities.generate(classic=True)
        inner = fsspec.filesystem(request.param, **({"auto_mkdir": True} if request.param == "file" else {}))
        text = identities.encode(identity)
        with SealedFileSystem(fs=inner, recipients=identity.recipient, identities=text) as fs:
            yield fs
        text.close()
        identity.close()
        if request.param == "memory":
            inner.store.clear()
            inner.pseudo_dirs[:] = [""]

    @pytest.fixture
    def fs_path(self, fs: SealedFileSystem, tmp_path: Path) -> str:
        return "/suite" if "memory" in fs.fs.protocol else str(tmp_path / "suite")

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)


class TestCopy(abstract.AbstractCopyTests, SealedFixtures):
    pass


class TestGet(abstract.AbstractGetTests, SealedFixtures):
    pass


class TestPut(abstract.AbstractPutTests, SealedFixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, SealedFixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, SealedFixtures):
    pass
