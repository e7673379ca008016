"""CPU seconds to a validation loss on the default's tokens: ours (`stage=pretrain` as it stands) beside nanoGPT's recipe, at one size.

python benchmarks/time_to_loss.py                      nanoGPT for 10 minutes of 2 cores (1,200 CPU seconds), ours for 4
python benchmarks/time_to_loss.py --minutes 1          shorter
python benchmarks/time_to_loss.py --sweep 1e-3 2e-3    nanoGPT's final loss at these learning rates, each at a tenth of the time
python benchmarks/time_to_loss.py optimizer.lr=0.01    ours with other values
python benchmarks/time_to_loss.py --run ours 184       one training of so many steps, or `--run nanogpt 420 0.001`

Both train with one thread, side by side, each schedule ending at its own budget: a first short run counts CPU seconds a step. They are
those of the process and of the compilers that it started; looking at the loss does not count. Needs artifacts/ (`make lifecycle`).
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fmcycle.processor import store

ROOT = Path(__file__).resolve().parents[1]
TOKENS, PROCESSOR = ROOT / "artifacts/tokens", ROOT / "artifacts/processor"
LENGTH, ROWS = 256, 12  # nanoGPT: the rows of a step are those of its CPU example
EVERY = 4  # of the validation windows, one in four is looked at


class Clock:
    """CPU seconds without those of looking at the loss; prints a JSON line at `points` of `steps`."""

    def __init__(self, name: str, steps: int, look, points: int = 5):
        self.name, self.steps, self.look, self.tokens, self.left_out, self.second = name, steps, look, 0, 0.0, None
        self.points = {round(steps * (index + 1) / points) for index in range(points)} if steps > 20 else {steps}
        self.began = self.now()

    def now(self) -> float:
        return sum(os.times()[:4]) - self.left_out  # of the compilers too, once they have ended

    def step(self, step: int, tokens: int) -> None:
        """`step` steps are done, the last with `tokens` tokens."""
        self.tokens += tokens
        if step == 2:
            self.second = self.now()
        if step not in self.points:
            return
        seconds, from_start = self.now() - self.began, self.now()
        each = (self.now() - self.second) / (step - 2) if self.second and step > 2 else None
        loss = self.look()
        self.left_out += self.now() - from_start
        found = {
            "cpu_seconds": round(seconds, 1),
            "with_start": round(from_start, 1),
            "tokens": self.tokens,
            "nats_per_token": round(loss, 4),
        }
        print(json.dumps({"name": self.name, "step": step, **found, "seconds_per_step": each}), flush=True)


def validation_loss(loss_of) -> float:
    """Mean over the windows looked at of `loss_of`: ids (8, LENGTH) -> nats per predicted token."""
    import torch

    from fmcycle.data.token_shards import Tokens

    tokens = Tokens(TOKENS / "validation")
    starts = range(0, len(tokens) - LENGTH + 1, EVERY * LENGTH)
    ids = torch.stack([torch.from_numpy(tokens.window(start, LENGTH)) for start in starts])
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # no second graph for this
        batches = [loss_of(part) for part in ids.split(8) if len(part) == 8]
    return float(torch.stack(batches).mean())


def nanogpt(steps: int, lr: float) -> None:
    """nanoGPT's loop at our default's size: beta2 0.99 as its small configs have it, clip 1.0, 100 steps of warm-up where there is room."""
    import numpy as np
    import torch
    from peers.nanogpt import GPT, optimizer, rate

    from fmcycle.data.order import step_rows
    from fmcycle.data.token_shards import Tokens

    torch.manual_seed(0)
    model = GPT(vocab_size=8192, block_size=LENGTH, layers=6, heads=4, width=256)
    steps_of, train, compiled = optimizer(model, lr=lr, beta2=0.99), Tokens(TOKENS / "train"), torch.compile(model)
    clock = Clock(f"nanoGPT lr {lr}", steps, lambda: validation_loss(lambda ids: model(ids[:, :-1], ids[:, 1:])))
    for step in range(steps):
        rows = step_rows(0, step, ROWS, (len(train) - 1) // LENGTH)
        ids = torch.from_numpy(np.stack([train.window(int(row) * LENGTH, LENGTH + 1) for row in rows]))
        for group in steps_of.param_groups:
            group["lr"] = rate(step, lr=lr, warmup=min(100, steps // 8), steps=steps)
        compiled(ids[:, :-1], ids[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps_of.step()
        steps_of.zero_grad(set_to_none=True)
        clock.step(step + 1, ROWS * LENGTH)


def ours(steps: int, *overrides: str) -> None:
    """`stage=pretrain` through the same Module, Data and Trainer that `train.py` uses."""
    from fmcycle.config.build import build
    from fmcycle.config.compose import compose
    from fmcycle.data.datamodule import Data
    from fmcycle.stage.train import Config, recipe_of
    from fmcycle.training.module import Module

    class Measured(Module):
        def on_train_start(self) -> None:
            super().on_train_start()
            self.clock = Clock("ours", steps, self.held_out)

        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            self.clock.step(self.trainer.global_step, batch["input_ids"].numel())  # before the last step's own look at the loss
            super().on_train_batch_end(outputs, batch, batch_idx)

        def held_out(self) -> float:
            return validation_loss(self.loss_of)

        def loss_of(self, ids):
            out = self.objective(self.model, {"input_ids": ids})
            return out["loss"] / out["count"]

    asked = ["stage=pretrain", "trainer.threads=1", f"budget.max_steps={steps}", "budget.validate_every=0"]
    node = compose([*asked, "trainer.checkpoint_every=1000000", "+budget.validation_rows=1", *overrides])
    settled = node.config(inputs={"tokens": str(TOKENS), "processor": str(PROCESSOR), "documents": "unused"}, runs="unused", out="unused")
    cfg = Config(**{name: value for name, value in settled.items() if name in Config.__dataclass_fields__})
    data = build(cfg.data)
    processor = store.load_processor(str(PROCESSOR))
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_of(cfg, processor, {split: data(split, processor) for split in ("train", "validation")})
        rows = Data(**recipe.data, budget=recipe.budget, machine=recipe.machine)
        recipe.machine.lightning(recipe.budget, Path(folder)).fit(Measured(recipe, folder=folder), rows)


def start(*program: str) -> subprocess.Popen:
    """One training in a process of its own, with one thread and an empty cache of compiled code."""
    cache = tempfile.mkdtemp(prefix="inductor-")
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "TORCHINDUCTOR_CACHE_DIR": cache}
    variables |= {"TORCHINDUCTOR_COMPILE_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # compilers are children that are waited for
    command = [sys.executable, __file__, "--run", *program]
    return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)


def lines(process: subprocess.Popen) -> list[dict]:
    """Its JSON lines, shown as they come. Raises SystemExit where it failed."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        if line.startswith("{"):
            found.append(json.loads(line))
            print(line, end="", flush=True)
    if process.wait():
        raise SystemExit(f"failed: {process.args}")
    return found


def fitting(seconds: float, *program: str) -> int:
    """The steps of `program` that take `seconds`, by a run of 12."""
    name, *rest = program
    return max(21, math.floor(seconds / lines(start(name, "12", *rest))[-1]["seconds_per_step"]))


def compare(minutes: float, share: float, lr: str, overrides: list[str]) -> None:
    """Both at once; the last line has when ours reached the peer's final loss."""
    budget = minutes * 120
    programs = {
        "nanogpt": [str(fitting(budget, "nanogpt", lr)), lr],
        "ours": [str(fitting(budget * share, "ours", *overrides)), *overrides],
    }
    running = {name: start(name, *given) for name, given in programs.items()}
    curves = {name: lines(running[name]) for name in ("ours", "nanogpt")}
    last = curves["nanogpt"][-1]
    reached = [point for point in curves["ours"] if point["nats_per_token"] <= last["nats_per_token"]]
    result: dict = {"loss": last["nats_per_token"], "ours": curves["ours"][-1]["nats_per_token"], "reached": bool(reached)}
    for name in ("cpu_seconds", "with_start"):
        result[f"share_of_{name}"] = round((reached or curves["ours"])[0 if reached else -1][name] / last[name], 3)
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of 2 cores, for nanoGPT")
    parser.add_argument("--share", type=float, default=0.4, help="of them, for ours")
    parser.add_argument("--lr", default="0.001", help="nanoGPT's learning rate")
    parser.add_argument("--sweep", nargs="+", help="only nanoGPT, at these learning rates")
    parser.add_argument("--run", nargs="+", help="one training: ours STEPS [KEY=VALUE ...], or nanogpt STEPS LR")
    asked, overrides = parser.parse_known_args()
    if asked.run:
        name, steps, *rest = asked.run
        nanogpt(int(steps), float(rest[0])) if name == "nanogpt" else ours(int(steps), *rest)
    elif asked.sweep:
        steps = str(fitting(asked.minutes * 12, "nanogpt", asked.sweep[0]))
        for lr in asked.sweep:
            lines(start("nanogpt", steps, lr))
    else:
        compare(asked.minutes, asked.share, asked.lr, overrides)


if __name__ == "__main__":
    main()
