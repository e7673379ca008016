"""A probe sees all patches, leaves the model as it was, and tells features from pixels."""

import families
import numpy as np
import polars as pl
import pytest
import torch

from fmcycle.data.table import Rows
from fmcycle.evaluation.probe import Probe, few, groups

NAMES = (
    "probe_accuracy{}",
    "baseline/pixels_accuracy{}",
    "probe_gain{}",
    "baseline/most_frequent_accuracy{}",
    "probe_accuracy{}_over_baseline",
)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return families.masked_image()[0].eval()


def rows(split, processor):
    """Three classes of noise that differ in their light, of nine and six pictures each."""
    random = np.random.default_rng(split == "test")
    made = [
        {"pixel_values": (place % 3 + random.normal(0, 0.05, (3, 16, 16))).astype(np.float32), "labels": place % 3}
        for place in range(27 if split == "train" else 18)
    ]
    return Rows(made, 0, ["a", "b", "c"])


def test_what_is_easy_is_found_in_features_and_in_pixels(encoder):
    found = Probe(rows, shots=None, batch_size=5)(encoder, None)
    assert found["probe_accuracy"] > 0.8 and found["baseline/pixels_accuracy"] == 1.0 and found["probe_accuracy/n"] == 18
    assert found["probe_gain"] == pytest.approx(found["probe_accuracy"] - 1, abs=1e-5) and encoder.config.mask_ratio == 0.75


def test_features_do_not_depend_on_chance_or_on_the_batch(encoder):
    pictures = np.stack([row["pixel_values"] for row in rows("test", None).rows])
    one, other = (Probe(rows, batch_size=size).features(encoder, pictures) for size in (18, 4))
    assert one.shape == (18, 4 * 32) and np.allclose(one, other, atol=1e-5)
    assert Probe(rows, patches=False).features(encoder, pictures).shape == (18, 2 * 32)


def test_shots_are_of_every_class_and_stand_beside_all(encoder):
    found = Probe(rows, shots=2)(encoder, None)
    assert set(found) == {f"{name.format(shots)}{end}" for name in NAMES for shots in ("", "@2") for end in ("", "/low", "/high", "/n")}
    labels, alone = np.array([2, 0, 0, 2, 1, 0, 2]), np.arange(7)
    assert few(labels, 2, alone).tolist() == [0, 1, 2, 3, 4] and few(labels, None, alone).tolist() == list(range(7))
    assert few(labels, 2, np.array([0, 1, 1, 0, 2, 3, 4])).tolist() == [0, 1, 4, 5, 6]


def test_copies_of_one_thing_are_one_witness(encoder):
    def copies(split, processor):
        made = rows(split, processor)
        made.frame = pl.DataFrame({"group": [f"emoji/{place // 3}" for place in range(len(made))]})
        return made

    assert groups(rows("test", None)).tolist() == list(range(18)) and groups(copies("test", None)).tolist() == [n // 3 for n in range(18)]
    alone, together = (Probe(each, shots=None)(encoder, None) for each in (rows, copies))
    assert (alone["probe_gain/n"], together["probe_gain/n"]) == (18, 6) and alone["probe_gain"] == together["probe_gain"]
