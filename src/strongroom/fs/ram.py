"""RamFS: a private file system in memory, encrypted there."""

# ruff: noqa: ANN401, FBT001, FBT002 - the signatures are fsspec's

from __future__ import annotations

import errno
import os
import secrets
import time
from datetime import UTC, datetime
from functools import partial
from glob import has_magic
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, cast
from weakref import WeakValueDictionary

import fsspec  # type: ignore[import-untyped]

from strongroom.flow import as_bytes
from strongroom.fs.available import available_memory
from strongroom.fs.base import FileSystem
from strongroom.fs.file import RamFile
from strongroom.fs.pages import File, PageStore
from strongroom.fs.tree import Folder, Tree, clean, fault

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PREFIXES: Final = ("ramfs://", "ramfs::")
_TOKEN: Final = 32  # hexadecimal digits
_living: WeakValueDictionary[str, RamFS] = WeakValueDictionary()


class RamFS(FileSystem):
    """A file system for fsspec, pandas, Dask and pyarrow whose contents are in memory, and only as ciphertext.

    Every instance is private: nobody finds it but who holds it, or a URL that `url` gave. `limit` is how many bytes it
    may hold (default: half of the memory that is available now); past that, `LimitError`. Folders above a new file are
    made. Not for a forked child (`SecureMemoryError`), not pickled or copied (`TypeError`). `close()`, the end of its
    `with` block, or dropping it forgets the key and every page; after that every use is a `ValueError`.
    """

    protocol = "ramfs"
    root_marker = "/"
    cachable = False  # fsspec gives whoever asks with the same arguments the same instance, unless told not to

    def __new__(cls, limit: int | None = None, *, token: str | None = None, **options: Any) -> Self:  # noqa: ARG004
        """Make a file system, or find the one that `token` names."""
        if token is None:
            made: Self = super().__new__(cls)
            return made
        found = _living.get(token)
        if not isinstance(found, cls):
            message = "the URL is of no RamFS that is open in this process"
            raise ValueError(message)  # noqa: TRY004 - the value is wrong, and its type is right
        return found

    def __init__(self, limit: int | None = None, *, token: str | None = None, **options: Any) -> None:
        """Make an empty file system.

        `token` is what fsspec reads from a URL, and finds a living one; `options` are those of all fsspec file systems.
        """
        if token is not None:
            return
        if limit is not None and limit < 0:
            message = f"limit must be a whole number of bytes from 0, not {limit!r}"
            raise ValueError(message)
        super().__init__(**options)
        self._token = secrets.token_hex(_TOKEN // 2)
        self._identity = secrets.token_hex(_TOKEN // 2)
        self._store = PageStore(available_memory() // 2 if limit is None else limit)
        self._tree = Tree(self._store)
        _living[self._token] = self

    # What is particular to it.

    @property
    def limit(self) -> int:
        """How many bytes it may hold."""
        return self._store.limit

    @property
    def used(self) -> int:
        """How many bytes count against the limit: all of files, and 1 KiB for each file and folder past the 1024th."""
        return self._store.used

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._store.guard.closed

    def url(self, path: str | os.PathLike[str] = "/") -> str:
        """Return a URL for libraries that want one. Whoever has it, in this process, can use the whole file system."""
        self._store.guard.check()
        return f"ramfs://{self._token}{self._strip_protocol(path)}"

    def close(self) -> None:
        """Forget the key and every page, also those that open files still need."""
        _living.pop(self._token, None)
        if self._store.guard.usable:
            with self._store.guard.use():
                self._tree = Tree(self._store)
                self._store.close()

    def __enter__(self) -> Self:
        self._store.guard.check()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<RamFS, closed>" if self.closed else f"<RamFS of {self.used} bytes>"

    def __reduce__(self) -> NoReturn:
        message = "a RamFS is not pickled or copied: it would leave in the clear"
        raise TypeError(message)

    def to_dict(self, *, include_password: bool = True) -> NoReturn:
        """Refuse, as pickling does."""
        del include_password
        self.__reduce__()

    # How fsspec names things.

    @property
    def fsid(self) -> str:
        """What tells it from others. Does not give away its URL."""
        return f"ramfs_{self._identity}"

    @property
    def _fs_token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        # fsspec hashes and compares by it, Dask names tasks by it; the base makes it of the arguments alone.
        return self._identity

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]  # pyright: ignore[reportUnknownVariableType]
        name = os.fspath(cast("str | os.PathLike[str]", path))
        return clean(_split(name)[1])

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        token, _ = _split(path)
        if token is not None:
            return {"token": token}
        if path.startswith(_PREFIXES):  # what is written to a file system of its own would be lost with that
            message = "a ramfs URL names its file system: RamFS.url() gives it"
            raise ValueError(message)
        return {}

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path."""
        return self.url(name)

    # Folders.

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Make a folder. Raises `FileExistsError`, and `FileNotFoundError` without a parent if none is to be made."""
        path = self._strip_protocol(path)
        with self._store.guard.use():
            if self._tree.get(path) is not None:
                raise fault(errno.EEXIST, path)
            if not create_parents:
                self._tree.folder(self._parent(path))
            self._tree.make_folders(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder, and those above it. Raises `FileExistsError` for a file, and for a folder unless allowed."""
        path = self._strip_protocol(path)
        with self._store.guard.use():
            node = self._tree.get(path)
            if node is None:
                self._tree.make_folders(path)
            elif isinstance(node, File) or not exist_ok:
                raise fault(errno.EEXIST, path)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        with self._store.guard.use():
            self._tree.remove_folder(self._strip_protocol(path))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List a folder by name, or a file alone: as `info` gives them, or their paths without `detail`."""
        path = self._strip_protocol(path)
        with self._store.guard.use():
            node = self._tree.node(path)
            if isinstance(node, File):
                return [_info(path, node)] if detail else [path]
            base = path.rstrip("/")
            entries = node.entries
            if not detail:
                return [f"{base}/{name}" for name in sorted(entries)]
            return [_info(f"{base}/{name}", entries[name]) for name in sorted(entries)]

    # What is there. The base takes every error for 'no', also that the file system is closed.

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size, type ("file", "directory"), created and mtime (in seconds since 1970)."""
        path = self._strip_protocol(path)
        with self._store.guard.use():
            return _info(path, self._tree.node(path))

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is a file or folder."""
        return self._find(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether there is a file."""
        return isinstance(self._find(path), File)

    def isdir(self, path: str) -> bool:
        """Whether there is a folder."""
        return isinstance(self._find(path), Folder)

    def created(self, path: str) -> datetime:
        """When it was made, in UTC."""
        return datetime.fromtimestamp(self.info(path)["created"], UTC)

    def modified(self, path: str) -> datetime:
        """When it was last changed, in UTC."""
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    def set_modified(self, path: str, modified: datetime) -> None:
        """Set when it was last changed; `modified` is aware. fsspec has no call for this."""
        if modified.utcoffset() is None:
            message = "modified is an aware datetime, with a time zone"
            raise ValueError(message)
        with self._store.guard.use():
            self._tree.node(self._strip_protocol(path)).modified = modified.timestamp()

    # Contents.

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return a file's bytes, or a slice of them. Raises `TamperedError`."""
        with self._open(path) as file:
            start, end, _step = slice(start, end).indices(file.size)
            file.seek(start)
            return file.read(max(0, end - start))

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Return a slice of each file; `max_gap` would be for file systems whose round trips are dear."""
        self._store.guard.check()
        del max_gap
        return super().cat_ranges(paths, starts, ends, on_error=on_error)

    def pipe_file(self, path: str, value: Buffer, mode: str = "overwrite", **_: Any) -> None:
        """Make `value` a file's contents. Raises `LimitError`, and then the file is as it was."""
        view = as_bytes(value)
        if view is None:
            message = f"a bytes-like object is required, not {type(value).__name__}"
            raise TypeError(message)
        if self._intrans:
            with self.open(path, "xb" if mode == "create" else "wb") as staged:
                staged.write(view)
            return
        path = self._strip_protocol(path)
        with self._store.guard.use():
            there = self._tree.get(path)
            if there is not None and mode == "create":
                raise fault(errno.EEXIST, path)
            self._store.check_growth(len(view) - (there.size if isinstance(there, File) else 0))
            file = self._tree.file_to_write(path)
            self._store.truncate(file, 0)
            self._store.write(file, 0, view)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make an empty file, or empty the one that is there; without `truncate`, only set its time."""
        path = self._strip_protocol(path)
        with self._store.guard.use():
            there = self._tree.get(path)
            if there is not None and not truncate:
                there.modified = time.time()
            else:
                self._store.truncate(self._tree.file_to_write(path), 0)

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **_: Any,
    ) -> RamFile:
        del block_size, cache_options
        kind, update = mode[:1], "+" in mode
        if kind not in set("rwax") or sorted(mode[1:]) != sorted("b+" if update else "b"):
            message = f"mode is one of r, w, a, x, with b, and + or not; not {mode!r}"
            raise ValueError(message)
        path = self._strip_protocol(path)
        staged = not autocommit and kind != "r"
        with self._store.guard.use():
            there = self._tree.get(path)
            if isinstance(there, Folder):
                raise fault(errno.EISDIR, path)
            if kind == "r":
                file = self._tree.file(path)
            elif kind == "x" and there is not None:
                raise fault(errno.EEXIST, path)
            elif staged:
                file = self._store.create()
                if kind == "a" and there is not None:
                    self._store.copy(there, file)
            else:
                file = self._tree.file_to_write(path)
                if kind == "w":
                    self._store.truncate(file, 0)
            link = partial(self._commit, file, path, exclusive=kind == "x") if staged else None
            opened = RamFile(self._store, file, path, f"{kind}{'+' if update else ''}b", link=link)
            opened.fs = self
            return opened

    # Copies, moves, removals.

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a file, or make a folder like the one at `path1`."""
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        with self._store.guard.use():
            source = self._tree.node(path1)
            there = self._tree.get(path2)
            if isinstance(source, Folder):
                if isinstance(there, File):
                    raise fault(errno.EEXIST, path2)
                self._tree.make_folders(path2)
                return
            self._store.check_growth(source.size - (there.size if isinstance(there, File) else 0))
            target = self._tree.file_to_write(path2)
            if target is not source:
                self._store.copy(source, target)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **options: Any) -> None:
        """Rename a file or folder (with all that is in it), or move it into the folder `path2`.

        A file at `path2` is replaced; a folder, or what is in the folder `path2` under that name, is `FileExistsError`.
        Patterns, lists and depths copy and remove, as in the base.
        """
        if not isinstance(path1, str) or not isinstance(path2, str) or has_magic(path1) or maxdepth is not None:
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **options)
            return
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        with self._store.guard.use():
            if path2.endswith("/") and self._tree.get(target) is None:
                self._tree.node(source)
                self._tree.make_folders(target)
            self._tree.move(source, target)

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        with self._store.guard.use():
            self._tree.remove_file(self._strip_protocol(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, and with `recursive` folders with all that is in them; `path` may be a list or a pattern."""
        if maxdepth is None:
            for item in reversed(self.expand_path(path)):
                with self._store.guard.use():
                    if recursive:
                        self._tree.remove_all(item)
                    else:
                        self._tree.remove_file(item)
            return
        for item in reversed(self.expand_path(path, recursive=recursive, maxdepth=maxdepth)):
            if self.isfile(item):
                self.rm_file(item)
            else:
                self.rmdir(item)

    def _commit(self, file: File, path: str, *, exclusive: bool) -> None:
        """Put a file of a transaction in its place; inside the guard."""
        if exclusive and self._tree.get(path) is not None:
            raise fault(errno.EEXIST, path)
        self._tree.link(path, file)

    def _find(self, path: str) -> File | Folder | None:
        with self._store.guard.use():
            try:
                return self._tree.get(self._strip_protocol(path))
            except NotADirectoryError:
                return None


def _info(path: str, node: File | Folder) -> dict[str, Any]:
    return {
        "name": path,
        "size": node.size if isinstance(node, File) else 0,
        "type": "file" if isinstance(node, File) else "directory",
        "created": node.created,
        "mtime": node.modified,
    }


def _split(url: str) -> tuple[str | None, str]:
    """Return token and path of a URL, or None and a path."""
    if not url.startswith(_PREFIXES):
        return None, url
    path = url.removeprefix(_PREFIXES[0]).removeprefix(_PREFIXES[1])
    token, slash, rest = path.partition("/")
    if len(token) == _TOKEN and not token.strip("0123456789abcdef"):
        return token, slash + rest
    return None, path


fsspec.register_implementation("ramfs", RamFS, clobber=True)  # pyright: ignore[reportUnknownMemberType]
