"""The one LightningModule: its gradients, its resuming, its checkpoints."""

import json
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle import artifact, checkpoint
from fmcycle.budget import Budget
from fmcycle.data.module import Data
from fmcycle.data.table import Rows
from fmcycle.error import InputError, Interrupted, TrainingError
from fmcycle.module import Module
from fmcycle.module import fit as train
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.adamw import adamw
from fmcycle.optimizer.muon import muon
from fmcycle.trainer import Machine


def make_model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}
    return LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, attention_dropout=0.1, **sizes))


def ragged(rows: int = 40) -> Rows:
    """Rows of 4 to 20 tokens, of which the second half is trained on."""
    generator = np.random.default_rng(0)
    made = []
    for _ in range(rows):
        ids = generator.integers(2, 64, size=generator.integers(4, 20)).tolist()
        made.append({"input_ids": ids, "labels": [-100] * (len(ids) // 2) + ids[len(ids) // 2 :]})
    return Rows(made, pad=1)


def fit(folder: Path, *, steps=6, optimizer=None, make=make_model, stop_at=None, objective=None, **machine) -> Module:
    budget = Budget(max_steps=steps, global_batch=8, validate_every=2, validation_rows=6)
    where = Machine(threads=1, **{"checkpoint_every": 2} | machine)
    module = Module(
        make_model=make,
        objective=objective or SFT(),
        optimizer=optimizer or partial(adamw, lr=1e-2),
        budget=budget,
        machine=where,
        folder=folder,
    )
    if stop_at is not None:
        inner = module.objective

        def stopping(model, batch):
            if module.trainer.global_step == stop_at and model.training:
                raise KeyboardInterrupt if stop_at < 0 else RuntimeError("killed")
            return inner(model, batch)

        module.objective = stopping
    train(where.lightning(budget, folder), module, Data(ragged(), ragged(), budget, where))
    return module


def weights(module: Module) -> dict:
    return {name: p.detach() for name, p in module.model.named_parameters()}


def gradient_of_first_step(folder: Path, **machine) -> dict:
    kept = {}

    def sgd(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        optimizer.register_step_post_hook(lambda *_: kept.update({name: p.grad.clone() for name, p in model.named_parameters()}))
        return optimizer

    def no_dropout():
        model = make_model()
        model.config.attention_dropout = 0.0
        return model.eval().requires_grad_(True)

    fit(folder, steps=1, optimizer=sgd, make=no_dropout, objective=lambda model, batch: SFT()(model.eval(), batch), **machine)
    return kept


def test_gradients_do_not_depend_on_accumulation(tmp_path):
    found = [gradient_of_first_step(tmp_path / str(micro), micro_batch=micro) for micro in (8, 4, 2, 1)]
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=0, atol=1e-6)


def test_the_gradient_is_that_of_the_mean_over_labels(tmp_path):
    kept = gradient_of_first_step(tmp_path, micro_batch=2)
    from fmcycle.data.order import step_rows

    rows, model = ragged(), make_model().eval()
    out = SFT()(model, rows.collate([rows[int(index)] for index in step_rows(0, 0, 8, len(rows))]))
    (out["loss"] / out["count"]).backward()
    gradients = [p.grad for p in model.parameters()]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    torch.testing.assert_close(list(kept.values()), gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", [partial(adamw, lr=1e-2), muon], ids=["adamw", "muon"])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, optimizer):
    whole = fit(tmp_path / "whole", optimizer=optimizer, micro_batch=4)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", optimizer=optimizer, micro_batch=4, stop_at=5)
    assert checkpoint.latest(tmp_path / "cut").name == "step-00000004"
    resumed = fit(tmp_path / "cut", optimizer=optimizer, micro_batch=4)
    for name, weight in weights(whole).items():
        assert torch.equal(weight, weights(resumed)[name]), name
    assert whole.curve == resumed.curve
    assert (tmp_path / "whole/loss.jsonl").read_text() == (tmp_path / "cut/loss.jsonl").read_text()
    assert [json.loads(line)["step"] for line in (tmp_path / "cut/loss.jsonl").read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_adapter_checkpoints_hold_the_adapter_only(tmp_path):
    from peft import LoraConfig, get_peft_model

    def make():
        return get_peft_model(make_model(), LoraConfig(r=2, target_modules="all-linear"))

    whole = fit(tmp_path / "whole", make=make)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", make=make, stop_at=3)
    state = checkpoint.SafeCheckpointIO().load_checkpoint(checkpoint.latest(tmp_path / "cut"))
    assert state["state_dict"] and all("lora" in name for name in state["state_dict"])
    resumed = fit(tmp_path / "cut", make=make)
    assert all(torch.equal(weight, weights(resumed)[name]) for name, weight in weights(whole).items())


def test_a_corrupt_checkpoint_is_passed_over_with_its_name(tmp_path):
    fit(tmp_path, steps=6)
    newest = tmp_path / "step-00000006"
    file = newest / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="step-00000006/tensors.safetensors: sha256"):
        assert checkpoint.latest(tmp_path).name == "step-00000004"
    (newest / artifact.MANIFEST).unlink()
    with pytest.warns(UserWarning, match="never finished"):
        assert checkpoint.latest(tmp_path).name == "step-00000004"


def test_only_the_last_checkpoints_stay(tmp_path):
    fit(tmp_path, steps=9, keep=2)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000008", "step-00000009"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_checkpoints_and_the_next_run_goes_on(tmp_path, number):
    def terminating(model, batch):
        if calls.__next__() == 3:
            signal.raise_signal(number)
        return SFT()(model, batch)

    calls = iter(range(100))
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="step 3 of 6"):
        fit(tmp_path / "cut", objective=terminating, checkpoint_every=100)
    assert signal.getsignal(number) == before
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert checkpoint.latest(tmp_path / "cut").name == "step-00000003"
    whole, resumed = fit(tmp_path / "whole"), fit(tmp_path / "cut")
    assert all(torch.equal(weight, weights(resumed)[name]) for name, weight in weights(whole).items())


def test_a_non_finite_loss_stops_in_its_step_and_is_never_checkpointed(tmp_path):
    def exploding(model, batch):
        out = SFT()(model, batch)
        return out | {"loss": out["loss"] * (float("nan") if next(calls) == 3 else 1.0)}

    calls = iter(range(100))
    with pytest.raises(TrainingError, match="step 3: loss nan"):
        fit(tmp_path, objective=exploding)
    assert checkpoint.latest(tmp_path).name == "step-00000002"


def test_rates_warm_up_stay_and_fall():
    wsd, cosine = (
        Budget(max_steps=100, global_batch=1, warmup=0.1, decay=0.4),
        Budget(max_steps=100, global_batch=1, schedule="cosine", floor=0.1),
    )
    assert [round(wsd.rate(step), 3) for step in (0, 4, 9, 50, 60, 80, 99)] == [0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.025]
    assert cosine.rate(50) == pytest.approx(0.55) and cosine.rate(99) > 0.1


def run_program(folder: Path, *arguments: str, check=True) -> list[float]:
    """Losses of tests/two_processes.py, which is left where it died when it is told to."""
    program = Path(__file__).with_name("two_processes.py")
    subprocess.run([sys.executable, str(program), str(folder), *arguments], check=check, timeout=300)
    return [json.loads(line)["loss"] for line in (folder / "loss.jsonl").read_text().splitlines()]


def test_a_batch_that_does_not_divide_is_refused():
    assert Machine(devices=2, micro_batch=2).accumulate(8) == 2
    for machine in (Machine(devices=2, micro_batch=3), Machine(devices=3)):
        with pytest.raises(InputError, match=r"global_batch 8 is not divisible by trainer"):
            machine.micro(8)


@pytest.mark.prove
def test_compiled_equals_plain(tmp_path):
    def make():  # without dropout: compiled code draws it otherwise
        model = make_model()
        model.config.attention_dropout = 0.0
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = 0.0
        return model

    plain, compiled = (fit(tmp_path / str(flag), steps=3, make=make, compile=flag) for flag in (False, True))
    np.testing.assert_allclose(plain.curve["loss"], compiled.curve["loss"], atol=1e-4)


@pytest.mark.prove
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_give_the_losses_and_weights_of_one(tmp_path, strategy):
    one, two = run_program(tmp_path / "one", "1"), run_program(tmp_path / "two", "2", strategy)
    np.testing.assert_allclose(one, two, atol=1e-6)
    torch.testing.assert_close(*(load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two")), rtol=0, atol=1e-5)


@pytest.mark.prove
def test_a_run_that_dies_on_two_devices_goes_on_with_one(tmp_path):
    whole = run_program(tmp_path / "whole", "1")
    run_program(tmp_path / "cut", "2", "fsdp", "9", check=False)
    assert checkpoint.latest(tmp_path / "cut") is not None
    np.testing.assert_allclose(whole, run_program(tmp_path / "cut", "1"), atol=1e-6)


@pytest.mark.prove
def test_kill_9_at_random_moments_changes_nothing(tmp_path):
    program = Path(__file__).with_name("two_processes.py")
    subprocess.run([sys.executable, str(program), str(tmp_path / "whole"), "1"], check=True, timeout=300)
    generator = np.random.default_rng(int(time.time()))
    for _ in range(8):
        process = subprocess.Popen([sys.executable, str(program), str(tmp_path / "cut"), "1"])
        try:
            process.wait(timeout=generator.uniform(6, 14))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    subprocess.run([sys.executable, str(program), str(tmp_path / "cut"), "1"], check=True, timeout=300)
    assert (tmp_path / "whole/loss.jsonl").read_bytes() == (tmp_path / "cut/loss.jsonl").read_bytes()
    assert artifact.sha256(tmp_path / "whole/weights.safetensors") == artifact.sha256(tmp_path / "cut/weights.safetensors")
