"""Permutation test: how often two samples differ at least as much by chance alone."""

from collections.abc import Callable

import numpy as np

DRAWS = 1000
Distance = Callable[[np.ndarray, np.ndarray], float]


def permutation(distance: Distance, first: np.ndarray, second: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return (distance minus its mean under permutation, p) of two samples, permuting which row belongs to which sample.

    first, second: (rows, columns) of counts; `distance` takes their column sums. Small samples differ by chance; subtracting the
    mean keeps the value from growing as samples get smaller.
    """
    random, pooled = np.random.default_rng(seed), np.concatenate([first, second]).astype(np.float32)
    total, found = pooled.sum(0), distance(first.sum(0), second.sum(0))
    member = np.zeros((DRAWS, len(pooled)), dtype=np.float32)
    for row in member:
        row[random.permutation(len(pooled))[: len(second)]] = 1
    by_chance = np.array([distance(total - drawn, drawn) for drawn in member @ pooled])
    return found - float(by_chance.mean()), float((1 + (by_chance >= found).sum()) / (1 + DRAWS))
