"""Accuracy is counted, its baselines see the same rows, and names that are not the model's own are told."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import ViTImageProcessorPil

from fmcycle.data.table import Rows
from fmcycle.errors import InputError
from fmcycle.evaluation.accuracy import Accuracy

NAMES = ["cat", "dog"]
PROCESSOR = ViTImageProcessorPil(size={"height": 2, "width": 2})


class Sign(torch.nn.Module):
    """Says dog of a bright picture."""

    device = torch.device("cpu")

    def __init__(self, names=NAMES):
        super().__init__()
        self.config = SimpleNamespace(pad_token_id=None, id2label=dict(enumerate(names)))

    def forward(self, pixel_values):
        mean = pixel_values.mean((1, 2, 3))
        return SimpleNamespace(logits=torch.stack([-mean, mean], 1))


def pictures(split, processor):
    """Forty bright dogs and sixty dark cats; in the test split every tenth has the other's light."""
    random, rows = np.random.default_rng(split == "test"), []
    for place in range(100):
        label = int(place % 5 < 2)
        bright = (label * 2 - 1) * (-1 if split == "test" and place % 10 == 0 else 1)
        rows.append({"pixel_values": (bright + random.normal(0, 0.1, (1, 2, 2))).astype(np.float32), "labels": label})
    return Rows(rows, 0, NAMES)


def test_accuracy_and_its_baselines_are_of_the_same_rows():
    found = Accuracy(pictures, batch_size=7, each=True)(Sign(), PROCESSOR)
    assert found["accuracy"] == found["baseline/regression_accuracy"] == 0.9 and found["accuracy/n"] == 100
    assert found["baseline/most_frequent_accuracy"] == 0.6
    assert {found[f"baseline/{name}_accuracy"] for name in ("ridge", "nearest_neighbour", "k_means")} == {0.9}
    assert found["cat/accuracy"] == 1.0 and found["dog/accuracy"] == 0.75  # the odd ones are all dogs
    assert found["accuracy/low"] < 0.9 < found["accuracy/high"]


def test_a_limit_takes_rows_from_everywhere_and_no_training_rows_leave_the_most_frequent_class():
    cats_first = Rows(sorted(pictures("test", None).rows, key=lambda row: row["labels"]), 0, NAMES)
    found = Accuracy(lambda *_: cats_first, limit=50, baseline=0)(Sign(), PROCESSOR)
    assert found["accuracy/n"] == 50 and 0.7 < found["accuracy"] < 1  # all cats are told
    assert {name for name in found if name.startswith("baseline") and name.endswith("y")} == {"baseline/most_frequent_accuracy"}
    assert 0.5 <= found["baseline/most_frequent_accuracy"] < 1


def test_classes_that_are_not_the_models_are_told():
    with pytest.raises(InputError, match="the model names cat, owl; the rows' dog is none of them"):
        Accuracy(pictures)(Sign(["cat", "owl"]), PROCESSOR)


def test_rows_that_lack_a_class_of_the_model_are_judged_by_name():
    found = Accuracy(pictures, baseline=0, each=True)(Sign(["bird", "cat", "dog"]), PROCESSOR)
    assert found["accuracy/n"] == found["cat/accuracy/n"] + found["dog/accuracy/n"] == 100 and "bird/accuracy" not in found
