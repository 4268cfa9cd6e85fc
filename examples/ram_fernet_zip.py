"""The recipe's third variant: files staged in memory, one of them under Fernet, all in an encrypted ZIP.

The popular version stages in PyFilesystem2's `mem://`, which no longer installs and holds plaintext, so that swap, core
dumps and hibernation do too; and again it packs the Fernet key. A RamFS holds ciphertext only, under a key that goes
with it, and any library that knows fsspec writes to it.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import strongroom
from strongroom import FernetLayer, RamFS


def main(folder: Path, password: bytearray, inner: bytearray) -> pd.DataFrame:
    """Stage in memory, seal, load into memory again, and read from there."""
    path = folder / "case.zip"
    with RamFS() as ram, FernetLayer(password=inner) as layer:
        pd.DataFrame({"id": [1, 2], "dose": [0.5, 0.25]}).to_csv(ram.url("/hidden_dir/patients.csv"), index=False)
        ram.pipe("/hidden_dir/notes.txt", b"for the second password only")

        with strongroom.create(path, password=password) as room:
            for name in ("hidden_dir/patients.csv", "hidden_dir/notes.txt"):
                with ram.open("/" + name) as file:
                    room.write(name, file, layer=layer if name.endswith("notes.txt") else None)

    with strongroom.unseal(path, password=password) as ram:
        return pd.read_csv(ram.url("/hidden_dir/patients.csv"))


if __name__ == "__main__":
    print(main(Path(), bytearray(b"nine tame owls read maps"), bytearray(b"two more owls hum songs")))
