"""SealedFileSystem: age over any fsspec file system."""

# What is declared here is what fsspec does; its own signatures have no types that could agree or disagree.
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# ruff: noqa: ANN401, FBT001, FBT002 - the signatures are fsspec's

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import fsspec  # type: ignore[import-untyped]
from fsspec.compression import compr  # type: ignore[import-untyped]
from fsspec.config import apply_config  # type: ignore[import-untyped]
from fsspec.core import get_compression  # type: ignore[import-untyped]
from fsspec.utils import tokenize  # type: ignore[import-untyped]

from strongroom.flow import CHUNK, as_bytes, default_threads
from strongroom.formats.age.envelope import Envelope, Sealed
from strongroom.fs.base import Cached, ChainedFileSystem, FileSystem
from strongroom.fs.sealed import names
from strongroom.fs.sealed.inner import is_local, open_inner
from strongroom.fs.sealed.keyring import Keyring, conceal
from strongroom.fs.sealed.outputs import open_output
from strongroom.fs.sealed.reading import SealedReader
from strongroom.fs.sealed.sizes import Sizes
from strongroom.fs.sealed.writing import CompressedWriter, SealedWriter, TextWriter
from strongroom.limits import MIB, Limits
from strongroom.output import FileOutput, put

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from strongroom.fs.sealed.keyring import Identities, Recipients

_FSSPEC: Final = frozenset({"use_listings_cache", "listings_expiry_time", "max_paths", "asynchronous", "loop",
                            "skip_instance_cache", "add_docs", "add_aliases"})  # fmt: skip
_WHOLE: Final = 16 * MIB
"""Up to this size `get` opens a file once, into memory; a longer one is checked first, and then opened again."""


class _Concealed(Cached):
    """Lets fsspec, which makes text of all arguments to tell instances apart, see no secret text among them."""

    if not TYPE_CHECKING:

        def __call__(self, *args: Any, **options: Any) -> Any:
            options = apply_config(self, options)
            options["identities"], made = conceal(options.get("identities"))
            try:
                return super().__call__(*args, **options)
            finally:
                for secret in made:
                    secret.close()


class SealedFileSystem(FileSystem, ChainedFileSystem, metaclass=_Concealed):
    """A file system for fsspec, pandas, Dask, DuckDB and pyarrow whose every file is an age file on another one.

    `sealed::file:///data/a.parquet` is the file `/data/a.parquet.age`. Whoever has only `recipients` writes, and reads
    nothing (`WrongKeyError`); whoever has only `identities` reads, and writes nothing (`ValueError`). Files that do not
    end in `.age` are not shown. `fs` is the inner file system, where it does not come from a URL.

    Recipients are text (`age1…`, `age1pq1…`, `ssh-ed25519 …`) or paths of files of them; identities are text
    (`AGE-SECRET-KEY-1…`, as `str` or better as `Secret`) or paths of files of them, also SSH keys. With recipients, and
    with identities that are paths, it can be pickled for the workers of Dask; with identities as text it cannot
    (`TypeError`). `close()` and the end of its `with` block wipe the identities.
    """

    protocol: ClassVar[str] = "sealed"
    root_marker = ""
    cachable = False  # fsspec would keep it, and its keys, for good

    def __init__(  # noqa: PLR0913 - all have names
        self,
        *,
        recipients: Recipients = (),
        identities: Identities = (),
        fs: Any = None,
        fo: Any = None,
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        """Make a file system over `fs`, or over that of `target_protocol` with `target_options`, as URLs give them.

        Raises `ValueError`, `OSError` and a `StrongroomError` for what are no keys, `TypeError` for other options.
        """
        del fo  # where the URL points; every path comes whole
        if "password" in options:
            message = "a sealed file system takes no password, which costs a second and 256 MiB each time that a file "
            message += "is opened: make a key pair, and protect the file of its identity"
            raise ValueError(message)
        if unknown := options.keys() - _FSSPEC:
            message = f"a sealed file system has no option {', '.join(sorted(unknown))}"
            raise TypeError(message)
        if fs is None:
            if target_protocol is None:
                message = "sealed stands before another file system: sealed::file:///…, sealed::s3://…, or fs=…"
                raise ValueError(message)
            fs = fsspec.filesystem(target_protocol, **(target_options or {}))
        super().__init__(**options)
        self.fs = fs
        self._limits = limits or Limits()
        self._threads = default_threads()
        self._keys = Keyring(recipients, identities, self._limits)
        self._sizes = Sizes(fs, self._limits)
        strip = partial(names.strip, fs)  # each instance has its own inner file system
        setattr(self, "_strip_protocol", strip)  # noqa: B010 - type checkers know a class method

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return names.without_protocol(path)  # for URLs, which fsspec takes apart before there is an instance

    def close(self) -> None:
        """Wipe the identities. Files that are open can be used on."""
        self._keys.close()

    def __enter__(self) -> Self:
        self._keys.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SealedFileSystem over {type(self.fs).__name__}, {self._keys!r}>"

    # What fsspec makes of the arguments, without the secrets among them.

    @property
    def storage_options(self) -> dict[str, Any]:
        """The inner file system, the recipients, and the paths of files of identities; never identities themselves."""
        return {"fs": self.fs, "recipients": self._keys.public, "identities": list(self._keys.paths or ())}

    @storage_options.setter
    def storage_options(self, _: object) -> None:
        """Forget what fsspec would keep."""

    @property
    def storage_args(self) -> tuple[()]:
        """Nothing: all arguments have names."""
        return ()

    @storage_args.setter
    def storage_args(self, _: object) -> None:
        """Forget what fsspec would keep."""

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_shown()
        return _remake, (type(self), self.storage_options, self._limits)

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return what makes one like it, without secrets. Raises `TypeError` where that would take them."""
        self._check_shown()
        found: dict[str, Any] = super().to_dict(include_password=include_password)
        return found

    @property
    def _fs_token(self) -> str:
        # fsspec hashes and compares by it, Dask names tasks by it, and workers have to find the same.
        return str(tokenize(self.fs._fs_token, self._keys.fingerprint))  # noqa: SLF001 - so does fsspec

    @property
    def fsid(self) -> str:
        """What tells it from others."""
        return f"sealed_{self._fs_token}"

    def _check_shown(self) -> None:
        self._keys.check_open()
        if self._keys.paths is None:
            message = "a sealed file system with identities as text is not pickled: name the paths of their files"
            raise TypeError(message)

    # What is there.

    def _info(self, path: str) -> dict[str, Any]:
        """Return what the inner file system tells of a file or folder; of a file under its name there."""
        if path.rpartition("/")[2]:
            with suppress(FileNotFoundError, NotADirectoryError):
                found: dict[str, Any] = self.fs.info(names.inner_name(path))
                if found["type"] == "file":
                    return found
        found = self.fs.info(path)
        if found["type"] != "directory":  # a file that is not sealed
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def _find(self, path: Any) -> str | None:
        try:
            kind: str = self._info(self._strip_protocol(path))["type"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return kind

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return what the inner file system tells, with name and size of the plaintext.

        The size costs a header read, and is exact, but vouched for only by opening the file. Raises `FormatError`.
        """
        found = self._info(self._strip_protocol(path))
        return found if found["type"] == "directory" else names.shown(found, self._sizes.of(found))

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is a file or folder."""
        return self._find(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether there is a file."""
        return self._find(path) == "file"

    def isdir(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._find(path) == "directory"

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """List a folder by name, or a file alone. A file that is no age file has the size None."""
        path = self._strip_protocol(path)
        try:
            found = self._all(self.fs.ls(path, detail=True, **options), sized=detail)
        except (FileNotFoundError, NotADirectoryError):
            found = {}
        else:
            if not found and self.fs.isdir(path):
                return []
        if not found:
            one = self._info(path)
            found = {path: names.shown(one, self._sizes.of_all([one])[0] if detail else None)}
        return [found[name] for name in sorted(found)] if detail else sorted(found)

    def find(
        self, path: Any, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **options: Any
    ) -> Any:
        """List all files below a folder, as the inner file system does, which may take one question for all."""
        path, sized = self._strip_protocol(path), options.pop("sized", detail)
        inner = self.fs.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **options)
        found = self._all([info for info in inner.values() if info], sized=sized)
        if not found and self.isfile(path):
            found = {path: self.info(path) if sized else names.shown(self._info(path), None)}
        ordered = {name: found[name] for name in sorted(found)}
        return ordered if detail else list(ordered)

    def glob(self, path: Any, maxdepth: int | None = None, **options: Any) -> Any:
        """List what fits a pattern; the sizes are looked up only where details are asked for."""
        return super().glob(path, maxdepth=maxdepth, sized=options.get("detail", False), **options)

    def du(
        self, path: Any, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **options: Any
    ) -> Any:
        """Return the sizes of all files below a folder. Raises `FormatError` for one that is no age file."""
        found = self.find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **options)
        sizes: dict[str, int] = {
            name: self.info(name)["size"] if info["size"] is None else info["size"] for name, info in found.items()
        }
        return sum(sizes.values()) if total else sizes

    def created(self, path: str) -> Any:
        """When it was made, as the inner file system has it."""
        return self.fs.created(self._info(self._strip_protocol(path))["name"])

    def modified(self, path: str) -> Any:
        """When it was last changed, as the inner file system has it."""
        return self.fs.modified(self._info(self._strip_protocol(path))["name"])

    def ukey(self, path: str) -> str:
        """What changes with the file, as the inner file system has it."""
        return str(self.fs.ukey(self._info(self._strip_protocol(path))["name"]))

    def checksum(self, path: str) -> Any:
        """What changes with the file, as the inner file system has it."""
        return self.fs.checksum(self._info(self._strip_protocol(path))["name"])

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget listings and sizes."""
        self._sizes.forget()
        self.fs.invalidate_cache(None if path is None else self._strip_protocol(path))

    def _all(self, infos: list[dict[str, Any]], *, sized: bool) -> dict[str, dict[str, Any]]:
        """Return what is shown of a listing, by name; with sizes or without."""
        found = {info["name"]: info for info in infos if info["type"] == "directory"}
        files = [info for info in infos if info["type"] == "file" and names.shown_name(info["name"])]
        for info, size in zip(files, self._sizes.of_all(files) if sized else [None] * len(files), strict=True):
            own = names.shown(info, size)
            found[own["name"]] = own
        return found

    # Contents.

    def open(
        self,
        path: Any,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **options: Any,
    ) -> Any:
        """Open a file to read it at any place, or to write it from start to end. See `SealedReader`, `SealedWriter`."""
        if mode[:1] not in {"w", "x"} or ("b" in mode and compression is None):
            return super().open(path, mode, block_size, cache_options, compression, **options)
        text = {name: options.pop(name) for name in ("encoding", "errors", "newline") if name in options}
        binary = mode.replace("t", "").replace("b", "") + "b"
        file: Any = super().open(path, binary, block_size, cache_options, **options)
        if (method := get_compression(self._strip_protocol(path), compression)) is not None:
            file = CompressedWriter(compr[method](file, mode=mode[0]), file)
        return file if "b" in mode else TextWriter(file, **text)

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, autocommit: bool = True, **_: Any
    ) -> Any:
        del block_size
        path = self._strip_protocol(path)
        if mode == "rb":
            return self._reader(path)
        if mode not in {"wb", "xb"}:
            what = "appended to: its last chunk says that it is the last" if "a" in mode else "changed in its middle"
            message = f"mode is rb, wb or xb, not {mode!r}; an age file cannot be {what}; write it anew"
            raise ValueError(message)
        self._keys.check_writes()
        if self.fs.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        name = names.inner_name(path)
        if not path.rpartition("/")[2]:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        output = open_output(self.fs, name, exclusive=mode == "xb", threads=self._threads)
        envelope = Envelope(self._keys.recipients, os.urandom, self._threads)
        file = SealedWriter(path, envelope, output, autocommit=autocommit, done=partial(self._written, path))
        file.fs = self
        return file

    def _written(self, path: str) -> None:
        self.fs.invalidate_cache(self._parent(path))

    def _reader(self, path: str) -> SealedReader:
        found = self._info(path)
        if found["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        source = open_inner(self.fs, found["name"], found["size"], self._limits)
        try:
            payload = Sealed(source, self._limits).open(self._keys.identities, self._threads)
        except BaseException:
            source.close()
            raise
        file = SealedReader(path, payload, source, self._threads)
        file.fs = self
        return file

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return a file's bytes, once all of it is authenticated; or a slice of them, once its chunks are."""
        with self._reader(self._strip_protocol(path)) as file:
            first, behind, _step = slice(start, end).indices(file.size)
            file.seek(first)
            return file.read(max(0, behind - first))

    def pipe_file(self, path: str, value: Buffer, mode: str = "overwrite", **_: Any) -> None:
        """Make `value` a file's contents; with the mode "create" of a new file only."""
        view = as_bytes(value)
        if view is None:
            message = f"a bytes-like object is required, not {type(value).__name__}"
            raise TypeError(message)
        with self.open(path, "xb" if mode == "create" else "wb") as file:
            file.write(view)

    def get_file(self, rpath: str, lpath: Any, callback: Any = None, outfile: Any = None, **_: Any) -> None:
        """Write a file's plaintext to the disk, or into an open file, once all of it is authenticated."""
        path = self._strip_protocol(rpath)
        if self.isdir(path):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        with self._reader(path) as file:
            if callback is not None:
                callback.set_size(file.size)
            pieces = _told(file.pieces(_WHOLE), callback)
            if outfile is None and hasattr(lpath, "write"):
                outfile = lpath
            if outfile is not None:
                for piece in pieces:
                    outfile.write(piece)
                return
            target = Path(lpath)
            target.parent.mkdir(parents=True, exist_ok=True)
            put(FileOutput(target, overwrite=True), pieces)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make an empty file, or empty the one that is there; without `truncate`, only set its time."""
        path = self._strip_protocol(path)
        if not truncate and self.isfile(path):
            self.fs.touch(names.inner_name(path), truncate=False)
        else:
            self.open(path, "wb").close()

    # Folders, copies, moves, removals: of ciphertext as it is, for which no key is needed.

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Make a folder."""
        path = self._strip_protocol(path)
        self._check_no_file(path)
        self.fs.mkdir(path, create_parents=create_parents, **options)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder, and those above it."""
        path = self._strip_protocol(path)
        self._check_no_file(path)
        self.fs.makedirs(path, exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder; files that are not shown count."""
        self.fs.rmdir(self._strip_protocol(path))

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file as it is, for the same recipients; or make a folder like the one at `path1`."""
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
            return
        inner1, inner2 = names.inner_name(path1), names.inner_name(path2)
        if is_local(self.fs):  # which would write over a file in place, and through a symlink
            self._copy(inner1, inner2)
        else:
            self.fs.cp_file(inner1, inner2, **options)

    def _copy(self, source: str, target: str) -> None:
        """Copy ciphertext on the local disk, whole or not at all."""
        with self.fs.open(source, "rb") as file:
            output = open_output(self.fs, target, exclusive=False, threads=self._threads)
            put(output, iter(partial(file.read, CHUNK), b""))

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **options: Any) -> None:
        """Move a file, into the folder `path2` if that is one; folders, patterns and lists as the base does."""
        if not isinstance(path1, str) or not isinstance(path2, str) or has_magic(path1) or not self.isfile(path1):
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **options)
            return
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if path2.endswith("/") or self.isdir(target):
            target = f"{target.rstrip('/')}/{source.rpartition('/')[2]}"
        self.fs.mv(names.inner_name(source), names.inner_name(target))

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        self.fs.rm_file(names.inner_name(self._strip_protocol(path)))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, and with `recursive` folders. A folder with a file that is not shown stays, with `OSError`."""
        folders: list[str] = []
        files: list[str] = []
        for item in self.expand_path(path, recursive=recursive, maxdepth=maxdepth):
            if self.isfile(item):
                files.append(names.inner_name(item))
            else:
                folders.append(item)
        if folders and not recursive:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), folders[0])
        if files:
            self.fs.rm(files)
        for folder in sorted(folders, reverse=True):
            if self.fs.isdir(folder):  # in a store it went with the last file
                self.fs.rmdir(folder)

    def _check_no_file(self, path: str) -> None:
        if path.rpartition("/")[2] and self.fs.isfile(names.inner_name(path)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def _remake(cls: type[SealedFileSystem], options: dict[str, Any], limits: Limits) -> SealedFileSystem:
    return cls(**options, limits=limits)


def _told(pieces: Iterable[memoryview], callback: Any) -> Iterator[memoryview]:
    """Pass pieces on, and tell fsspec's `callback`, if there is one, of each that was taken."""
    for piece in pieces:
        yield piece
        if callback is not None:
            callback.relative_update(len(piece))
