"""The figures of an evaluation: a value, the ends of its 95 % interval and the number of units, four flat entries a metric."""

import math

import numpy as np

from fmcycle.statistics.interval import RESAMPLES, ratio, wilson


def row(name: str, value: float, low: float, high: float, n: int) -> dict[str, float]:
    """The four flat entries of one metric; rounded, so that the last bits of a sum's order never show."""
    if not all(math.isfinite(number) for number in (value, low, high)):
        return {f"{name}/n": int(n)}  # no value is better than an invented one
    return {name: round(float(value), 6), f"{name}/low": round(float(low), 6), f"{name}/high": round(float(high), 6), f"{name}/n": int(n)}


def mean(name: str, values, sizes=None, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, float]:
    """sum(values) / sum(sizes) with its bootstrap interval, n the sum of `sizes`; without sizes the mean, n the number of values."""
    n = len(values) if sizes is None else sum(sizes)
    return row(name, *ratio(values, sizes, resamples=resamples, seed=seed), n)


def rate(name: str, right) -> dict[str, float]:
    """The share of `right` (n,) that is true, with its Wilson interval."""
    return row(name, *wilson(int(np.sum(right)), len(right)), len(right))
