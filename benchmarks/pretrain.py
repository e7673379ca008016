"""Pretraining in fp32 with AdamW: ours beside nanoGPT's loop, litgpt's model, plain Lightning and the Hugging Face Trainer.

python benchmarks/pretrain.py                                  every row on the first workload, in turns
python benchmarks/pretrain.py --workload medium --steps 3      the second
python benchmarks/pretrain.py --rows ours nanogpt roof         those rows only; "-compiled" rows too
python benchmarks/pretrain.py --run ours-compiled              one measurement

FLOPs of a token: 6 for each weight of a matrix that multiplies, and 12 x layers x width x length for attention, its masked half
included (Chowdhery et al., 2022, appendix B); nanoGPT's GELU block of equal size has as many. The GEMM rate is that of a product
of 1024 x 1024 matrices in the same run.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from measure import ENVIRONMENTS, Meter, compare, environment, peak_bytes

WORKLOADS = {
    "small": {"width": 256, "layers": 8, "heads": 4, "mlp": 688, "vocabulary": 4096, "rows": 16, "length": 256},
    "medium": {"width": 512, "layers": 8, "heads": 8, "mlp": 1376, "vocabulary": 8192, "rows": 8, "length": 512},
}
WARM = 2  # steps before the clock begins; with torch.compile the first one compiles
LITGPT = ("litgpt==0.5.13", "numpy")
PEERS = ("nanogpt", "litgpt", "lightning", "trainer")


def workload() -> dict:
    """What this process is to train: {"width", ..., "steps"}."""
    return json.loads(os.environ["WORKLOAD"])


def tokens(size: dict):
    """As many random tokens as the steps take, the same for everybody: (tokens,) uint16."""
    import numpy as np

    count = size["rows"] * size["length"] * size["steps"] + 1
    return np.random.default_rng(0).integers(0, size["vocabulary"], size=count, dtype=np.uint16)


def llama(size: dict):
    """The model, as transformers makes it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size["vocabulary"],
        hidden_size=size["width"],
        intermediate_size=size["mlp"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        num_key_value_heads=size["heads"],
        max_position_embeddings=size["length"],
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config)


def ours(compiled: bool) -> None:
    """Through the Module, Data and Trainer that `train.py` uses, on a token store."""
    from functools import partial

    from fmcycle.data.datamodule import Data
    from fmcycle.data.token_shards import Tokens, write
    from fmcycle.data.window import Rows
    from fmcycle.objective.next_token import NextToken
    from fmcycle.optimizer.adamw import adamw
    from fmcycle.strategy.full import full
    from fmcycle.training.budget import Budget
    from fmcycle.training.module import Module
    from fmcycle.training.recipe import Recipe
    from fmcycle.training.trainer import TrainerConfig

    size, meter = workload(), Meter(WARM)

    class Measured(Module):
        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            super().on_train_batch_end(outputs, batch, batch_idx)
            meter.step(batch["input_ids"].numel())
            if meter.seen == size["steps"]:
                meter.report(loss=round(self.history.curve["loss"][-1], 4))
                raise SystemExit  # the run's own last step, with its validation, is not what a step costs

    budget = Budget(max_steps=size["steps"] + 1, global_batch=size["rows"], validation_rows=1)
    machine = TrainerConfig(threads=int(os.environ["OMP_NUM_THREADS"]), compile=compiled)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), [("text", tokens(size).tolist())], vocab_size=size["vocabulary"])
        rows = Rows(Tokens(folder), size["length"], folder)
        data = {"train": rows, "validation": rows}
        recipe = Recipe(lambda weights: llama(size), NextToken(), full, partial(adamw, lr=1e-3), data, budget, machine)
        module = Measured(recipe, folder=folder)
        machine.lightning(budget, Path(folder)).fit(module, Data(**data, budget=budget, machine=machine))


def loop(compiled: bool) -> None:
    """The operations of `ours` in a bare loop: what Lightning and our module add to them is the difference."""
    import torch

    from fmcycle.kernels import linear_cross_entropy
    from fmcycle.objective.next_token import NextToken
    from fmcycle.optimizer.adamw import adamw

    size, meter = workload(), Meter(WARM)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model, objective = linear_cross_entropy.fuse(llama(size).train()), NextToken()
    if compiled:
        model.compile()
    optimizer = adamw(model, lr=1e-3)
    every = torch.from_numpy(tokens(size)[:-1].astype("int64")).view(size["steps"], size["rows"], size["length"])
    for ids in every:
        out = objective(model, {"input_ids": ids})
        out["loss"].backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        norm = float(torch.nn.utils.get_total_norm(gradients)) / out["count"]
        torch._foreach_mul_(gradients, min(1.0, 1.0 / norm) / out["count"])
        optimizer.step()
        optimizer.zero_grad()
        meter.step(ids.numel())
    meter.report(loss=round(float(out["loss"].detach()) / out["count"], 4))


def gemm() -> None:
    """GFLOP, as if they were tokens, of products of 1024 x 1024 matrices."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    matrix = torch.randn(1024, 1024)
    best = fastest(lambda: matrix @ matrix, times=30)
    print(json.dumps({"tokens": 2 * 1024**3 / 1e9, "cpu_seconds": best, "peak_bytes": peak_bytes()}))


def roof() -> None:
    """A step's matrix products and torch's attention by themselves, each at its best: what no program on these kernels can pass."""
    import torch
    import torch.nn.functional as F

    size, threads = workload(), int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads)
    tokens, width, mlp, vocabulary = (size["rows"] * size["length"], size["width"], size["mlp"], size["vocabulary"])
    weights = [(3 * width, width), (width, width), (mlp, width), (mlp, width), (width, mlp)] * size["layers"]
    chunks = [(256, vocabulary, width)] * (tokens // 256)
    shapes = [(tokens, *weight) for weight in weights] + chunks
    seconds = sum(count * forward_and_backward(*shape) for shape, count in Counter(shapes).items())
    parts = [torch.randn(size["rows"], size["heads"], size["length"], width // size["heads"], requires_grad=True) for _ in range(3)]
    upstream = torch.randn_like(parts[0])
    attended = fastest(lambda: F.scaled_dot_product_attention(*parts, is_causal=True).backward(upstream))
    seconds += size["layers"] * attended
    print(
        json.dumps({"tokens": tokens, "cpu_seconds": seconds, "peak_bytes": peak_bytes(), "attention": round(size["layers"] * attended, 3)})
    )


def forward_and_backward(rows: int, outputs: int, inputs: int) -> float:
    """CPU seconds of x W^T, dy W and dy^T x at these sizes, each at its best."""
    import torch

    x, weight, dy = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(rows, outputs)
    return sum(fastest(product) for product in (lambda: x @ weight.T, lambda: dy @ weight, lambda: dy.T @ x))


def fastest(work, times: int = 8) -> float:
    """CPU seconds of the fastest of `times` calls."""
    best = 1e9
    for _ in range(times):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def gflop(size: dict) -> float:
    """GFLOP of a token, forward and backward."""
    weights = size["layers"] * (4 * size["width"] ** 2 + 3 * size["width"] * size["mlp"]) + size["vocabulary"] * size["width"]
    return (6 * weights + 12 * size["layers"] * size["width"] * size["length"]) / 1e9


def programs(names: list[str]) -> dict[str, list[str]]:
    """{row: command} of the rows asked for, the GEMM rate first."""
    found = {"gemm": [sys.executable, "benchmarks/pretrain.py", "--run", "gemm"]}
    for name in names:
        peer, _, how = name.partition("-")
        if peer in PEERS:
            python = environment("litgpt", *LITGPT) if peer == "litgpt" else sys.executable
            found[name] = [python, f"benchmarks/peers/{peer}_pretrain.py", *([how] if how else [])]
        else:
            found[name] = [sys.executable, "benchmarks/pretrain.py", "--run", name]
    return found


def main(asked) -> None:
    """Every row, then how ours stands to the fastest peer, to the GEMM rate and to the Trainer's memory."""
    size = WORKLOADS[asked.workload] | {"steps": asked.steps + WARM}
    os.environ |= {"WORKLOAD": json.dumps(size), "TORCHINDUCTOR_CACHE_DIR": str(ENVIRONMENTS / "inductor")}
    rows = compare(programs(asked.rows), asked.rounds, asked.threads)
    rate = {name: row["tokens_per_cpu_second"] for name, row in rows.items() if name != "gemm"}
    for name, each in rate.items():
        print(f"{name}: {each * gflop(size) / rows['gemm']['tokens_per_cpu_second']:.2f} of the GEMM rate")
    mine = max((name for name in rate if name.startswith("ours")), key=rate.__getitem__, default=None)
    peers = [name for name in rate if name.partition("-")[0] in PEERS]
    if mine and peers:
        best = max(peers, key=rate.__getitem__)
        print(f"{mine} {rate[mine] / rate[best]:.2f} x {best}, the fastest peer here")
    for peer in [name for name in peers if mine and name.startswith("trainer")]:
        print(f"memory: {mine} {rows[mine]['peak_gb'] / rows[peer]['peak_gb']:.2f} x {peer}")


if __name__ == "__main__":
    both = [f"{name}{how}" for name in ("ours", *PEERS) for how in ("", "-compiled")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, default="small")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", nargs="+", choices=[*both, "loop", "loop-compiled", "roof"], default=both)
    parser.add_argument("--run", choices=["ours", "ours-compiled", "loop", "loop-compiled", "gemm", "roof"])
    asked = parser.parse_args()
    if asked.run in ("gemm", "roof"):
        {"gemm": gemm, "roof": roof}[asked.run]()
    elif asked.run:
        {"ours": ours, "loop": loop}[asked.run.partition("-")[0]](asked.run.endswith("compiled"))
    else:
        main(asked)
