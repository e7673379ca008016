"""Monitors whether prompts or answers are longer or shorter than in the reference."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from fmcycle.monitor.finding import finding
from fmcycle.ranges import Fraction, NonNegativeFloat
from fmcycle.statistics.interval import bootstrap


@dataclass
class Length:
    """Cohen's d (1988) of the logarithm of the word count, window against reference; alarms if its interval lies beyond `bound`."""

    side: Literal["prompt", "answer"]
    bound: NonNegativeFloat = 0.8  # a large effect by Cohen's scale; lower: more alarms, for smaller changes
    alpha: Fraction = 0.01

    def __call__(self, reference: pl.DataFrame, window: pl.DataFrame) -> dict:
        before, now = (words(frame[self.side]) for frame in (reference, window))
        value, low, high = bootstrap(cohen, before, now, alpha=self.alpha)
        what = f"words a {self.side}: {np.median(np.expm1(now)):.0f} now, {np.median(np.expm1(before)):.0f} in the reference (medians)"
        return finding(value, low, high, len(now), self.bound, low > self.bound or high < -self.bound, what)


def words(texts: pl.Series) -> np.ndarray:
    """Return log(1 + words) of each text."""
    return np.log1p(texts.str.count_matches(r"\S+").to_numpy().astype(float))


def cohen(before: np.ndarray, now: np.ndarray) -> float:
    """Return the difference of means over the pooled standard deviation; 0 if all values are equal."""
    spread = np.sqrt((before.var() + now.var()) / 2)
    difference = now.mean() - before.mean()
    return float(difference / max(spread, 1e-3))
