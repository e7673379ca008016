"""A stage by hand: how far it is from the command to the gradient."""

import inspect
from pathlib import Path

import pytest
import tiny

from fmcycle.cli import main
from fmcycle.training.module import Module

SOURCE = Path(main.__file__).parents[1]
INPUTS = ("tokens=artifacts/tokens", "processor=artifacts/processor", "documents=artifacts/curate/documents.parquet")
ONE_STEP = ["selection=params.yaml", "evaluation={}", "budget.max_steps=1", "budget.global_batch=2", "budget.validate_every=0"]


@pytest.fixture
def stack(monkeypatch) -> list[str]:
    """Functions of ours from `main` to the call of the trainer, once a step has been made; neither the library's nor lambdas."""
    found: list[str] = []
    whole = Module.training_step

    def step(self, batch, batch_idx):
        frames = [(Path(frame.filename), frame.function) for frame in reversed(inspect.stack())]
        first = frames.index((SOURCE / "cli/main.py", "main"))
        trainer = next(place for place, (file, _) in enumerate(frames) if "lightning" in file.parts)
        found[:] = [name for file, name in frames[first:trainer] if file.is_relative_to(SOURCE) and name != "<lambda>"]
        return whole(self, batch, batch_idx)

    monkeypatch.setattr(Module, "training_step", step)
    return found


def test_at_most_five_calls_of_ours_from_the_command_to_the_gradient(tmp_path, monkeypatch, stack):
    folder = tiny.make(tmp_path / "project")
    tiny.write_inputs(folder)
    monkeypatch.chdir(folder)
    assert main.main(["pretrain", *ONE_STEP, *(f"inputs.{name}" for name in INPUTS)]) == 0
    assert stack == ["main", "run", "perform", "run", "fit"]
