"""Handwritten digits from the data in the scikit-learn package: images with their names."""

import gzip
import importlib.util
import io
from pathlib import Path

import numpy as np

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.source.local import write_record
from fmcycle.tables import schema

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NOTE = (
    "The licence is the one that the UCI repository gives the data (E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, "
    "https://doi.org/10.24432/C50P49); scikit-learn, which carries a copy of its test set, is BSD-3-Clause."
)
URL = "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits"


def digits(folder: str | Path, *, sha256: str, licence: str = "CC-BY-4.0") -> None:
    """Write 1,797 `examples` and the licence record: media a grey PNG of 8x8, text "seven", label "7"; each image is its own group.

    sha256: of the package's file, so that a release with other images is refused. The 17 levels of ink, 0 to 16, are spread over
    0 to 255. The data doesn't say who wrote a digit, so a split can't keep writers apart.
    Raises InputError if the package is not installed, or has another file.
    """
    from PIL import Image

    folder = Path(folder)
    rows: list[dict] = []
    for number, values in enumerate(read(installed(sha256))):
        pixels, digit = values[:-1].reshape(8, 8), int(values[-1])
        out = io.BytesIO()
        Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8)).save(out, "PNG")
        rows.append({"id": f"digits/{number:04}", "group": f"digits/{number:04}", "domain": "handwriting", "type": "image"})
        rows[-1] |= {"text": NAMES[digit], "label": str(digit), "media": out.getvalue()}
    schema.write(folder, {"examples": rows}, source=folder.name, licence=licence, time="1998-07-01")
    write_record(folder, licence, "public", url=URL, note=NOTE)


def installed(sha256: str) -> Path:
    """The path of the package's file, found without importing the package."""
    spec = importlib.util.find_spec("sklearn")
    file = Path(spec.origin or "").parent / "datasets/data/digits.csv.gz" if spec else None
    if file is None or not file.is_file():
        raise InputError("source digits: scikit-learn with its digits is not installed; run `pip install scikit-learn`")
    if artifact.sha256(file) != sha256:
        raise InputError(
            f"{file}: sha256 {artifact.sha256(file)}, conf/source/digits.yaml pins {sha256}; write this digest there to take it"
        )
    return file


def read(file: Path) -> np.ndarray:
    """(n, 65): 64 levels of ink, row by row, and the digit."""
    return np.loadtxt(io.BytesIO(gzip.decompress(file.read_bytes())), delimiter=",").astype(np.int64)
