"""How much of a difference chance explains: bootstrap intervals, permutation tests, Wilson's interval."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

DRAWS = 1000
Distance = Callable[[np.ndarray, np.ndarray], float]


def bootstrap(statistic: Callable[..., float], *samples: np.ndarray, alpha: float, seed: int = 0) -> tuple[float, float]:
    """(low, high): the 1 - alpha percentile interval of `statistic(*samples)`, each sample redrawn by itself (Efron, 1979)."""
    random = np.random.default_rng(seed)
    drawn = [statistic(*(random.choice(sample, len(sample)) for sample in samples)) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def permutation(distance: Distance, first: np.ndarray, second: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """(distance less what chance alone gives on average, p) between two samples of rows, by shuffling who belongs to which.

    first, second: (rows, columns) of counts; `distance` takes their column sums. Chance's share is what small samples show
    without any difference, so what is returned does not grow as windows get smaller.
    """
    random, pooled = np.random.default_rng(seed), np.concatenate([first, second]).astype(np.float32)
    total, found = pooled.sum(0), distance(first.sum(0), second.sum(0))
    member = np.zeros((DRAWS, len(pooled)), dtype=np.float32)
    for row in member:
        row[random.permutation(len(pooled))[: len(second)]] = 1
    by_chance = np.array([distance(total - drawn, drawn) for drawn in member @ pooled])
    return found - float(by_chance.mean()), float((1 + (by_chance >= found).sum()) / (1 + DRAWS))


def wilson(hits: int, n: int, alpha: float) -> tuple[float, float]:
    """(low, high) of a rate (Wilson, 1927)."""
    z = NormalDist().inv_cdf(1 - alpha / 2)
    centre, spread = hits + z * z / 2, z * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return max(0.0, (centre - spread) / (n + z * z)), min(1.0, (centre + spread) / (n + z * z))


def finding(value: float, low: float, high: float, n: int, bound: float, alarm: bool, what: str) -> dict:
    """One finding, rounded so that it reads, with its sentence."""
    numbers = {"value": value, "low": low, "high": high, "bound": bound}
    return {name: round(float(number), 4) for name, number in numbers.items()} | {"n": n, "alarm": bool(alarm), "what": what}
