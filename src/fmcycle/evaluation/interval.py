"""95 % intervals: percentile bootstrap for means and ratios, Wilson for rates."""

import math

import numpy as np

Z = 1.959963984540054  # the normal distribution's 97.5 % point


def row(name: str, value: float, low: float, high: float, n: int) -> dict[str, float]:
    """The four flat entries of one metric; rounded, so that the last bits of a sum's order never show."""
    if not all(math.isfinite(number) for number in (value, low, high)):
        return {f"{name}/n": int(n)}  # no value is better than an invented one
    return {name: round(float(value), 6), f"{name}/low": round(float(low), 6), f"{name}/high": round(float(high), 6), f"{name}/n": int(n)}


def bootstrap(numerator, denominator=None, *, resamples: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """(value, low, high) of sum(numerator) / sum(denominator), resampling the pairs; without a denominator the mean.

    numerator, denominator: [units], one entry an independent unit (a document, an answer). NaNs where there are none.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    numerator = np.asarray(numerator, dtype=np.float64)
    denominator = np.ones_like(numerator) if denominator is None else np.asarray(denominator, dtype=np.float64)
    if not len(numerator):
        return math.nan, math.nan, math.nan
    random = np.random.default_rng(seed)
    values = np.empty(resamples)
    for resample in range(resamples):
        chosen = random.integers(0, len(numerator), len(numerator))
        values[resample] = numerator[chosen].sum() / denominator[chosen].sum()
    low, high = np.quantile(values, [0.025, 0.975])
    return float(numerator.sum() / denominator.sum()), float(low), float(high)


def wilson(hits: int, n: int) -> tuple[float, float, float]:
    """(rate, low, high) of `hits` in `n` trials; NaNs where n is 0. Source: Wilson (1927), the score interval."""
    if n == 0:
        return math.nan, math.nan, math.nan
    rate, scale = hits / n, 1 + Z**2 / n
    middle = (rate + Z**2 / (2 * n)) / scale
    half = Z * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2)) / scale
    return rate, max(0.0, middle - half), min(1.0, middle + half)


def rate(name: str, right: np.ndarray) -> dict[str, float]:
    """A row for the share of `right` (n,), with its Wilson interval; nothing where there is none."""
    return row(name, *wilson(int(right.sum()), len(right)), len(right)) if len(right) else {}
