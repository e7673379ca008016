"""The permutation test tells a difference from chance."""

import numpy as np

from fmcycle.statistics.permutation import permutation


def variation(first, second):
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def drawn(shares, rows, seed):
    return np.random.default_rng(seed).multinomial(20, shares, rows)


def test_a_difference_has_a_small_p_and_about_one_in_twenty_equal_samples_has_one_below_5_percent():
    value, p = permutation(variation, drawn([0.5, 0.5], 40, 0), drawn([0.8, 0.2], 30, 1))
    assert 0.2 < value < 0.4 and p < 0.01
    below = [permutation(variation, drawn([0.5, 0.5], 15, seed), drawn([0.5, 0.5], 10, 100 + seed))[1] <= 0.05 for seed in range(60)]
    assert sum(below) <= 8


def test_the_mean_of_chance_is_subtracted_so_small_samples_are_no_further_apart():
    values = [permutation(variation, drawn([0.25] * 4, 8, seed), drawn([0.25] * 4, 4, 50 + seed))[0] for seed in range(20)]
    assert abs(np.mean(values)) < 0.03


def test_the_same_samples_and_seed_give_the_same_value():
    first, second = drawn([0.5, 0.5], 10, 0), drawn([0.3, 0.7], 10, 1)
    assert permutation(variation, first, second, seed=4) == permutation(variation, first, second, seed=4)
