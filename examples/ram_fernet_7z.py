"""The recipe's fourth variant: as the third, but in a 7z, whose names and dates are encrypted too.

The popular version pipes the data into `7zz a -siNAME -pPASSWORD case.7z`. The data is not on the disk then; but every
user of the machine sees the password, and the entry's name that the 7z was to hide, in `ps` while that runs, and
whoever logs what is started keeps them. Without `-mhe=on` the names stand in the file as well; nobody salts its key;
and reading back is `7zz x`, which writes plaintext. Here no other program takes part.
"""

from __future__ import annotations

from pathlib import Path

import strongroom
from strongroom import FernetLayer, RamFS


def main(folder: Path, password: bytearray, inner: bytearray) -> tuple[bytes, bytes]:
    """Stage in memory, seal, and read: an entry by way of memory again, and the one under the second password."""
    path = folder / "case.7z"
    with FernetLayer(password=inner) as layer:
        with RamFS() as ram:
            ram.pipe({"/hidden_dir/scan.bin": bytes(range(256)), "/hidden_dir/notes.txt": b"for the second password"})
            with strongroom.create(path, password=password) as room:
                with ram.open("/hidden_dir/scan.bin") as file:
                    room.write("hidden_dir/scan.bin", file)
                with ram.open("/hidden_dir/notes.txt") as file:
                    room.write("hidden_dir/notes.txt", file, layer=layer)

        with strongroom.open(path, password=password) as room:
            with room.load() as ram:
                scan = ram.cat_file("/hidden_dir/scan.bin")
            return scan, room.read("hidden_dir/notes.txt", layer=layer)


if __name__ == "__main__":
    print(main(Path(), bytearray(b"nine tame owls read maps"), bytearray(b"two more owls hum songs")))
