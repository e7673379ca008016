"""Bounds of a gate, and its verdict on metrics."""

import difflib
import math
from dataclasses import dataclass
from typing import Literal

from fmcycle.statistics.interval import FEWEST


@dataclass
class Bound:
    """A bound on a metric: on its value, or on the low or high end of its 95 % interval.

    min, max: the bound itself passes. above, below: it does not; each is a number or the name of another metric, whose value then is the
    bound (`baseline/...`, measured on the same rows). An end of the interval of fewer than FEWEST rows passes no bound.
    """

    min: float | None = None
    max: float | None = None
    above: float | str | None = None
    below: float | str | None = None
    of: Literal["value", "low", "high"] = "value"

    def __call__(self, metric: str, metrics: dict[str, float]) -> dict:
        """Return one check: {metric, of, min, max, above, below, value, passed, misses_by, why}; what was not measured fails."""
        name = metric if self.of == "value" else f"{metric}/{self.of}"
        value = _measured(name, metrics)
        bounds = {"min": self.min, "max": self.max, "above": self.above, "below": self.below}
        check = {"metric": metric, "of": self.of, **bounds, "value": value}
        if why := self._unfit(metric, name, metrics):
            return check | {"misses_by": None, "passed": False, "why": why}
        assert value is not None
        missed = []
        for side, bound in bounds.items():
            if bound is None:
                continue
            limit = metrics[bound] if isinstance(bound, str) else bound
            by = limit - value if side in ("min", "above") else value - limit
            if by > 0 or (by == 0 and side in ("above", "below")):
                of = f"{bound} {limit:.6g}" if isinstance(bound, str) else f"{limit:.6g}"
                missed.append((by, f"{name} is {value:.6g}, {side} {of}: " + (f"misses by {by:.6g}" if by else "not reached")))
        worst, why = max(missed, default=(0.0, ""))
        return check | {"misses_by": worst, "passed": not missed, "why": why}

    def _unfit(self, metric: str, name: str, metrics: dict[str, float]) -> str:
        """Return why the metrics can't answer the bound; "" if they can."""
        others = [bound for bound in (self.above, self.below) if isinstance(bound, str)]
        for wanted in (name, *others):
            if _measured(wanted, metrics) is None:
                near = difflib.get_close_matches(wanted, metrics, 1)
                hint = f"did you mean {near[0]}?" if near else f"evaluate it too, or leave the bound out with ~gate.{metric}"
                return f"{wanted} was not measured{'' if wanted == name else f', and bounds {metric}'}; {hint}"
        n = metrics.get(f"{metric}/n")
        if self.of != "value" and n is not None and n < FEWEST:
            return (
                f"{name} rests on {n:.0f} row{'s' * (n != 1)}, and fewer than {FEWEST} can't exclude chance: hold out more rows "
                f"(split.test of curate), or bound the value itself with gate.{metric}.of=value"
            )
        for other in others:
            beside = metrics.get(f"{other}/n")
            if n is not None and beside is not None and n != beside:
                rows = f"n {n:.0f} and {beside:.0f}"
                return f"{metric} was measured on other rows than {other} ({rows}): give both evaluations the same limit"
        return ""


def _measured(name: str, metrics: dict[str, float]) -> float | None:
    value = metrics.get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def judge(bounds: dict[str, Bound], metrics: dict[str, float]) -> dict:
    """Return the verdict: {"passed": True if all checks passed, "checks": one for each bound, in the order of the config}."""
    checks = [bound(metric, metrics) for metric, bound in bounds.items()]
    return {"passed": all(check["passed"] for check in checks), "checks": checks}
