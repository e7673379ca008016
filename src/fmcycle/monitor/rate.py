"""Monitors how often answers are refused or disliked, and how long they take."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from fmcycle.monitor.finding import finding
from fmcycle.ranges import Fraction, PositiveFloat
from fmcycle.statistics.interval import bootstrap, wilson


@dataclass
class Rate:
    """Share of answers that were refused, or of rated answers with a thumb down; alarms if its low end exceeds `bound`."""

    of: Literal["refused", "disliked"]
    bound: Fraction
    alpha: Fraction = 0.01

    def __call__(self, _reference: pl.DataFrame, window: pl.DataFrame) -> dict:
        asked = window if self.of == "refused" else window.filter(pl.col("rating") != 0)
        hits = int((asked["refused"] if self.of == "refused" else asked["rating"] < 0).sum())
        if not len(asked):
            return finding(0, 0, 0, 0, self.bound, False, "nobody rated an answer")
        value, low, high = wilson(hits, len(asked), self.alpha)
        return finding(value, low, high, len(asked), self.bound, low > self.bound, f"{hits} of {len(asked)} answers {self.of}")


@dataclass
class Latency:
    """95th percentile of the seconds of an answer; alarms if its low end exceeds `bound`."""

    bound: PositiveFloat = 10.0
    alpha: Fraction = 0.01

    def __call__(self, _reference: pl.DataFrame, window: pl.DataFrame) -> dict:
        seconds = window["latency"].to_numpy()
        value, low, high = bootstrap(slow, seconds, alpha=self.alpha)
        return finding(value, low, high, len(seconds), self.bound, low > self.bound, f"95 of 100 answers within {value:.2f} s")


def slow(seconds: np.ndarray) -> float:
    """Return the 95th percentile."""
    return float(np.quantile(seconds, 0.95))
