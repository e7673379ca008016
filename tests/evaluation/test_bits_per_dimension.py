"""Bits of pixels: a model that knows nothing has those of an even choice, the train split's counts those of the histogram."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmcycle.data.table import Rows
from fmcycle.evaluation.bits_per_dimension import BitsPerDimension

LEVELS, PIXELS = 4, 3


class Fixed(torch.nn.Module):
    """Says `chances` (PIXELS, LEVELS) of every picture's pixels, whatever stands before."""

    device = torch.device("cpu")
    config = SimpleNamespace(vocab_size=LEVELS + 1)

    def __init__(self, chances):
        super().__init__()
        logits = torch.from_numpy(np.log(chances)).float()
        self.logits = torch.cat([logits, torch.full((PIXELS, 1), -torch.inf)], 1)

    def forward(self, input_ids, use_cache):
        return SimpleNamespace(logits=self.logits.expand(len(input_ids), -1, -1))


def rows(split, processor):
    random = np.random.default_rng(split == "test")
    return Rows([{"input_ids": [LEVELS, *random.binomial(LEVELS - 1, 0.2, PIXELS).tolist()]} for _ in range(40)], 0)


def test_an_even_choice_has_the_bits_of_its_levels():
    found = BitsPerDimension(rows)(Fixed(np.full((PIXELS, LEVELS), 1 / LEVELS)), None)
    assert found["bits_per_dimension"] == pytest.approx(math.log2(LEVELS), abs=1e-5)
    assert found["bits_per_dimension/n"] == 40 * PIXELS
    assert found["baseline/histogram_bits_per_dimension"] < found["bits_per_dimension"]


def test_the_counts_as_a_model_have_the_bits_of_the_baseline():
    train = np.array([row["input_ids"][1:] for row in rows("train", None).rows])
    counts = np.stack([np.bincount(column, minlength=LEVELS) + 1 for column in train.T])
    found = BitsPerDimension(rows, batch_size=7)(Fixed(counts / counts.sum(1, keepdims=True)), None)
    for end in ("", "/low", "/high"):
        assert found[f"bits_per_dimension{end}"] == pytest.approx(found[f"baseline/histogram_bits_per_dimension{end}"], abs=1e-5)


def test_a_limit_is_of_pictures():
    assert BitsPerDimension(rows, limit=10)(Fixed(np.full((PIXELS, LEVELS), 1 / LEVELS)), None)["bits_per_dimension/n"] == 10 * PIXELS
