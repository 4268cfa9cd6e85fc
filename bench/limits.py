"""What no tool can pass on this machine: the primitives alone, one thread."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives import hashes, hmac

from bench.peers import CHUNK, drain


def hmac_sha1(data: bytes) -> None:
    """Authenticate the data in chunks."""
    view = memoryview(data)
    mac = hmac.HMAC(bytes(32), hashes.SHA1())  # noqa: S303 - what WinZip AES prescribes
    for at in range(0, len(view), CHUNK):
        mac.update(view[at : at + CHUNK])
    mac.finalize()


def target(size: int) -> npt.NDArray[np.uint8]:
    """Memory for `copy` that has been touched before, since the first touch costs more than the copy."""
    return np.ones(size, np.uint8)


def copy(memory: npt.NDArray[np.uint8], data: bytes) -> None:
    """Copy the data."""
    memory[:] = np.frombuffer(data, np.uint8)


def write(path: Path, data: bytes, *, sync: bool) -> None:
    """Write a new file in chunks."""
    view = memoryview(data)
    with path.open("xb", buffering=0) as file:
        for at in range(0, len(view), CHUNK):
            file.write(view[at : at + CHUNK])
        if sync:
            os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Bring a file that another program wrote to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read(path: Path) -> None:
    """Read a file into one buffer."""
    with path.open("rb", buffering=0) as file:
        drain(file)
