"""The examples of data tools: what they seal comes back, and none of them lets plaintext onto the disk."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest

import strongroom
from examples import one_liners, pandas_tables, sqlite_database
from strongroom.formats.age import identities
from tests.helpers import listing
from tests.leak.test_strace import PASSWORD, WRITES, Trace, check, trace
from tests.proof import Tried

CODE = """
import os, sys
from pathlib import Path
from examples import {name}
password = bytearray(os.read(int(os.environ["FD"]), 99))
print({name}.main(Path(sys.argv[1]), password, *sys.argv[2:]))
"""
CANARIES = ("Zo\\303\\253", "Ada", "Cardiology", "Surgery", "sodium", "IHDR", "JFIF")  # as strace shows them
OUTCOMES = {
    "pandas_tables": (["pandas.zip"], "Zoë", "1.00"),
    "polars_tables": (["polars.zip"], "Zoë", "0.25"),
    "arrow_dataset": (["arrow.zip", "dataset.7z"], "Surgery"),
    "duckdb_tables": (["duckdb.zip", "wards.csv.age"], "(100, 100)"),
    "sqlite_database": (["sqlite.zip"], "[(1, 'Ada'), (3, 'Omar'), (2, 'Zoë')]"),
    "figures": (["figures.zip"], "'plot.png': (400, 300)", "'scan.tiff': (320, 240)"),
}


def written(found: Trace) -> list[str]:
    """Writes that hold what the examples seal, and go anywhere but into a pipe."""
    calls = [line for line in found.calls(*WRITES.split(",")) if any(canary in line for canary in CANARIES)]
    return [line for line in calls if "<pipe:" not in line[:99]]


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    """A recipient, and the path of its identity."""
    path = tmp_path / "identity.txt"
    identity = identities.generate()
    with identities.encode(identity) as text:
        path.write_bytes(bytes(text))
    identity.close()
    return [identity.recipient, str(path)]


@pytest.mark.parametrize("name", OUTCOMES)
def test_nothing_but_archives_is_written(
    tmp_path: Path, name: str, keys: list[str], monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    """The system is asked to open archives for writing, and nothing else; what is read back is what was sealed."""
    out, cache = tmp_path / "out", tmp_path / "matplotlib"
    out.mkdir()
    cache.mkdir()
    monkeypatch.setenv("MPLCONFIGDIR", str(cache))  # for the list of fonts that matplotlib makes
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    extra = keys if name == "duckdb_tables" else []
    found = trace(tmp_path, ["-c", CODE.format(name=name), str(out), *extra])
    check(found)
    assert written(found) == []
    opened = {Path(path) for path in found.opened_for_writing() if not path.startswith("/dev/")}
    assert {path for path in opened if cache not in path.parents} == {out}
    archives, *outcomes = OUTCOMES[name]
    assert listing(out) == archives
    assert all(outcome in found.output.decode() for outcome in outcomes), found.output
    tried("P1", f"strace of {name} with its library", "no plaintext is written, no file but the archive opened")


def test_the_net_catches_canaries(tmp_path: Path) -> None:
    """What the other tests look for is found where a library is told to write to a path."""
    (tmp_path / "out").mkdir()
    code = 'import pandas, sys; pandas.DataFrame({"name": ["Ada", "Zoë"]}).to_csv(sys.argv[1])'
    found = trace(tmp_path, ["-c", code, str(tmp_path / "out" / "plain.csv")])
    assert written(found)
    assert found.opened_for_writing() == [str(tmp_path / "out" / "plain.csv")]


class Program:
    """A pickle of this is a program, as any pickle may be."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["patients.pkl", "patients.pickle"])
def test_a_pickle_is_refused_since_it_runs(tmp_path: Path, name: str) -> None:
    """`pandas.read_pickle` runs what an authentic archive has in it; `read_table` does not."""
    ran = tmp_path / "ran"
    strongroom.seal({name: pickle.dumps(Program(ran))}, tmp_path / "a.zip", password=PASSWORD)
    with strongroom.open(tmp_path / "a.zip", password=PASSWORD) as room:
        assert room.verify().ok
        with pytest.raises(ValueError, match="pickle"):
            pandas_tables.read_table(room, name)
        assert not ran.exists()
        with room.open(name, "rb") as file:
            pd.read_pickle(file)  # noqa: S301 - that is the point
        assert ran.exists()
        with pytest.raises(ValueError, match="none of"):
            pandas_tables.read_table(room, "patients.xyz")


def test_a_failed_change_leaves_the_database(tmp_path: Path) -> None:
    """An exception between opening and sealing a database of SQLite leaves the one that was sealed before."""
    password = bytearray(b"pass")
    sqlite_database.main(tmp_path, password)
    before = (tmp_path / "sqlite.zip").read_bytes()

    def change() -> None:
        with sqlite_database.changed(tmp_path / "sqlite.zip", password) as database:
            database.execute("DELETE FROM patient")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert (tmp_path / "sqlite.zip").read_bytes() == before


def test_one_liners(tmp_path: Path) -> None:
    """A folder is sealed as a whole, by us and by `shutil.make_archive`, which forgets the password afterwards."""
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "1.png").write_bytes(b"data")
    names = one_liners.main(tmp_path / "scans", tmp_path, bytearray(b"pass"))
    assert names == ["/scans/1.png", "/a.txt /b/c.txt", "/scans/1.png", "/a.txt"]
    assert one_liners.FORMAT not in {name for name, _ in shutil.get_archive_formats()}
