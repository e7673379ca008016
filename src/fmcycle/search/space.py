"""Search spaces: ranges and choices of config keys."""

from copy import deepcopy
from dataclasses import dataclass

from fmcycle.ranges import PositiveFloat


@dataclass
class Range:
    """A number from `low` to `high`, uniform; `log`: uniform in its logarithm."""

    low: PositiveFloat
    high: PositiveFloat
    log: bool = True

    def __call__(self, trial, name: str) -> float:
        return float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.3g}")


@dataclass
class Choice:
    """One of `values`."""

    values: list

    def __call__(self, trial, name: str):
        return trial.suggest_categorical(name, self.values)


def leaves(tree: dict, prefix: str = "") -> dict:
    """Return {dotted key: leaf} of nested dicts."""
    found: dict = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def changed(section: dict, overrides: dict) -> dict:
    """Return a copy of `section` with `overrides`, {dotted key: value}, applied. Raises KeyError if `section` has no such key."""
    copy = deepcopy(section)
    for key, value in overrides.items():
        *path, last = key.split(".")
        node = copy
        for name in path:
            node = node[name] if isinstance(node, dict) and name in node else {}
        if last not in node:
            raise KeyError(key)
        node[last] = value
    return copy
