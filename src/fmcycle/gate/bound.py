"""Bounds of a gate, and its verdict on metrics."""

import difflib
import math
from dataclasses import dataclass
from typing import Literal


@dataclass
class Bound:
    """A bound on a metric: on its value, or on the low or high end of its 95 % interval."""

    min: float | None = None
    max: float | None = None
    of: Literal["value", "low", "high"] = "value"

    def __call__(self, metric: str, metrics: dict[str, float]) -> dict:
        """Return one check: {metric, of, min, max, value, passed, misses_by, why}; a metric that was not measured fails."""
        name = metric if self.of == "value" else f"{metric}/{self.of}"
        value = metrics.get(name)
        check = {"metric": metric, "of": self.of, "min": self.min, "max": self.max, "value": value}
        if not isinstance(value, int | float) or not math.isfinite(value):
            near = difflib.get_close_matches(name, metrics, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return check | {"value": None, "misses_by": None, "passed": False, "why": f"{name} was not measured{hint}"}
        low = self.min - value if self.min is not None else 0.0
        high = value - self.max if self.max is not None else 0.0
        misses = max(low, high, 0.0)
        side, bound = ("min", self.min) if low > 0 else ("max", self.max)
        why = f"{name} is {value:.6g}, {side} {bound:.6g}: misses by {misses:.6g}" if misses else ""
        return check | {"misses_by": misses, "passed": not misses, "why": why}


def judge(bounds: dict[str, Bound], metrics: dict[str, float]) -> dict:
    """Return the verdict: {"passed": True if all checks passed, "checks": one for each bound, in the order of the config}."""
    checks = [bound(metric, metrics) for metric, bound in bounds.items()]
    return {"passed": all(check["passed"] for check in checks), "checks": checks}
