"""A metric is four flat entries; nothing measured is a count of 0."""

import math

import numpy as np

from fmcycle.evaluation.figures import mean, rate, row


def test_a_metric_has_its_value_its_interval_and_its_count():
    for found in (row("x", 1, 0, 2, 3), mean("x", [0.5, 1.5, 1.0]), mean("x", [2, 4], [1, 2]), rate("x", np.array([True, False, True]))):
        assert list(found) == ["x", "x/low", "x/high", "x/n"] and found["x/n"] == 3
        assert all(math.isfinite(value) for value in found.values()) and found["x/low"] <= found["x"] <= found["x/high"]


def test_a_mean_with_sizes_weighs_by_them():
    assert mean("x", [6, 0], [1, 2])["x"] == 2


def test_if_nothing_was_measured_only_the_count_is_said():
    assert rate("x", np.array([], dtype=bool)) == mean("x", []) == {"x/n": 0}
