"""Confidence intervals: percentile bootstrap for any statistic, Wilson's score interval for rates."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

RESAMPLES = 1000
FEWEST = 6  # rows: with fewer, a paired two-sided sign test can't reach 0.05 (2 / 2**5 = 0.06)
NOTHING = (math.nan, math.nan, math.nan)


def bootstrap(
    statistic: Callable[..., float],
    *samples: np.ndarray,
    paired: bool = False,
    alpha: float = 0.05,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return (value, low, high): `statistic(*samples)` and its 1 - alpha percentile interval.

    samples: arrays whose first axis is the independent unit (a document, an answer). paired: draw the same units from every sample,
    else draw each sample independently. NaNs if a sample is empty. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993),
    chapter 13.
    """
    if not all(len(sample) for sample in samples):
        return NOTHING
    random, values = np.random.default_rng(seed), np.empty(resamples)
    for place in range(resamples):
        chosen = None
        drawn = []
        for sample in samples:
            if chosen is None or not paired:
                chosen = random.integers(0, len(sample), len(sample))
            drawn.append(sample[chosen])
        values[place] = statistic(*drawn)
    low, high = np.quantile(values, [alpha / 2, 1 - alpha / 2])
    return float(statistic(*samples)), float(low), float(high)


def ratio(numerator, denominator=None, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float, float]:
    """Return sum(numerator) / sum(denominator), or the mean, with its 95 % interval by paired bootstrap: (value, low, high).

    numerator, denominator: (units,). NaNs if there are no units.
    """
    numerator = np.asarray(numerator, dtype=np.float64)
    denominator = np.ones_like(numerator) if denominator is None else np.asarray(denominator, dtype=np.float64)
    return bootstrap(lambda one, other: one.sum() / other.sum(), numerator, denominator, paired=True, resamples=resamples, seed=seed)


def wilson(hits: float, n: int, alpha: float = 0.05) -> tuple[float, float, float]:
    """Return (rate, low, high) of `hits` in `n` trials, the 1 - alpha score interval (Wilson, 1927); NaNs if n is 0."""
    if n == 0:
        return NOTHING
    z = NormalDist().inv_cdf(1 - alpha / 2)
    centre, spread = hits + z * z / 2, z * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return hits / n, max(0.0, (centre - spread) / (n + z * z)), min(1.0, (centre + spread) / (n + z * z))
