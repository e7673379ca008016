"""What an interval promises: coverage, determinism, and nothing invented."""

import math

import numpy as np
import pytest

from fmcycle.evaluation.interval import bootstrap, row, wilson


def test_wilson_equals_the_published_example():
    rate, low, high = wilson(15, 148)  # Newcombe (1998), table I: 0.0624 to 0.1605
    assert (rate, low, high) == pytest.approx((0.1014, 0.0624, 0.1605), abs=1e-4)


def test_wilson_stays_within_0_and_1_at_the_ends():
    assert wilson(0, 10)[1] == 0 and wilson(10, 10)[2] == pytest.approx(1)


def test_about_95_of_100_bootstrap_intervals_hold_the_true_mean():
    random = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        _, low, high = bootstrap(random.normal(3, 1, 60), resamples=300, seed=trial)
        inside += low <= 3 <= high
    assert 88 <= inside <= 100


def test_same_seed_same_interval_and_a_ratio_weighs_by_its_denominator():
    values = bootstrap([1, 2, 3], [1, 2, 300], seed=1)
    assert values == bootstrap([1, 2, 3], [1, 2, 300], seed=1)
    assert values[0] == pytest.approx(6 / 303)


def test_where_nothing_was_measured_only_the_count_is_said():
    assert row("rate", *wilson(0, 0), 0) == {"rate/n": 0}
    assert row("mean", *bootstrap([]), 0) == {"mean/n": 0}
    assert all(math.isfinite(value) for value in row("x", 1, 0, 2, 3).values())
