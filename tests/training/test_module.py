"""The one LightningModule: its gradients, precision, validation, and what it does about a step that is not finite."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from trained import assert_same, fit, make_model, ragged, state, weights, with_adapter, without_dropout

from fmcycle.data.order import step_rows
from fmcycle.errors import InputError, TrainingError
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.muon import muon
from fmcycle.training import checkpoint
from fmcycle.training.module import SKIPS
from fmcycle.training.trainer import TrainerConfig


def sgd(model):
    """Weights after one step are those before it less the gradient."""
    return torch.optim.SGD(model.parameters(), lr=1.0)


def gradient(folder: Path, clip=0.0, **settings) -> dict:
    """The gradient of the first step, as it reached the optimizer."""
    budget = {"max_steps": 1, "clip": clip, "warmup": 0.0, "decay": 0.0} | settings.pop("budget", {})
    module = fit(folder, optimizer=sgd, make=without_dropout, budget=budget, **settings)
    before = dict(without_dropout().named_parameters())
    return {name: before[name].detach() - weight for name, weight in weights(module).items()}


def norm(tensors: dict) -> float:
    return float(torch.nn.utils.get_total_norm(list(tensors.values())))


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_gradients_of_ragged_rows_do_not_depend_on_accumulation(tmp_path, clip):
    first, *others = [gradient(tmp_path / str(micro), clip, micro_batch=micro) for micro in (8, 4, 1)]
    for other in others:
        torch.testing.assert_close(first, other, rtol=0, atol=1e-6)
    assert norm(first) == pytest.approx(0.5, abs=1e-4) if clip else norm(first) > 0.6


def test_the_gradient_is_that_of_the_mean_over_labels(tmp_path):
    kept = gradient(tmp_path, micro_batch=2)
    rows, model = ragged(), without_dropout()
    out = SFT()(model, rows.collate([rows[int(index)] for index in step_rows(0, 0, 8, len(rows))]))
    (out["loss"] / out["count"]).backward()
    torch.testing.assert_close(kept, {name: p.grad for name, p in model.named_parameters()}, rtol=0, atol=1e-6)


def test_mixed_precision_keeps_weights_in_fp32_and_its_gradients_near(tmp_path):
    exact = gradient(tmp_path / "exact", micro_batch=4)
    mixed = [gradient(tmp_path / str(micro), micro_batch=micro, budget={"precision": "bf16-mixed"}) for micro in (8, 4, 1)]
    for found in mixed:  # bf16 has 8 bits of mantissa: a few parts in a thousand of the gradient's norm
        assert {tensor.dtype for tensor in found.values()} == {torch.float32}
        assert norm({name: found[name] - exact[name] for name in exact}) < 0.01 * norm(exact)
        assert norm({name: found[name] - mixed[0][name] for name in exact}) < 0.01 * norm(exact)
    assert norm({name: mixed[0][name] - exact[name] for name in exact}) > 0


def test_the_count_of_a_step_is_never_read_within_its_window(tmp_path, monkeypatch):
    """One read of the device a step: `tolist` of everything at once, no `.item()` and no float() of a tensor."""
    reads = []
    for name in ("item", "tolist", "__float__", "__int__", "__bool__"):
        whole = getattr(torch.Tensor, name)

        def counted(self, *arguments, whole=whole, name=name):
            frame = sys._getframe(1)
            if "fmcycle" in frame.f_code.co_filename:
                reads.append((name, frame.f_code.co_name))
            return whole(self, *arguments)

        monkeypatch.setattr(torch.Tensor, name, counted)
    fit(tmp_path, micro_batch=1, budget={"max_steps": 3, "validate_every": 0}, checkpoint_every=100, make=without_dropout)
    in_steps = [place for name, place in reads if place not in ("save", "compute", "validate")]
    assert in_steps == ["read"] * 3


def exploding(*bad: int, part="loss"):
    """SFT whose `part` (the loss, or only its gradient) is not finite at the calls `bad` of training."""
    calls = iter(range(10**9))

    def objective(model, batch):
        out = SFT()(model, batch)
        if model.training and next(calls) in bad:
            if part == "loss":
                return out | {"loss": out["loss"] * float("nan")}
            out["loss"].register_hook(lambda gradient: gradient * float("inf"))
        return out

    return objective


def test_a_non_finite_loss_stops_in_its_step_and_is_never_checkpointed(tmp_path):
    with pytest.raises(TrainingError, match="step 3: loss nan"):
        fit(tmp_path / "loss", objective=exploding(2))
    assert checkpoint.latest(tmp_path / "loss").name == "step-00000002"
    with pytest.raises(TrainingError, match=r"step 3: loss \d.*gradient norm (nan|inf)"):
        fit(tmp_path / "gradient", objective=exploding(2, part="gradient"))


def test_weights_that_overflow_are_never_checkpointed(tmp_path):
    with pytest.raises(TrainingError, match="step 1: its weights are not finite"):
        fit(tmp_path, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=1e38), checkpoint_every=1)
    assert not list(tmp_path.glob("step-*"))


@pytest.mark.parametrize("part", ["loss", "gradient"])
@pytest.mark.parametrize("optimizer", [None, muon], ids=["adamw", "muon"])
def test_a_skipped_step_leaves_weights_and_optimizer_as_they_were(tmp_path, part, optimizer):
    skip = {"nonfinite": "skip", "schedule": "constant", "warmup": 0.0, "validate_every": 0}
    shorter = fit(tmp_path / "shorter", optimizer=optimizer, budget=skip | {"max_steps": 2})
    skipping = fit(tmp_path / "skipping", optimizer=optimizer, budget=skip | {"max_steps": 3}, objective=exploding(2, part=part))
    curve = skipping.history.curve
    assert curve["skipped"] == [3] and curve["loss"][:2] == shorter.history.curve["loss"] and curve["loss"][2] is None
    first, second = state(shorter), state(skipping)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_goes_on_over_a_skipped_step_as_if_it_had_not_stopped(tmp_path):
    skip = {"nonfinite": "skip"}
    whole = fit(tmp_path / "whole", budget=skip, objective=exploding(4, 5), micro_batch=4)  # both halves of step 3
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", budget=skip, objective=both(exploding(4, 5), 7), micro_batch=4, checkpoint_every=3)
    assert checkpoint.latest(tmp_path / "cut").name == "step-00000003"
    assert_same(whole, fit(tmp_path / "cut", budget=skip, micro_batch=4))
    assert [line["loss"] is None for line in map(json.loads, (tmp_path / "cut/loss.jsonl").open())] == [False, False, True] + [False] * 3


def both(objective, number: int):
    """`objective`, killed at its `number`-th call of training."""
    calls = iter(range(10**9))

    def call(model, batch):
        if model.training and next(calls) == number:
            raise RuntimeError("killed")
        return objective(model, batch)

    return call


def test_too_many_skipped_steps_in_a_row_stop_the_run(tmp_path):
    with pytest.raises(TrainingError, match=rf"step {SKIPS + 2}: .*so {SKIPS} steps in a row"):
        fit(tmp_path, budget={"nonfinite": "skip", "max_steps": 20}, objective=exploding(*range(2, 20)))


def test_a_step_without_labels_says_so(tmp_path):
    def empty(model, batch):
        return SFT()(model, batch | {"labels": torch.full_like(batch["labels"], -100)})

    with pytest.raises(InputError, match="a step has no target"):
        fit(tmp_path, objective=empty)


def test_every_sum_of_the_objective_is_in_the_curve(tmp_path):
    def with_accuracy(model, batch):
        out = SFT()(model, batch)
        return out | {"accuracy": out["count"] * 0.25, "share": torch.tensor(0.5) * out["count"]}

    module = fit(tmp_path, objective=with_accuracy, micro_batch=2)
    assert module.history.curve["accuracy"] == [0.25] * 6 and module.history.curve["validation_share"] == [0.5] * 3
    assert json.loads((tmp_path / "loss.jsonl").read_text().splitlines()[0])["accuracy"] == 0.25
    rows, model = ragged(), module.model.eval()
    with torch.no_grad():
        out = SFT()(model, rows.collate([rows[index] for index in range(6)]))
    assert module.history.curve["validation_loss"][-1] == pytest.approx(float(out["loss"] / out["count"]), abs=1e-6)


class Kept:
    """Bytes that autograd keeps for the backward, at their highest in a forward."""

    def __init__(self, objective):
        self.objective, self.most = objective, 0

    def __call__(self, model, batch):
        kept: dict[int, int] = {}

        def pack(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = self.objective(model, batch)
        self.most = max(self.most, sum(kept.values()))
        return out


@pytest.mark.parametrize("make", [make_model, with_adapter], ids=["full", "lora"])
def test_gradient_checkpointing_keeps_less_and_changes_nothing(tmp_path, make):
    def made():
        return make(num_hidden_layers=6)

    kept = {flag: Kept(SFT()) for flag in (False, True)}
    runs = {
        flag: fit(tmp_path / str(flag), make=made, objective=kept[flag], gradient_checkpointing=flag, budget={"max_steps": 2})
        for flag in kept
    }
    for name, weight in weights(runs[False]).items():  # its dropout too is that of the first forward
        torch.testing.assert_close(weight, weights(runs[True])[name], rtol=0, atol=1e-6)
    assert kept[True].most < 0.5 * kept[False].most


def test_the_rate_of_a_step_reaches_the_optimizer(tmp_path):
    module = fit(tmp_path, budget={"schedule": "cosine", "warmup": 0.5, "min_lr_ratio": 0.1})
    plan = module.budget
    assert module.history.curve["lr"] == [1e-2 * plan.rate(step) for step in range(6)]


def test_a_batch_that_does_not_divide_is_refused():
    assert TrainerConfig(devices=2, micro_batch=2).accumulate(8) == 2
    for machine in (TrainerConfig(devices=2, micro_batch=3), TrainerConfig(devices=3)):
        with pytest.raises(InputError, match=r"global_batch 8 is not divisible by trainer"):
            machine.micro(8)


def test_a_dead_loader_is_named_and_the_run_goes_on_from_its_checkpoint(tmp_path):
    """Two processes load; one of them is killed in the middle, as the kernel does where memory is short."""
    from multiprocessing import active_children

    killed = []

    def killing(model, batch):
        children = active_children()  # the loader's, and no other child of this process
        if model.training and len(list(tmp_path.glob("step-*"))) and not killed:
            killed.append(children[0].pid)
            os.kill(children[0].pid, signal.SIGKILL)
        return SFT()(model, batch)

    with pytest.raises(TrainingError, match=r"a process that loads data died.*trainer.workers"):
        fit(tmp_path, objective=killing, workers=2, budget={"max_steps": 50})
    assert killed and checkpoint.latest(tmp_path) is not None
    assert fit(tmp_path, budget={"max_steps": 50}, workers=2).history.curve["step"] == list(range(1, 51))


@pytest.mark.prove
def test_compiled_equals_plain(tmp_path):
    budget = {"max_steps": 3}  # without dropout: compiled code draws it otherwise
    plain, compiled = (fit(tmp_path / str(flag), make=without_dropout, budget=budget, compile=flag) for flag in (False, True))
    np.testing.assert_allclose(plain.history.curve["loss"], compiled.history.curve["loss"], atol=1e-4)
