"""The tree of folders and files. Paths are those that `clean` gives: absolute, without `.`, `..` or empty parts."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from strongroom.fs.pages import File

if TYPE_CHECKING:
    from strongroom.fs.pages import PageStore


class Folder:
    """A folder: what is in it, by name."""

    __slots__ = ("created", "entries", "modified")

    def __init__(self) -> None:
        self.entries: dict[str, File | Folder] = {}
        self.created: float = time.time()
        self.modified: float = self.created


def clean(path: str) -> str:
    """Return `path` as an absolute path in its one form: `/` alone is the root."""
    if path[:1] == "/" and path[-1] != "/" and "//" not in path and "/." not in path:
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def fault(number: int, path: str) -> OSError:
    """Return the error that the system would raise with `number`."""
    return OSError(number, os.strerror(number), path)


class Tree:
    """Folders and files below one root. A file that is linked here is held."""

    def __init__(self, store: PageStore) -> None:
        self.root: Folder = Folder()
        self._store = store

    def get(self, path: str) -> File | Folder | None:
        """Return what is at `path`, or None. Raises `NotADirectoryError` where `path` leads through a file."""
        node: File | Folder | None = self.root
        for part in path.split("/"):
            if part:
                if isinstance(node, File):
                    raise fault(errno.ENOTDIR, path)
                node = node.entries.get(part) if node else None
        return node

    def node(self, path: str) -> File | Folder:
        """Return what is at `path`, or raise `FileNotFoundError`."""
        node = self.get(path)
        if node is None:
            raise fault(errno.ENOENT, path)
        return node

    def file(self, path: str) -> File:
        """Return the file at `path`, or raise `FileNotFoundError` or `IsADirectoryError`."""
        node = self.node(path)
        if isinstance(node, Folder):
            raise fault(errno.EISDIR, path)
        return node

    def folder(self, path: str) -> Folder:
        """Return the folder at `path`, or raise `FileNotFoundError` or `NotADirectoryError`."""
        node = self.node(path)
        if isinstance(node, File):
            raise fault(errno.ENOTDIR, path)
        return node

    def make_folders(self, path: str) -> Folder:
        """Return the folder at `path`; make it, and those above it, where they are missing."""
        folder = self.root
        for part in path.split("/"):
            if part:
                node = folder.entries.get(part)
                if node is None:
                    if "\0" in part:
                        message = "a path has no NUL characters"
                        raise ValueError(message)
                    self._store.count_node()
                    node = Folder()
                    _link(folder, part, node)
                elif isinstance(node, File):
                    raise fault(errno.ENOTDIR, path)
                folder = node
        return folder

    def file_to_write(self, path: str) -> File:
        """Return the file at `path`; make it, and the folders above it, where they are missing."""
        node = self.get(path)
        if isinstance(node, Folder):
            raise fault(errno.EISDIR, path)
        if node is None:
            node = self._store.create()
            try:
                self.link(path, node)
            finally:
                if not node.holds:
                    self._store.uncount_node()
        return node

    def link(self, path: str, file: File) -> None:
        """Put `file` at `path`, in place of a file that may be there; make the folders above it."""
        head, _, name = path.rpartition("/")
        if "\0" in name:
            message = "a path has no NUL characters"
            raise ValueError(message)
        folder = self.make_folders(head)
        before = folder.entries.get(name)
        if isinstance(before, Folder) or not name:
            raise fault(errno.EISDIR, path)
        file.holds += 1
        _link(folder, name, file)
        if before is not None:
            self._store.release(before)

    def remove_file(self, path: str) -> None:
        """Remove the file at `path`."""
        file = self.file(path)
        self._unlink(path)
        self._store.release(file)

    def remove_folder(self, path: str) -> None:
        """Remove the folder at `path`, which is empty."""
        if self.folder(path).entries:
            raise fault(errno.ENOTEMPTY, path)
        if path == "/":
            raise fault(errno.EBUSY, path)
        self._unlink(path)
        self._store.uncount_node()

    def remove_all(self, path: str) -> None:
        """Remove what is at `path`, and all below it; of the root, all below it."""
        node = self.node(path)
        if path == "/":
            self.root.modified = time.time()
        else:
            self._unlink(path)
        waiting = [node]  # no recursion: a path may be deeper than Python's stack
        while waiting:
            node = waiting.pop()
            if isinstance(node, File):
                self._store.release(node)
            else:
                waiting += node.entries.values()
                node.entries = {}
                if node is not self.root:
                    self._store.uncount_node()

    def move(self, path: str, target: str) -> None:
        """Rename: `path` becomes `target`, in place of a file there, or goes into the folder `target`.

        Raises `FileExistsError` rather than replace a folder, or what is in the folder `target` under that name.
        """
        node = self.node(path)
        if path == "/":
            raise fault(errno.EBUSY, path)
        there = self.get(target)
        if there is node:
            return
        if isinstance(there, Folder):
            target = f"{target.rstrip('/')}/{path.rpartition('/')[2]}"
            if self.get(target) is not None:
                raise fault(errno.EEXIST, target)
            there = None
        if target.startswith(f"{path}/"):
            raise fault(errno.EINVAL, target)
        if there is not None and isinstance(node, Folder):
            raise fault(errno.EEXIST, target)
        old_head, _, old_name = path.rpartition("/")
        head, _, name = target.rpartition("/")
        old_folder, folder, now = self.folder(old_head), self.make_folders(head), time.time()
        # No call and no loop: signal handlers run at those alone, so that the node is never in two places.
        folder.entries[name] = node
        del old_folder.entries[old_name]
        old_folder.modified = folder.modified = now
        if there is not None:
            self._store.release(there)

    def _unlink(self, path: str) -> None:
        head, _, name = path.rpartition("/")
        folder = self.folder(head)
        del folder.entries[name]
        folder.modified = time.time()


def _link(folder: Folder, name: str, node: File | Folder) -> None:
    folder.entries[name] = node
    folder.modified = time.time()
