"""fsspec's AbstractFileSystem with types, which fsspec itself does not declare."""

# What is declared here is what fsspec does; its own signatures have no types that could agree or disagree.
# pyright: reportIncompatibleMethodOverride=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# ruff: noqa: ANN401, D102, FBT001, FBT002

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

if TYPE_CHECKING:
    import io
    import os
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from strongroom.fs.file import RamFile

    Path: TypeAlias = str | os.PathLike[str]
    TextMode: TypeAlias = Literal[
        "r", "rt", "w", "wt", "a", "at", "x", "xt", "r+", "r+t", "w+", "w+t", "a+", "a+t", "x+", "x+t"
    ]  # fmt: skip

    # What has no types would make ours incomplete: these stand for fsspec's, and know no more of them than their names.
    class Cached(type):
        """What fsspec makes file systems with: equal arguments give the same one."""

    class AbstractFileSystem(metaclass=Cached):
        """What all file systems of fsspec have."""

        def __getattr__(self, name: str) -> Any: ...
        def to_dict(self, *, include_password: bool = True) -> dict[str, Any]: ...

    class ChainedFileSystem(AbstractFileSystem):
        """One that stands on another in a chain of URLs."""

else:
    from fsspec import AbstractFileSystem
    from fsspec.implementations.chained import ChainedFileSystem
    from fsspec.spec import _Cached as Cached

__all__ = ["Cached", "ChainedFileSystem", "FileSystem"]


class FileSystem(AbstractFileSystem):
    """The base of our file systems. Adds nothing but types."""

    if TYPE_CHECKING:
        _intrans: bool

        def __init__(self, **storage_options: Any) -> None: ...
        @property
        def transaction(self) -> Any: ...
        @overload
        def open(  # pyright: ignore[reportOverlappingOverload] - a Literal is a str
            self,
            path: Path,
            mode: TextMode,
            block_size: int | None = None,
            cache_options: dict[str, Any] | None = None,
            compression: str | None = None,
            **kwargs: Any,
        ) -> io.TextIOWrapper: ...
        @overload
        def open(
            self,
            path: Path,
            mode: str = "rb",
            block_size: int | None = None,
            cache_options: dict[str, Any] | None = None,
            compression: str | None = None,
            **kwargs: Any,
        ) -> RamFile: ...
        def open(self, *args: Any, **kwargs: Any) -> Any: ...
        @classmethod
        def _parent(cls, path: Path) -> str: ...
        def cat(
            self, path: Path | list[str], recursive: bool = False, on_error: str = "raise", **kwargs: Any
        ) -> Any: ...
        def cat_ranges(
            self,
            paths: list[str],
            starts: Any,
            ends: Any,
            max_gap: int | None = None,
            on_error: str = "return",
            **kwargs: Any,
        ) -> list[Any]: ...
        def pipe(self, path: str | dict[str, Buffer], value: Buffer | None = None, **kwargs: Any) -> None: ...
        def expand_path(
            self, path: Path | list[str], recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
        ) -> list[str]: ...
        def find(
            self, path: Path, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **kwargs: Any
        ) -> Any: ...
        def glob(self, path: Path, maxdepth: int | None = None, **kwargs: Any) -> Any: ...
        def walk(
            self, path: Path, maxdepth: int | None = None, topdown: bool = True, **kwargs: Any
        ) -> Iterator[tuple[str, Any, Any]]: ...
        def du(
            self, path: Path, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any
        ) -> Any: ...
        def copy(
            self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
        ) -> None: ...
        def mv(
            self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
        ) -> None: ...
        def get(self, rpath: Any, lpath: Any, recursive: bool = False, **kwargs: Any) -> None: ...
        def put(self, lpath: Any, rpath: Any, recursive: bool = False, **kwargs: Any) -> None: ...
        def read_text(self, path: Path, encoding: str | None = None, **kwargs: Any) -> str: ...
        def write_text(self, path: Path, value: str, encoding: str | None = None, **kwargs: Any) -> int: ...
        def read_bytes(self, path: Path, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes: ...
        def write_bytes(self, path: Path, value: Buffer, **kwargs: Any) -> None: ...
