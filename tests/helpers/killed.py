"""Not a test: a process that has imported everything and forks a training process for each line of JSON that it reads.

A line is {"folder", "kind", "fault", "at", "kill_after": seconds, ...}; the answer is how the process ended: its exit code, or -9.
"""

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from trained import fit, make_model, state, with_adapter

import fmcycle.optimizer.muon
from fmcycle.artifact import atomic
from fmcycle.cli.outcome import told
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.muon import muon

KINDS = {
    "plain": {},
    "compile": {"compile": True},
    "lora": {"make": with_adapter},
    "accumulation": {"micro_batch": 2},
}


def die(counter=iter(range(10**9)), at: int = 0) -> None:  # noqa: B008
    if next(counter) == at:
        os.kill(os.getpid(), signal.SIGKILL)


def before(owner, name: str, at: int, when=lambda *_: True) -> None:
    """Die before the `at`-th call of `owner.name` for whose arguments `when` holds."""
    whole, counter = getattr(owner, name), iter(range(10**9))

    def dying(*arguments, **named):
        if when(*arguments):
            die(counter, at)
        return whole(*arguments, **named)

    setattr(owner, name, dying)


def in_backward(objective, at: int):
    """Die where the gradient reaches the input embeddings' output: the layers' weights have theirs already."""
    counter = iter(range(10**9))

    def call(model, batch):
        def watched(module, inputs, output):
            if output.requires_grad:
                output.register_hook(lambda gradient: die(counter, at))

        handle = model.get_input_embeddings().register_forward_hook(watched)
        out = objective(model, batch)
        handle.remove()
        return out

    return call


def faulty(fault: str, at: int, objective):
    """Arrange for death at `fault`, the `at`-th time (0: the first) that it comes to it; returns the objective to train with."""
    if fault == "forward":
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

        before(LlamaRotaryEmbedding, "forward", at)
    elif fault == "backward":
        return in_backward(objective, at)
    elif fault == "optimizer":  # some of its matrices are new, others not yet
        before(fmcycle.optimizer.muon, "orthogonal", at)
    elif fault == "micro-batch":
        before(objective.__class__, "__call__", at)
    elif fault == "tensors":
        before(atomic, "write_json", at, lambda path, _: Path(path).name == "state.json")
    elif fault == "manifest":
        before(atomic, "write_json", at, lambda path, _: Path(path).name == "manifest.json")
    elif fault == "replace":
        before(atomic.os, "replace", at, lambda old, _: str(old).endswith(".partial") and "step-" in Path(old).name)
    elif fault == "after":
        before(atomic, "fsync_folder", at, lambda folder: True)
    return objective


def slow(objective, seconds: float, after: int):
    """`objective`, of which each call but the first `after` takes so much longer."""
    calls = iter(range(10**9))

    def call(model, batch):
        time.sleep(seconds if next(calls) >= after else 0)
        return objective(model, batch)

    return call


def train(folder: str, kind: str = "plain", fault: str = "", at: int = 0, seconds=0.0, after=0, budget=None, **machine) -> None:
    """One run; what it ended with stands in final.safetensors."""
    objective = faulty(fault, at, SFT())
    settings = {"make": make_model, "optimizer": partial(muon, lr=0.01)} | KINDS[kind] | machine
    module = fit(Path(folder), objective=slow(objective, seconds, after) if seconds else objective, budget=budget, **settings)
    save_file({name: tensor.contiguous().clone() for name, tensor in state(module).items()}, Path(folder) / "final.safetensors")


def main() -> None:
    """One forked process a line; `pid` is told first, so that it can be killed from outside."""
    torch.set_num_threads(1)  # nothing may start threads before a fork
    for line in sys.stdin:
        settings = json.loads(line)
        delay = settings.pop("kill_after", None)
        child = os.fork()
        if child == 0:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            with told() as end:
                train(**settings)
            os._exit(end.code)
        print(child, flush=True)
        if delay:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)  # one that has ended is not reaped yet: the pid is still its own
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
