import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from fmcycle.errors import InputError
from fmcycle.source.dataset.digits import NAMES, digits, installed, read
from fmcycle.source.reader import read as read_folder

PINNED = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


def test_a_digit_is_a_picture_with_its_name_and_nothing_of_it_is_lost(tmp_path):
    digits(tmp_path / "digits", sha256=PINNED)
    frame = read_folder(tmp_path).table("examples")
    assert frame.height == 1797 and frame["group"].n_unique() == 1797
    assert set(frame["label"]) == set("0123456789") and set(frame["licence"]) == {"CC-BY-4.0"}
    assert frame["text"].to_list() == [NAMES[int(label)] for label in frame["label"]]
    inks = read(installed(PINNED))
    for place in (0, 7, 1796):
        picture = Image.open(io.BytesIO(frame["media"][place]))
        assert (picture.mode, picture.size) == ("L", (8, 8))
        assert np.array_equal(np.round(np.asarray(picture) / 255 * 16), inks[place, :64].reshape(8, 8))


def test_again_they_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        digits(tmp_path / name / "digits", sha256=PINNED)
    first, second = ((tmp_path / name / "digits/examples.parquet").read_bytes() for name in ("one", "two"))
    assert first == second and pl.read_parquet(tmp_path / "one/digits/examples.parquet")["id"].is_sorted()


def test_other_pictures_than_the_pinned_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"conf/source/digits\.yaml pins 0000"):
        digits(tmp_path / "digits", sha256="0000")
