"""What an interval promises: coverage, determinism, and nothing invented."""

import math

import numpy as np
import pytest

from fmcycle.statistics.interval import bootstrap, ratio, wilson


def test_wilson_equals_the_published_example():
    rate, low, high = wilson(15, 148)  # Newcombe (1998), table I: 0.0624 to 0.1605
    assert (rate, low, high) == pytest.approx((0.1014, 0.0624, 0.1605), abs=1e-4)


def test_wilson_stays_within_0_and_1_at_the_ends():
    assert wilson(0, 10)[1] == 0 and 0.27 < wilson(0, 10)[2] < 0.29 and wilson(10, 10)[2] == pytest.approx(1)


def test_a_smaller_alpha_gives_a_wider_interval():
    values = np.random.default_rng(0).normal(0, 1, 50)
    for interval in (lambda alpha: wilson(15, 148, alpha), lambda alpha: bootstrap(np.mean, values, alpha=alpha)):
        (value, low, high), (same, lower, higher) = interval(0.05), interval(0.01)
        assert value == same and lower < low < value < high < higher


def test_about_95_of_100_bootstrap_intervals_hold_the_true_mean():
    random = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        _, low, high = ratio(random.normal(3, 1, 60), resamples=300, seed=trial)
        inside += low <= 3 <= high
    assert 88 <= inside <= 100


def test_paired_samples_are_drawn_together_and_others_by_themselves():
    same = np.random.default_rng(0).normal(0, 1, 40)

    def gain(one, other):
        return float((one - other).mean())

    assert bootstrap(gain, same, same, paired=True) == (0, 0, 0)
    _, low, high = bootstrap(gain, same, same)
    assert low < 0 < high


def test_same_seed_same_interval_and_a_ratio_weighs_by_its_denominator():
    values = ratio([1, 2, 3], [1, 2, 300], seed=1)
    assert values == ratio([1, 2, 3], [1, 2, 300], seed=1)
    assert values[0] == pytest.approx(6 / 303)


def test_the_intervals_of_a_seed_stay_what_they_are():
    values = [0.5, 1.25, 3.0, 2.0, 0.75]
    assert ratio(values, resamples=200, seed=3) == pytest.approx((1.5, 0.7, 2.30125), abs=1e-12)


def test_nothing_measured_has_no_interval():
    for found in (wilson(0, 0), ratio([]), bootstrap(np.mean, np.ones(3), np.ones(0))):
        assert all(map(math.isnan, found))
