"""The study: dotted overrides, and a sweep that a kill neither shortens nor changes."""

import optuna
import pytest

from fmcycle.search.space import Choice, Range, changed, leaves
from fmcycle.search.study import study

SPACE = {"optimizer.lr": Range(1e-4, 1e-2), "strategy.r": Choice([4, 8, 16])}


def sweep(folder, *, seed=0, count=8, die_at=None):
    """Values of each trial; a trial's score falls with its learning rate. At trial `die_at` it stops with the trial open."""
    for made, trial in study(folder, seed, count):
        values = {key: draw(trial, key) for key, draw in SPACE.items()}
        if trial.number == die_at:
            return None
        if trial.number == 2:
            made.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            made.tell(trial, -values["optimizer.lr"] * values["strategy.r"])
    return [(trial.state, trial.params, trial.value) for trial in made.get_trials()]


def test_an_interrupted_sweep_ends_as_the_uninterrupted_one_with_as_many_trials(tmp_path):
    assert sweep(tmp_path / "killed", die_at=1) is None
    assert sweep(tmp_path / "killed", die_at=5) is None
    assert sweep(tmp_path / "killed") == sweep(tmp_path / "whole")
    assert len(optuna.load_study(study_name="select", storage=f"sqlite:///{tmp_path}/killed/study.db").trials) == 8


def test_a_finished_sweep_does_nothing_more_and_another_seed_draws_others(tmp_path):
    first = sweep(tmp_path / "one", count=4)
    assert list(study(tmp_path / "one", 0, 4)) == []
    assert sweep(tmp_path / "two", seed=1, count=4) != first


def test_overrides_change_a_copy_at_dotted_keys():
    section = {"optimizer": {"lr": 1, "beta": 2}, "strategy": {"peft_config": {"r": 4}}}
    found = changed(section, {"optimizer.lr": 3, "strategy.peft_config.r": 8})
    assert found == {"optimizer": {"lr": 3, "beta": 2}, "strategy": {"peft_config": {"r": 8}}}
    assert section["optimizer"]["lr"] == 1
    assert leaves(section) == {"optimizer.lr": 1, "optimizer.beta": 2, "strategy.peft_config.r": 4}
    with pytest.raises(KeyError, match="strategy"):
        changed({"optimizer": {"lr": 1}}, {"strategy.r": 4})
