"""Formats metrics as four flat entries each: value, both ends of the 95 % interval, number of units."""

import math

import numpy as np

from fmcycle.statistics.interval import RESAMPLES, ratio, wilson


def row(name: str, value: float, low: float, high: float, n: int) -> dict[str, float]:
    """Return the four flat entries of one metric, rounded to hide differences in the order of summation."""
    if not all(math.isfinite(number) for number in (value, low, high)):
        return {f"{name}/n": int(n)}  # an undefined value is left out
    return {name: round(float(value), 6), f"{name}/low": round(float(low), 6), f"{name}/high": round(float(high), 6), f"{name}/n": int(n)}


def mean(name: str, values, sizes=None, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, float]:
    """Return sum(values) / sum(sizes) with its bootstrap interval and n = sum(sizes); without sizes the mean and n = len(values)."""
    n = len(values) if sizes is None else sum(sizes)
    return row(name, *ratio(values, sizes, resamples=resamples, seed=seed), n)


def rate(name: str, right) -> dict[str, float]:
    """Return the share of true values in `right` (n,), with its Wilson interval; a tie counts 0.5."""
    return row(name, *wilson(float(np.sum(right)), len(right)), len(right))
