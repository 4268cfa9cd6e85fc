from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec import AbstractFileSystem  # noqa: TC002 - hypothesis reads the annotations
from fsspec.implementations.local import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from strongroom import RamFS
from strongroom.fs.pages import PAGE
from tests.helpers import noise

NOISE = noise(4 * PAGE)
quick = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
sizes = st.one_of(
    st.integers(0, 300),
    st.sampled_from([PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1]),
    st.integers(0, 3 * PAGE),
)
data = st.builds(lambda size, start: NOISE[start : start + size], sizes, st.integers(0, 255))


class Model:
    """What a file system is: a dictionary of files (bytes) and folders (None)."""

    def __init__(self) -> None:
        self.nodes: dict[str, bytes | None] = {"/": None}

    def above(self, path: str) -> list[str]:
        """The folders above a path; an error where one of them is a file."""
        parts = path.split("/")[1:-1]
        found = ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
        for folder in found:
            if self.nodes.get(folder) is not None:
                raise NotADirectoryError(folder)
        return found

    def below(self, path: str) -> list[str]:
        return [name for name in self.nodes if name.startswith(f"{path}/")]

    def need(self, path: str) -> bytes | None:
        self.above(path)
        if path not in self.nodes:
            raise FileNotFoundError(path)
        return self.nodes[path]

    def read(self, path: str) -> bytes:
        found = self.need(path)
        if found is None:
            raise IsADirectoryError(path)
        return found

    def write(self, path: str, value: bytes) -> None:
        folders = self.above(path)
        if path in self.nodes and self.nodes[path] is None:
            raise IsADirectoryError(path)
        self.nodes |= dict.fromkeys(folders)
        self.nodes[path] = value

    def make(self, path: str, *, parents: bool, exist_ok: bool) -> None:
        folders = self.above(path)
        if path in self.nodes and (not exist_ok or self.nodes[path] is not None):
            raise FileExistsError(path)
        if not parents and set(folders) - set(self.nodes):
            raise FileNotFoundError(path)
        self.nodes |= dict.fromkeys([*folders, path])

    def remove(self, path: str, *, recursive: bool) -> None:
        if self.need(path) is None and not recursive:
            raise IsADirectoryError(path)
        for name in [path, *self.below(path)]:
            del self.nodes[name]

    def remove_folder(self, path: str) -> None:
        if self.need(path) is not None:
            raise NotADirectoryError(path)
        if self.below(path):
            raise OSError(path)
        del self.nodes[path]

    def move(self, path: str, target: str) -> None:
        found = self.need(path)
        self.above(target)
        if path == target:
            return
        if target in self.nodes and self.nodes[target] is None:
            target += path[path.rindex("/") :]
            if target in self.nodes:
                raise FileExistsError(target)
        if target.startswith(f"{path}/"):
            raise OSError(target)
        if target in self.nodes and found is None:
            raise FileExistsError(target)
        self.nodes |= dict.fromkeys(self.above(target))
        for name in [path, *self.below(path)]:
            self.nodes[target + name.removeprefix(path)] = self.nodes.pop(name)

    def copy(self, path: str, target: str) -> None:
        found = self.need(path)
        if found is None:
            self.make(target, parents=True, exist_ok=True)
        else:
            self.write(target, found)


def outcome(work: Callable[[], object]) -> tuple[str, object]:
    """What came of a call: its value, or the class of its error."""
    try:
        return "value", work()
    except (OSError, ValueError) as error:
        return "error", type(error)


class Tree(RuleBasedStateMachine):
    """Every step is taken by a RamFS, by the model and in a real folder; all three must agree."""

    @initialize()
    def begin(self) -> None:
        self.ram = RamFS()
        self.model = Model()
        self.base = tempfile.mkdtemp()
        self.local = LocalFileSystem(auto_mkdir=True)

    def teardown(self) -> None:
        if hasattr(self, "ram"):
            self.ram.rm("/", recursive=True)
            assert self.ram.used == 0
            assert self.ram._store.mapped <= 32 << 20 | 8 << 10, "nothing is lost between the blocks"
            self.ram.close()
            shutil.rmtree(self.base)

    def agree(
        self,
        model: Callable[[], object],
        call: Callable[[AbstractFileSystem, str], object],
        *,
        local: bool = True,
        classes: bool = True,
    ) -> None:
        """Take one step in each; `classes` is False where a real folder has an error of another class."""
        kind, value = outcome(lambda: call(self.ram, ""))
        expected, wanted = outcome(model)
        assert kind == expected
        if kind == "value":
            assert value == wanted
        elif wanted is not OSError:  # the model does not tell those apart
            assert value is wanted
        if local:
            real, found = outcome(lambda: call(self.local, self.base))
            assert real == kind
            if kind == "value" or classes:
                assert found == value

    @rule(path=names, value=data)
    def pipe(self, path: str, value: bytes) -> None:
        self.agree(
            lambda: self.model.write(path, value), lambda fs, base: fs.pipe_file(base + path, value), classes=False
        )

    @rule(path=names, value=data, truncate=st.booleans())
    def touch(self, path: str, value: bytes, *, truncate: bool) -> None:
        def model() -> None:
            if path not in self.model.nodes or truncate:
                self.model.write(path, b"")

        self.agree(model, lambda fs, base: fs.touch(base + path, truncate=truncate), classes=False)

    @rule(path=names, value=data)
    def append(self, path: str, value: bytes) -> None:
        def call(fs: AbstractFileSystem, base: str) -> None:
            with fs.open(base + path, "ab") as file:
                file.write(value)

        def model() -> None:
            folders = self.model.above(path)
            del folders
            self.model.write(path, (self.model.nodes.get(path, b"") or b"") + value)

        self.agree(model, call, classes=False)

    @rule(path=names, value=data)
    def create(self, path: str, value: bytes) -> None:
        def call(fs: AbstractFileSystem, base: str) -> None:
            with fs.open(base + path, "xb") as file:
                file.write(value)

        def model() -> None:
            self.model.above(path)
            if path in self.model.nodes:
                raise FileExistsError if self.model.nodes[path] is not None else OSError
            self.model.write(path, value)

        self.agree(model, call, classes=False)

    @rule(path=names, place=sizes, value=data)
    def patch(self, path: str, place: int, value: bytes) -> None:
        def call(fs: AbstractFileSystem, base: str) -> bytes:
            with fs.open(base + path, "r+b") as file:
                file.seek(place)
                file.write(value)
                file.seek(max(0, place - 100))
                return file.read(300)

        def model() -> bytes:
            old = self.model.read(path)
            new = old if not value else old[:place].ljust(place, b"\0") + value + old[place + len(value) :]
            self.model.write(path, new)
            return new[max(0, place - 100) :][:300]

        self.agree(model, call)

    @rule(path=names, size=sizes)
    def truncate(self, path: str, size: int) -> None:
        def call(fs: AbstractFileSystem, base: str) -> int:
            with fs.open(base + path, "r+b") as file:
                return file.truncate(size)

        def model() -> int:
            self.model.write(path, self.model.read(path)[:size].ljust(size, b"\0"))
            return size

        self.agree(model, call)

    @rule(path=names, start=st.none() | sizes, end=st.none() | sizes, sign=st.sampled_from([1, -1]))
    def cat(self, path: str, start: int | None, end: int | None, sign: int) -> None:
        start = start and start * sign
        self.agree(
            lambda: self.model.read(path)[start:end],
            lambda fs, base: fs.cat_file(base + path, start, end),
            local=False,  # fsspec's own slices are not Python's where they end before they start
        )

    @rule(path=names, parents=st.booleans())
    def mkdir(self, path: str, *, parents: bool) -> None:
        self.agree(
            lambda: self.model.make(path, parents=parents, exist_ok=False),
            lambda fs, base: fs.mkdir(base + path, create_parents=parents),
        )

    @rule(path=names, exist_ok=st.booleans())
    def makedirs(self, path: str, *, exist_ok: bool) -> None:
        self.agree(
            lambda: self.model.make(path, parents=True, exist_ok=exist_ok),
            lambda fs, base: fs.makedirs(base + path, exist_ok=exist_ok),
        )

    @rule(path=names)
    def rmdir(self, path: str) -> None:
        self.agree(lambda: self.model.remove_folder(path), lambda fs, base: fs.rmdir(base + path))

    @rule(path=names, recursive=st.booleans())
    def rm(self, path: str, *, recursive: bool) -> None:
        self.agree(
            lambda: self.model.remove(path, recursive=recursive),
            lambda fs, base: fs.rm(base + path, recursive=recursive),
            classes=False,  # a real folder that is not to go with all in it is a ValueError
        )

    @precondition(lambda self: len(self.model.nodes) > 1)
    @rule(pick=st.integers(0, 1 << 20), goal=names)
    def move(self, pick: int, goal: str) -> None:
        path = sorted(self.model.nodes)[1:][pick % (len(self.model.nodes) - 1)]
        self.agree(
            lambda: self.model.move(path, goal),
            lambda fs, base: fs.mv(base + path, base + goal),
            local=not goal.startswith(f"{path}/"),  # makes folders before it sees that it cannot
            classes=False,  # shutil has its own
        )

    @precondition(lambda self: len(self.model.nodes) > 1)
    @rule(pick=st.integers(0, 1 << 20), goal=names)
    def copy(self, pick: int, goal: str) -> None:
        path = sorted(self.model.nodes)[1:][pick % (len(self.model.nodes) - 1)]
        self.agree(
            lambda: self.model.copy(path, goal),
            lambda fs, base: fs.cp_file(base + path, base + goal),
            local=path != goal,  # shutil refuses
            classes=False,
        )

    @rule(path=names, keep=st.booleans(), value=data)
    def transaction(self, path: str, value: bytes, *, keep: bool) -> None:
        """What a transaction writes is there all at once at its end, or never."""
        before = self.ram.find("/", withdirs=True)

        def call(fs: AbstractFileSystem, base: str) -> None:
            with fs.transaction:
                with fs.open(base + path, "wb") as file:
                    file.write(value)
                assert fs.find("/", withdirs=True) == before
                if not keep:
                    raise ValueError

        def model() -> None:
            self.model.above(path)
            if path in self.model.nodes and self.model.nodes[path] is None:
                raise IsADirectoryError
            if not keep:
                raise ValueError
            self.model.write(path, value)

        self.agree(model, call, local=False)  # a real one goes through the temporary folder
        if isinstance(self.model.nodes.get(path), bytes):
            self.local.pipe_file(self.base + path, self.model.nodes[path])

    @rule(path=names)
    def look(self, path: str) -> None:
        def call(fs: AbstractFileSystem, base: str) -> tuple[Any, ...]:
            info = fs.info(base + path)
            size = info["size"] if info["type"] == "file" else 0
            listing = sorted(name.removeprefix(base) for name in fs.ls(base + path, detail=False))
            walked = [
                (folder.removeprefix(base), sorted(folders), sorted(files))
                for folder, folders, files in fs.walk(base + path)
            ]
            found = [name.removeprefix(base) for name in fs.glob(base + path + "/**")]
            return info["type"], size, listing, sorted(walked), found

        self.agree(lambda: outcome_of_look(self.model, path, call(self.ram, "")), call)

    @invariant()
    def same_tree(self) -> None:
        """Names and contents are those of the model and of the real folder."""
        if not hasattr(self, "ram"):
            return
        names = sorted(self.model.nodes)
        assert self.ram.find("/", withdirs=True) == names
        real = [
            "/" if name == self.base else name.removeprefix(self.base)
            for name in self.local.find(self.base, withdirs=True)
        ]
        assert real == names
        total = 0
        for path, value in self.model.nodes.items():
            assert self.ram.exists(path)
            assert self.ram.isdir(path) == (value is None)
            assert self.ram.isfile(path) == (value is not None)
            if value is not None:
                assert self.ram.cat_file(path) == value
                assert Path(self.base + path).read_bytes() == value
                total += len(value)
        assert self.ram.used == self.ram.du("/") == total


def outcome_of_look(model: Model, path: str, found: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the model knows of a look; the rest is for the real folder to tell."""
    value = model.need(path)
    below = sorted(name for name in model.nodes if name.startswith(f"{path}/") and "/" not in name[len(path) + 1 :])
    assert found[0] == ("directory" if value is None else "file")
    assert found[1] == len(value or b"")
    assert found[2] == (below if value is None else [path])
    return found


def test_tree_is_a_dictionary_and_a_real_folder() -> None:
    """Any sequence of operations gives what a dictionary gives, and what a folder on the disk gives."""
    run_state_machine_as_test(Tree, settings=quick)


class Handles(RuleBasedStateMachine):
    """Several open files on few paths, against the system's own: each write flushed, since buffers may differ."""

    @initialize()
    def begin(self) -> None:
        self.ram = RamFS()
        self.base = tempfile.mkdtemp()
        self.open: list[tuple[Any, Any]] = []

    def teardown(self) -> None:
        if hasattr(self, "ram"):
            for ours, real in self.open:
                ours.close()
                real.close()
            self.ram.rm("/", recursive=True)
            assert self.ram.used == 0, "a file that was removed while it was open is gone with the last of them"
            self.ram.close()
            shutil.rmtree(self.base)

    @rule(name=st.sampled_from("ab"), mode=st.sampled_from([k + p + "b" for k in "rwax" for p in ("", "+")]))
    def opens(self, name: str, mode: str) -> None:
        ours, real = (
            outcome(lambda: self.ram.open(f"/{name}", mode)),
            outcome(lambda: Path(self.base, name).open(mode, buffering=0)),  # noqa: SIM115 - closed where both are
        )
        assert ours[0] == real[0]
        if ours[0] == "value":
            self.open.append((ours[1], real[1]))
        else:
            assert ours[1] is real[1]

    @rule(name=st.sampled_from("ab"))
    def removes(self, name: str) -> None:
        assert outcome(lambda: self.ram.rm_file(f"/{name}"))[0] == outcome(Path(self.base, name).unlink)[0]

    @rule()
    def renames(self) -> None:
        ours = outcome(lambda: self.ram.mv("/a", "/b"))
        assert ours[0] == outcome(lambda: Path(self.base, "a").rename(Path(self.base, "b")))[0]

    @precondition(lambda self: self.open)
    @rule(
        pick=st.integers(0, 99),
        what=st.sampled_from(["read", "write", "truncate", "close", "seek"]),
        size=sizes,
        value=data,
    )
    def uses(self, pick: int, what: str, size: int, value: bytes) -> None:
        ours, real = self.open[pick % len(self.open)]

        def use(file: Any) -> object:  # noqa: ANN401
            if what == "read":
                return file.read(size), file.tell()
            if what == "write":
                return file.write(value), file.flush(), file.tell()
            if what == "truncate":
                return file.truncate(size), file.flush(), file.tell()
            return file.seek(size) if what == "seek" else file.close()

        assert outcome(lambda: use(ours)) == outcome(lambda: use(real))
        if what == "close":
            self.open.remove((ours, real))

    @invariant()
    def same(self) -> None:
        if hasattr(self, "ram"):
            for name in "ab":
                path = Path(self.base, name)
                assert self.ram.exists(f"/{name}") == path.exists()
                if path.exists():
                    assert self.ram.cat_file(f"/{name}") == path.read_bytes()


def test_open_files_are_as_the_systems() -> None:
    """Open files that share a path, are truncated, renamed or removed under each other, act as the system's do."""
    run_state_machine_as_test(Handles, settings=quick)


steps = st.tuples(
    st.sampled_from(["read", "read1", "readinto", "peek", "write", "truncate", "flush", "readline", "seek", "tell"]),
    st.one_of(st.integers(0, 50), sizes),
)


@quick
@given(work=st.lists(steps, max_size=60), start=data)
def test_one_file_is_a_buffer(work: list[tuple[str, int]], start: bytes) -> None:
    """One open file, buffered as it is, reads as BytesIO does after any writes, seeks and cuts."""
    with RamFS() as ram:
        ram.pipe_file("/a", start)
        model = io.BytesIO(start)
        with ram.open("/a", "r+b") as file:
            for name, number in work:
                if name == "read1":
                    found = file.read1(number)
                    assert found == model.read(len(found))
                    assert found or not number or not model.read(1)
                elif name == "peek":
                    place = model.tell()
                    found = file.peek(number)
                    assert found == model.read(len(found))
                    model.seek(place)
                elif name == "readinto":
                    ours, theirs = bytearray(number), bytearray(number)
                    assert file.readinto(ours) == model.readinto(theirs)
                    assert ours == theirs
                elif name == "write":
                    value = NOISE[number : 2 * number]
                    assert file.write(value) == model.write(value)
                elif name == "truncate":
                    place = model.tell()
                    assert file.truncate(number) == number
                    model.truncate(number)
                    model.seek(0, os.SEEK_END)
                    model.write(bytes(max(0, number - model.tell())))
                    model.seek(place)
                elif name == "readline":
                    assert file.readline(number) == model.readline(number)
                elif name in {"read", "seek"}:
                    assert getattr(file, name)(number) == getattr(model, name)(number)
                elif name == "flush":
                    file.flush()
                    assert ram.cat_file("/a") == model.getvalue()
                assert file.tell() == model.tell()
                assert file.size == len(model.getvalue())
        assert ram.cat_file("/a") == model.getvalue()


@pytest.mark.parametrize("mode", ["w", "x", "a"])
@quick
@given(pieces=st.lists(data, max_size=12))
def test_pieces_make_no_difference(mode: str, pieces: list[bytes]) -> None:
    """A file that is written in any pieces is what it is when written at once."""
    with RamFS() as ram:
        with ram.open("/a", mode + "b") as file:
            for piece in pieces:
                assert file.write(piece) == len(piece)
        assert ram.cat_file("/a") == b"".join(pieces)
        ram.pipe_file("/b", b"".join(pieces))
        assert ram.cat_file("/b") == b"".join(pieces)
