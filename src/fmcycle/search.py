"""Optuna's study as files: what a trial may change, and trials that a kill does not lose."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from fmcycle.number import PositiveFloat

STARTUP = 3  # trials drawn at random before TPE models the rest


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


def study(folder: Path, seed: int, count: int) -> Iterator[tuple]:
    """Yield (study, trial) until `count` trials ended; the caller tells each trial's result.

    The study is SQLite in `folder`. A trial that a kill left open is given out again with the values that it had; each trial draws with
    its own seed, so the sweep is the same whether or not it was interrupted.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    made = optuna.create_study(
        storage=f"sqlite:///{(folder / 'study.db').resolve()}", study_name="select", direction="maximize", load_if_exists=True
    )
    while True:
        trials = made.get_trials(deepcopy=False)
        open_ones = [trial for trial in trials if not trial.state.is_finished()]
        if not open_ones and len(trials) >= count:
            return
        number = open_ones[0].number if open_ones else len(trials)
        made.sampler = optuna.samplers.TPESampler(seed=seed * 1_000_003 + number, n_startup_trials=STARTUP)
        yield made, optuna.trial.Trial(made, open_ones[0]._trial_id) if open_ones else made.ask()
