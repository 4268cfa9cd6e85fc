"""The recipe's first variant: a secret that goes from memory into an encrypted ZIP, and back.

With pyzipper the ZIP stands there from the first byte on, half written and with mode 0644; LZMA packs 1 MB/s; and what
is read is handed out before its authentication code is checked.
"""

from __future__ import annotations

from pathlib import Path

import strongroom


def main(folder: Path, password: bytearray) -> bytes:
    """Seal and read; `password` can be wiped once this is done, and so is not text."""
    path = folder / "new_test.zip"
    with strongroom.create(path, password=password) as room:
        room.write("secret_data.txt", b"What ever you do, don't tell anyone!")

    with strongroom.open(path, password=password) as room:
        return room.read("secret_data.txt")


if __name__ == "__main__":
    print(main(Path(), bytearray(b"nine tame owls read maps")))
