"""The recipe's second variant: a Fernet token inside an encrypted ZIP.

The popular version writes the Fernet key as `encryption_key.txt` into the same ZIP, beside `encrypted.txt`: whoever can
open the ZIP has both, and the second encryption is for show. Here the key comes from a second password and is stored
nowhere, and the ZIP can go to people who must not read the entry. Archives of the popular kind open, with a warning.
"""

from __future__ import annotations

from pathlib import Path

import strongroom
from strongroom import FernetLayer, RecipeLayer


def main(folder: Path, password: bytearray, inner: bytearray) -> bytes:
    """Seal an entry under two passwords; who has the first alone sees a token."""
    path = folder / "fernet.zip"
    with FernetLayer(password=inner) as layer:
        with strongroom.create(path, password=password) as room:
            room.write("notes.txt", b"for the second password only", layer=layer)
            room.write("readme.txt", b"for whoever opens the archive")

        with strongroom.open(path, password=password) as room:
            return room.read("notes.txt", layer=layer)


def from_the_recipe(path: Path, password: bytearray) -> bytes:
    """Read what the popular version wrote."""
    with strongroom.open(path, password=password) as room:
        return room.read("encrypted.txt", layer=RecipeLayer())


if __name__ == "__main__":
    print(main(Path(), bytearray(b"nine tame owls read maps"), bytearray(b"two more owls hum songs")))
