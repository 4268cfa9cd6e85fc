"""Pictures of Pillow and figures of matplotlib, saved straight into the archive.

Both write to a file that is open as well as to a path; the format then has to be named. What has to go back in its file
(TIFF) goes by way of a RamFS. A `Figure` made by itself needs no display. `python -m examples.figures`
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

import strongroom
from strongroom import RamFS


def main(folder: Path, password: bytearray) -> dict[str, tuple[int, int]]:
    """Seal a plot, a drawing and two pictures, and say how large what can be read back as pictures is."""
    figure = Figure(figsize=(4, 3), dpi=100)
    figure.subplots().plot([139, 141, 138, 144], label="sodium")
    picture = Image.linear_gradient("L").resize((320, 240))

    path = folder / "figures.zip"
    with strongroom.create(path, password=password) as room, RamFS() as ram:
        with room.open("plot.png", "wb") as file:
            figure.savefig(file, format="png")
        with room.open("plot.svg", "wb") as file:
            figure.savefig(file, format="svg")
        with room.open("scan.jpeg", "wb") as file:
            picture.save(file, "JPEG")
        with ram.open("/scan.tiff", "wb") as file:
            picture.save(file, "TIFF")
        with ram.open("/scan.tiff", "rb") as file:
            room.write("scan.tiff", file)

    with strongroom.open(path, password=password) as room:
        sizes = {}
        for name in ("plot.png", "scan.jpeg", "scan.tiff"):
            with room.open(name, "rb") as file, Image.open(file) as image:
                image.load()
                sizes[name] = image.size
        return sizes


if __name__ == "__main__":
    print(main(Path(), bytearray(b"nine tame owls read maps")))
