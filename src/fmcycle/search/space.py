"""Search spaces: ranges and choices of config keys."""

from copy import deepcopy
from dataclasses import dataclass

from fmcycle.ranges import PositiveFloat


@dataclass
class Range:
    """A number from `low` to `high`; `log`: every power of ten is as likely as any other."""

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
    """{dotted key: leaf} of nested dicts."""
    found: dict = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def changed(section: dict, overrides: dict) -> dict:
    """A copy of `section` with the values at the dotted keys of `overrides`. Raises KeyError where a key leads nowhere."""
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
