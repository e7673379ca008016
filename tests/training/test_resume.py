"""A run that is killed and started again equals the one that nothing happened to, bit for bit; signals end it in time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from trained import assert_same, fit

from fmcycle.artifact import folder as artifact
from fmcycle.errors import Interrupted
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.muon import muon
from fmcycle.training import checkpoint

FAULTS = {  # where the process is killed, and at which of the times that it comes there
    "forward": 7,
    "backward": 3,
    "optimizer": 5,
    "micro-batch": 3,
    "tensors": 1,
    "manifest": 1,
    "replace": 1,
}


class Server:
    """tests/helpers/killed.py: it has imported everything, and forks a process for each run."""

    def __init__(self):
        program = Path(__file__).parents[1] / "helpers/killed.py"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, str(program)], env=os.environ | {"OMP_NUM_THREADS": "1"}, **pipes)

    def start(self, folder: Path, **settings) -> int:
        """The pid of a process that trains in `folder`."""
        self.process.stdin.write(json.dumps({"folder": str(folder)} | settings) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """How it ended: its exit code, or -9."""
        return int(self.process.stdout.readline())

    def run(self, folder: Path, **settings) -> int:
        self.start(folder, **settings)
        return self.end()


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.process.stdin.close()
    one.process.wait(30)


def assert_equal_folders(whole: Path, cut: Path) -> None:
    assert (whole / "loss.jsonl").read_bytes() == (cut / "loss.jsonl").read_bytes()  # with the digest of each step's rows
    assert artifact.sha256(whole / "final.safetensors") == artifact.sha256(cut / "final.safetensors")


def test_killed_anywhere_in_a_step_or_a_checkpoint_it_ends_the_same(tmp_path, server):
    settings = {"kind": "accumulation", "checkpoint_every": 1, "budget": {"max_steps": 6, "validate_every": 0}}
    assert server.run(tmp_path / "whole", **settings) == 0
    for fault, at in FAULTS.items():
        assert server.run(tmp_path / "cut", fault=fault, at=at, **settings) == -signal.SIGKILL, fault
        assert not (tmp_path / "cut/final.safetensors").exists()
    assert server.run(tmp_path / "cut", **settings) == 0
    assert_equal_folders(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.prove
@pytest.mark.parametrize("kind", ["plain", "compile", "lora", "accumulation"])
def test_every_kind_of_run_killed_anywhere_ends_the_same(tmp_path, server, kind):
    settings = {"kind": kind, "checkpoint_every": 1, "budget": {"max_steps": 30, "validate_every": 3}}
    assert server.run(tmp_path / "whole", **settings) == 0
    compiled = kind == "compile"  # its code does not come by the patched Python
    for fault in [fault for fault in FAULTS if not (compiled and fault in ("forward", "backward"))]:
        for at in (1, 2):
            assert server.run(tmp_path / "cut", fault=fault, at=at, **settings) == -signal.SIGKILL, fault
    assert server.run(tmp_path / "cut", **settings) == 0
    assert_equal_folders(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.prove
def test_fifty_kills_at_random_moments_change_nothing(tmp_path, server):
    generator = np.random.default_rng(int(time.time()))
    kinds, kills, runs = ("plain", "lora", "accumulation"), 0, 0
    settings = {"checkpoint_every": 2, "budget": {"max_steps": 40, "validate_every": 10}}
    for kind in kinds:
        assert server.run(tmp_path / kind, kind=kind, **settings) == 0
    while kills < 50:
        kind, cut = kinds[runs % 3], tmp_path / f"cut-{runs}"
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            code = server.run(cut, kind=kind, kill_after=generator.uniform(0.3, 2.5), **settings)
            kills += code == -signal.SIGKILL
        assert code == 0
        assert_equal_folders(tmp_path / kind, cut)
        runs += 1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, optimizer):
    settings = {"micro_batch": 4} | ({"optimizer": muon} if optimizer == "muon" else {})
    whole = fit(tmp_path / "whole", **settings)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", objective=at_call(10, die), **settings)
    assert checkpoint.latest(tmp_path / "cut").name == "step-00000004"
    assert_same(whole, fit(tmp_path / "cut", **settings))
    assert whole.history.curve["step"] == [1, 2, 3, 4, 5, 6] and whole.history.curve["validation_step"] == [2, 4, 6]
    assert len(set(whole.history.curve["rows"])) == 6


def die():
    raise RuntimeError("killed")


def at_call(number: int, act):
    """SFT that does `act` at its `number`-th call in training (0: the first)."""
    calls = iter(range(10**9))

    def objective(model, batch):
        if model.training and next(calls) == number:
            act()
        return SFT()(model, batch)

    return objective


def test_a_run_goes_on_with_other_micro_batches_over_the_same_rows(tmp_path):
    whole = fit(tmp_path / "whole", micro_batch=8)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", objective=at_call(3, die), checkpoint_every=1, micro_batch=8)
    resumed = fit(tmp_path / "cut", micro_batch=2)
    assert resumed.history.curve["rows"] == whole.history.curve["rows"] and resumed.history.curve["count"] == whole.history.curve["count"]
    np.testing.assert_allclose(resumed.history.curve["loss"], whole.history.curve["loss"], atol=0.02)  # dropout is drawn by micro-batch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drops_the_begun_window_and_the_next_run_goes_on(tmp_path, number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="step 2 of 6"):
        fit(tmp_path / "cut", objective=at_call(10, lambda: signal.raise_signal(number)), micro_batch=2, checkpoint_every=100)
    assert signal.getsignal(number) == before
    assert checkpoint.latest(tmp_path / "cut").name == "step-00000002"
    assert_same(fit(tmp_path / "whole", micro_batch=2), fit(tmp_path / "cut", micro_batch=2))


@pytest.mark.parametrize("step", [2, 6])
def test_a_signal_in_a_validation_loses_nothing(tmp_path, step):
    def terminating(model, batch):
        if not model.training and len(list((tmp_path / "cut").glob(f"step-{step:08d}"))):
            signal.raise_signal(signal.SIGTERM)
        return SFT()(model, batch)

    with pytest.raises(Interrupted, match=f"step {step} of 6"):
        fit(tmp_path / "cut", objective=terminating)
    assert checkpoint.latest(tmp_path / "cut").name == f"step-{step:08d}"
    assert_same(fit(tmp_path / "whole"), fit(tmp_path / "cut"))


def test_before_its_first_step_a_run_has_nothing_to_keep(tmp_path):
    with pytest.raises(Interrupted, match="before its first step"):
        fit(tmp_path, objective=at_call(1, lambda: signal.raise_signal(signal.SIGTERM)), micro_batch=2)
    assert not list(tmp_path.glob("step-*"))


def test_a_step_of_half_a_minute_ends_within_five_seconds_of_a_signal(tmp_path, server):
    budget = {"global_batch": 32, "max_steps": 3, "validate_every": 0}
    pid = server.start(tmp_path, micro_batch=1, seconds=1.0, after=32, checkpoint_every=100, budget=budget)  # the second step is slow
    log, end = tmp_path / "loss.jsonl", time.monotonic() + 60
    while not (log.exists() and log.read_text()):
        assert time.monotonic() < end, "the first step never came"
        time.sleep(0.02)
    time.sleep(1.5)
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert server.end() == 75
    assert time.monotonic() - began < 5
    assert checkpoint.latest(tmp_path).name == "step-00000001"


def test_the_threads_and_the_compile_mode_that_a_run_began_with_are_used_again(tmp_path, monkeypatch, capsys):
    compiled = []
    monkeypatch.setattr("torch.nn.Module.compile", lambda module: compiled.append(module))
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, objective=at_call(4, die), compile=True)
    fit(tmp_path, compile=False)
    assert len(compiled) == 2
    assert "resumes with trainer.compile=true, as it began, not false" in capsys.readouterr().out


@pytest.mark.prove
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_from_two_devices_to_one_the_rows_stay_the_same(tmp_path, strategy):
    program = str(Path(__file__).parents[1] / "helpers/two_processes.py")

    def run(folder, check=True, **settings):
        subprocess.run([sys.executable, program, str(folder), json.dumps({"micro_batch": 2} | settings)], check=check, timeout=300)
        return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]

    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", devices=2, strategy=strategy, die_after=18, check=False)
    assert checkpoint.latest(tmp_path / "cut") is not None
    cut = run(tmp_path / "cut")
    assert [line["rows"] for line in whole] == [line["rows"] for line in cut]
    np.testing.assert_allclose([line["loss"] for line in whole], [line["loss"] for line in cut], atol=1e-6)
