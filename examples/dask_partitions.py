"""Many machines seal what none of them can read back: Dask's workers hold recipients, and no identity.

Each worker makes its partitions of a table with DuckDB and writes them as Parquet through SealedFileSystem, so that
only ciphertext leaves its memory: Dask spills nothing to the disk, DuckDB has no temporary folder, and a partition has
its name only once it is whole. The cluster is one of two processes here; docs/scale.md says how the same runs on many
machines and an object store. `python -m examples.dask_partitions --records 2000000 sealed`
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import dask.dataframe
import duckdb
import fsspec
import pandas as pd
from distributed import Client, LocalCluster

from strongroom import WrongKeyError
from strongroom.formats.age import identities
from strongroom.fs import SealedFileSystem

NO_SPILLING = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.85,  # a worker whose memory is full waits
    "distributed.worker.memory.terminate": 0.95,
    "distributed.comm.timeouts.connect": "60s",
}
COLUMNS = pd.DataFrame({
    "id": pd.Series(dtype="int64"), "name": pd.Series(dtype="str"), "ward": pd.Series(dtype="str"),
    "sodium": pd.Series(dtype="float64"),
})  # fmt: skip
MAKE = """
SELECT i AS id, 'patient ' || hash(i) % 1000000 AS name,
       ['Cardiology', 'Oncology', 'Surgery'][1 + (hash(i + 1) % 3)::INT] AS ward,
       (130 + hash(i + 2) % 2000 / 100.0)::DOUBLE AS sodium
FROM range(?, ?) AS t(i) ORDER BY ward, id
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was read back, and what else was seen."""

    partitions: int
    records: int
    total: int
    refused: bool
    seconds: float


def database() -> duckdb.DuckDBPyConnection:
    """DuckDB in memory, which fails where it would otherwise put data onto the disk."""
    return duckdb.connect(config={"temp_directory": "", "threads": 1})


def make(bounds: tuple[int, int]) -> pd.DataFrame:
    """The records of one partition: in a true job they come out of a database."""
    with database() as connection:
        return connection.execute(MAKE, bounds).df().astype(COLUMNS.dtypes)


def try_to_read(folder: str, recipient: str) -> bool:
    """Whether a worker is refused what it has sealed. All that it holds is the recipient."""
    fs = SealedFileSystem(target_protocol="file", recipients=recipient)
    try:
        fs.cat_file(fs.ls(folder, detail=False)[0])
    except WrongKeyError:
        return True
    return False


def seal(folder: str, recipient: str, records: int, partitions: int) -> None:
    """Have the workers seal all partitions; Dask knows its cluster by itself."""
    edges = [records * number // partitions for number in range(partitions + 1)]
    frame = dask.dataframe.from_map(make, list(itertools.pairwise(edges)), meta=COLUMNS)
    frame.to_parquet(f"sealed::file://{folder}", storage_options={"recipients": [recipient]}, write_index=False)


def kill_one(client: Client, folder: str, stop: threading.Event) -> None:
    """Kill a worker once the first partition is there, as a machine would fail: it is in the middle of another one."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    pid = client.run(os.getpid, workers=[next(iter(workers))]).popitem()[1]
    while not any(Path(folder).glob("*.age")):
        if stop.wait(0.001):
            return
    os.kill(pid, signal.SIGKILL)


def main(
    folder: Path, records: int = 2_000_000, partitions: int = 16, *, kill: bool = False, scratch: Path | None = None
) -> Outcome:
    """Seal, see that a worker cannot read, and read with the identity, which has never left this process.

    `scratch` is where Dask keeps its locks. `kill` kills a worker in the middle.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    identity = identities.generate()  # `strongroom keygen` makes one for good
    text = identities.encode(identity)
    start = time.monotonic()
    with (
        dask.config.set(NO_SPILLING),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=scratch) as cluster,
        Client(cluster) as client,
    ):
        stop = threading.Event()
        killer = threading.Thread(target=kill_one, args=(client, str(folder), stop))
        if kill:
            killer.start()
        try:
            seal(str(folder), identity.recipient, records, partitions)
        finally:
            stop.set()
            if kill:
                killer.join()
        seconds = time.monotonic() - start
        refused = client.submit(try_to_read, str(folder), identity.recipient).result()
    with (
        SealedFileSystem(fs=fsspec.filesystem("file"), identities=text) as fs,
        database() as connection,
    ):
        connection.register_filesystem(fs)
        query = "SELECT count(*), sum(id), count(DISTINCT filename) FROM read_parquet(?, filename=true)"
        row = connection.execute(query, (f"sealed://{folder}/*.parquet",)).fetchone()
    text.close()
    identity.close()
    assert row is not None  # noqa: S101 - counts always give one
    return Outcome(row[2], row[0], row[1], refused, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--partitions", type=int, default=16)
    parser.add_argument("--kill", action="store_true", help="kill a worker in the middle")
    options = parser.parse_args()
    print(main(options.folder, options.records, options.partitions, kill=options.kill))
