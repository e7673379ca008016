"""Two processes, DDP and FSDP2, against one: gradients, losses, metrics, weights. The program is tests/helpers/two_processes.py."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fmcycle.training import checkpoint

BOTH = pytest.mark.parametrize("strategy", ["ddp", "fsdp"])


def same_weights(one: Path, other: Path, atol: float) -> None:
    torch.testing.assert_close(*(load_file(folder / "weights.safetensors") for folder in (one, other)), rtol=0, atol=atol)


def run_program(folder: Path, check=True, **settings) -> dict:
    """The curve of tests/helpers/two_processes.py."""
    program = str(Path(__file__).parents[1] / "helpers/two_processes.py")
    subprocess.run([sys.executable, program, str(folder), json.dumps(settings)], check=check, timeout=300)
    return json.loads((folder / "curve.json").read_text()) if check else {}


@pytest.mark.prove
@BOTH
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_two_processes_have_the_gradient_of_one(tmp_path, strategy, clip):
    settings = {"optimizer": "sgd", "budget": {"max_steps": 1, "clip": clip, "warmup": 0.0, "decay": 0.0}}
    run_program(tmp_path / "one", micro_batch=8, **settings)
    for micro in (4, 1):
        run_program(tmp_path / str(micro), devices=2, strategy=strategy, micro_batch=micro, **settings)
        same_weights(tmp_path / "one", tmp_path / str(micro), 1e-6)


@pytest.mark.prove
@BOTH
@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
def test_two_processes_give_the_losses_metrics_and_weights_of_one(tmp_path, strategy, adapter):
    settings = {"micro_batch": 2, "adapter": adapter}
    one, two = run_program(tmp_path / "one", **settings), run_program(tmp_path / "two", devices=2, strategy=strategy, **settings)
    assert one.keys() == two.keys() and "validation_rows_seen" in one and one["rows"] == two["rows"]
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-6)
    same_weights(tmp_path / "one", tmp_path / "two", 1e-5)


@pytest.mark.prove
@BOTH
@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
def test_two_processes_on_packed_rows_give_the_losses_and_weights_of_one(tmp_path, strategy, adapter):
    settings = {"micro_batch": 2, "on_packed": True, "adapter": adapter, "budget": {"max_steps": 10}}
    one, two = run_program(tmp_path / "one", **settings), run_program(tmp_path / "two", devices=2, strategy=strategy, **settings)
    assert one["rows"] == two["rows"] and one["count"] == two["count"]
    np.testing.assert_allclose(one["loss"], two["loss"], atol=1e-6)
    np.testing.assert_allclose(one["validation_loss"], two["validation_loss"], atol=1e-6)
    same_weights(tmp_path / "one", tmp_path / "two", 5e-5)


@pytest.mark.prove
@pytest.mark.parametrize(("strategy", "optimizer"), [("fsdp", "adamw"), ("ddp", "muon"), ("fsdp", "muon")])
def test_two_processes_make_the_steps_of_one_and_where_they_died_two_go_on_or_one(tmp_path, strategy, optimizer):
    settings = {"micro_batch": 2, "optimizer": optimizer, "checkpoint_every": 4, "budget": {"max_steps": 8, "validate_every": 0}}
    ranks = settings | {"devices": 2, "strategy": strategy}
    one = run_program(tmp_path / "one", **settings)
    run_program(tmp_path / "cut", check=False, die_after=11, **ranks)
    assert checkpoint.latest(tmp_path / "cut").name == "step-00000004"
    shutil.copytree(tmp_path / "cut", tmp_path / "by one")
    for name, rest in (("cut", run_program(tmp_path / "cut", **ranks)), ("by one", run_program(tmp_path / "by one", **settings))):
        assert rest["rows"] == one["rows"]
        np.testing.assert_allclose(rest["loss"], one["loss"], atol=1e-5)
        same_weights(tmp_path / "one", tmp_path / name, 1e-4)


@pytest.mark.prove
@BOTH
def test_two_processes_checkpoint_their_layers_too(tmp_path, strategy):
    one = run_program(tmp_path / "one", budget={"max_steps": 3})
    two = run_program(tmp_path / "two", devices=2, strategy=strategy, gradient_checkpointing=True, budget={"max_steps": 3})
    np.testing.assert_allclose(one["loss"], two["loss"], atol=1e-6)
    assert not any(math.isnan(loss) for loss in one["loss"])
