import importlib.util
import sys
from pathlib import Path

import in_worker
import pytest
from in_worker import about

from fmcycle.config.compose import compose
from fmcycle.errors import InputError
from fmcycle.executor.ray import Ray
from fmcycle.runner.inputs import wrong_paths


@pytest.mark.prove
def test_a_task_that_fails_or_dies_ends_in_a_plain_message(root, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{root / 'src'}:{Path(in_worker.__file__).parent}")
    with Ray(workers=2) as executor:
        assert [item for item, _, _ in executor.map(about, range(5))] == list(range(5))
        with pytest.raises(ValueError, match="no such shard") as told:
            list(executor.map(about, [1, "fail", 2]))
        assert repr(told.value) == "ValueError('no such shard')" and "in_worker.py" in told.value.__notes__[0]
        assert told.value.__suppress_context__  # Ray's own traceback
        with pytest.raises(InputError, match=r"\Ano such file\Z") as told:
            list(executor.map(about, ["refuse"]))
        assert type(told.value) is InputError and not hasattr(told.value, "__notes__")
        with pytest.raises(InputError, match=r"a task was lost.*WorkerCrashedError.*executor\.shard_mb"):
            list(executor.map(about, [1, "die", 2]))
        assert [item for item, _, _ in executor.map(about, "ab")] == ["a", "b"]


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="pip install ray"), Ray():
        pass


def test_without_ray_the_stage_is_refused_before_any_work(project, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find(name, *more))
    (line,) = wrong_paths(compose(["stage=curate", "executor=ray"]))
    assert line == "executor: the package ray is not installed: run `pip install ray`, or choose executor=local"
