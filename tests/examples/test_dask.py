"""The scale-out example: what it seals, who can read it, and what a killed worker leaves."""

from __future__ import annotations

from pathlib import Path

from examples import dask_partitions
from strongroom.formats.age.spec import MAGIC

CANARY = b"patient "
RECORDS = 60_000


def test_partitions_survive_a_killed_worker(tmp_path: Path) -> None:
    """A worker is killed in the middle: all records come back, no worker can read, and no plaintext is on disk."""
    folder, scratch = tmp_path / "sealed", tmp_path / "scratch"
    outcome = dask_partitions.main(folder, RECORDS, 12, kill=True, scratch=scratch)
    assert (outcome.records, outcome.total) == (RECORDS, RECORDS * (RECORDS - 1) // 2)
    assert outcome.partitions == 12
    assert outcome.refused
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"part.{n}.parquet.age" for n in range(12))
    assert all(path.read_bytes().startswith(MAGIC) for path in folder.iterdir())
    assert not any(CANARY in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
