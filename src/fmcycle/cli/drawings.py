"""Ten small drawings with a label each: the example data of `fmcycle init --template images`."""

import random
from pathlib import Path

LABELS, SIDE = ("circle", "square"), 48
COLOURS = ("firebrick", "seagreen", "royalblue", "goldenrod", "slategray")


def write(folder: Path) -> None:
    """Write ten PNG files and metadata.csv, which has their labels; the same bytes every time."""
    from PIL import Image, ImageDraw

    chance, lines = random.Random(0), ["file_name,label"]
    for number in range(10):
        label = LABELS[number % 2]
        image = Image.new("RGB", (SIDE, SIDE), "white")
        width, left, top = chance.randint(16, 28), chance.randint(4, 16), chance.randint(4, 16)
        box = (left, top, left + width, top + width)
        pen = ImageDraw.Draw(image)
        (pen.ellipse if label == "circle" else pen.rectangle)(box, fill=COLOURS[number // 2])
        image.save(folder / f"drawing{number}.png")
        lines.append(f"drawing{number}.png,{label}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
