"""What one card reaches: pretraining, LoRA, DPO, evaluation and serving, each in a process of its own, one JSON line each.

python benchmarks/gpu.py                     every row on the GPU, in less than 8 minutes
python benchmarks/gpu.py --rows pretrain     those rows only
python benchmarks/gpu.py --tiny              the same code with small shapes on the CPU

A line has tokens a second, MFU (of the data sheet's dense rate at the precision, `fmcycle.hardware.peak`), and the most memory of the
device. Models have random weights, texts random words. Training goes through train.py's Module, Data and TrainerConfig, with the settings
of conf/trainer/gpu.yaml: bf16-mixed, compiled, a micro-batch that fits. Evaluation and serving load a folder in bf16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import ROOT, Meter

sys.path.insert(0, str(ROOT / "src"))

MINUTES = 7.5  # of all rows together: one that does not end by then is stopped and says so
WARM = 3  # steps before the clock begins: the first ones compile
BILLION = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8}
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
LORA = {"_target_": "peft.LoraConfig", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
FULL = {"_target_": "fmcycle.strategy.full.full", "_partial_": True}
ADAPTER = {"_target_": "peft.get_peft_model", "_partial_": True, "peft_config": LORA}
TRAINED = {  # row: (objective, strategy, rows of a step, tokens of a row, steps)
    "pretrain": ("next_token.NextToken", FULL, 16, 2048, 30),
    "lora": ("sft.SFT", ADAPTER, 32, 1024, 20),
    "dpo": ("dpo.DPO", ADAPTER, 32, 512, 15),
}
MEASURED = {"evaluate": {"documents": 256, "prompts": 64, "answer": 64}, "serve": {"requests": 32, "answer": 32}}
TINY = {"rows": 4, "length": 32, "steps": 2, "documents": 4, "prompts": 4, "requests": 4, "answer": 4}
VOCABULARY, POSITIONS = 32000, 2048


class Done(Exception):
    """The steps that are measured are done; the run's own end, with checkpoint and validation, is not what a step costs."""


def model_node(tiny: bool) -> dict:
    """A Llama of 1.1 billion weights, as a config has it."""
    sizes = SMALL if tiny else BILLION
    return {"_target_": "transformers.LlamaForCausalLM", **sizes, "vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS}


def made(node: dict, device):
    """The model of a node on a device, the same each time."""
    import torch

    from fmcycle.config.build import build

    torch.manual_seed(0)
    with torch.device(device):
        return build(node)


def machine_of(tiny: bool):
    """conf/trainer/gpu.yaml; `tiny`: on the CPU, not compiled."""
    import yaml

    from fmcycle.config.build import build

    node = yaml.safe_load((ROOT / "conf/trainer/gpu.yaml").read_text()) | {"sample_every": 0}
    machine = build(node | ({"accelerator": "cpu", "compile": False, "workers": 0} if tiny else {}))
    machine.check()
    return machine


def rows_of(row: str, count: int, length: int):
    """Rows of random tokens: windows, labelled conversations or pairs."""
    import numpy as np

    from fmcycle.data.table import Rows

    ids = np.random.default_rng(0).integers(8, VOCABULARY, size=(2 * count, length)).tolist()
    sides = [{"input_ids": each, "labels": [-100] * (length // 4) + each[length // 4 :]} for each in ids]
    if row == "pretrain":
        return Rows([{"input_ids": each} for each in ids], pad=0)
    return Rows(sides if row == "lora" else [{"chosen": a, "rejected": b} for a, b in zip(sides[::2], sides[1::2], strict=True)], pad=0)


def annotated(rows, machine, budget, node: dict):
    """`rows` of pairs with the log-probabilities under the reference, computed as a training step would compute it."""
    import numpy as np

    from fmcycle.data.precompute import computed
    from fmcycle.objective.dpo import DPO

    with machine.computing(budget.precision):
        for column in DPO.columns:
            one = made(node, machine.device)
            rows.annotations[column] = computed(rows, getattr(DPO, column), one, np.arange(len(rows)), 8)
    return rows


def train(row: str, tiny: bool) -> None:
    """Some steps of one kind of training."""
    from fmcycle.config.build import build
    from fmcycle.cost import limits
    from fmcycle.cost.step_cost import Limit, Price
    from fmcycle.data.datamodule import Data
    from fmcycle.hardware import peak, throughput
    from fmcycle.training.module import Module
    from fmcycle.training.recipe import Recipe

    objective, strategy, batch, length, steps = TRAINED[row]
    batch, length, steps = (TINY["rows"], TINY["length"], TINY["steps"]) if tiny else (batch, length, steps)
    warm, machine, sides = (1 if tiny else WARM), machine_of(tiny), 2 if row == "dpo" else 1
    budget = {"_target_": "fmcycle.training.budget.Budget", "max_steps": steps + warm + 1, "global_batch": batch, "validation_rows": 1}
    optimizer = build({"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True, "lr": 3e-4})
    model, objective, meter = model_node(tiny), build({"_target_": f"fmcycle.objective.{objective}"}), Meter(warm)
    budget, rows = build(budget | {"precision": machine.precision}), rows_of(row, batch * 2, length)
    rows = annotated(rows, machine, budget, model) if row == "dpo" else rows

    def make_model(weights: bool):
        return made(model, machine.device) if weights else build(model)

    recipe = Recipe(make_model, objective, build(strategy), optimizer, {"train": rows, "validation": rows}, budget, machine)
    recipe, plan = limits.settled(recipe, Limit(), Price())
    machine = recipe.machine

    class Measured(Module):
        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            done = self.trainer.global_step
            super().on_train_batch_end(outputs, batch, batch_idx)
            if done > meter.seen:
                meter.step(sides * budget.global_batch * length)
            if meter.seen == steps + warm:
                raise Done

    with tempfile.TemporaryDirectory() as folder:
        module = Measured(recipe, folder=folder)
        throughput.forget(machine.device)
        try:
            with machine.products(budget.precision):
                machine.lightning(budget, Path(folder)).fit(module, Data(**recipe.data, budget=budget, machine=machine))
        except Done:
            pass
        seconds = time.perf_counter() - meter.began[1]
        flops = peak.flops_per_token(module.model, length)
    found = {"micro_batch": plan.micro, "predicted_gb": round(plan.peak[0] / 1e9, 2), "loss": round(module.history.curve["loss"][-1], 3)}
    say(row, machine, meter.tokens, seconds, flops, parameters=plan.cost.parameters, compiled=machine.compile, **found)


def say(row: str, machine, tokens: int, seconds: float, flops_per_token: float, **more) -> None:
    """One line."""
    import torch

    from fmcycle.hardware import peak, throughput

    device = torch.cuda.get_device_name() if machine.device.type == "cuda" else machine.device.type
    rate = tokens / seconds
    found = {"row": row, "device": device, "precision": machine.precision, "tokens_per_s": round(rate, 1)}
    found |= {"mfu": round(rate * flops_per_token / peak.peak(machine.device, machine.precision), 4)}
    found |= {"peak_gb": round(throughput.highest(machine.device) / 1e9, 3), "tokens": tokens, "seconds": round(seconds, 2)}
    print(json.dumps(found | more), flush=True)


def words(count: int, seed: int) -> str:
    """A text of random words."""
    import random

    return " ".join(random.Random(seed).choices(["bucket", "object", "owner", "list", "delete", "the", "of", "a", "user", "may"], k=count))


def model_folder(tiny: bool) -> Path:
    """A model of a billion weights in bf16 with a small tokenizer, as an artifact; made once for the rows that read it."""
    import torch

    from fmcycle.model import store as model_store
    from fmcycle.processor.bpe import bpe

    folder = Path(os.environ["BENCHMARK_FOLDER"]) / "model"
    if not folder.is_dir():
        model = made(model_node(tiny), machine_of(tiny).device).to(torch.bfloat16)
        model_store.save_model(model, bpe([words(200, seed) for seed in range(20)], vocab_size=300), folder)
    return folder


def forward_flops(model, length: int) -> float:
    """FLOPs of one token forward: 2 a weight of a matrix that multiplies, and causal attention over `length`."""
    head = model.get_output_embeddings().weight
    looked_up = model.get_input_embeddings().weight
    every = sum(p.numel() for p in model.parameters() if p.ndim == 2 and (p is not looked_up or p is head))
    return 2 * every + 2 * model.config.num_hidden_layers * model.config.hidden_size * length


def evaluate(tiny: bool) -> None:
    """Bits per byte by windows of 512, and batched greedy answers."""
    from fmcycle.engine.generate import generate
    from fmcycle.engine.protocol import Request, Sampling
    from fmcycle.evaluation.bits_per_byte import encode, token_losses
    from fmcycle.hardware import throughput
    from fmcycle.model import store as model_store

    size, machine = TINY if tiny else MEASURED["evaluate"], machine_of(tiny)
    model, processor = model_store.load_model(model_folder(tiny), machine.device, machine.dtype)
    texts = encode(processor, [words(40 if tiny else 800, seed) for seed in range(size["documents"])])
    throughput.forget(machine.device)

    def timed(work) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def score(some):
        return token_losses(model, some, context=512, stride=256, batch_size=16)

    def answer(some):
        return generate(model, [Request(ids[:64], Sampling(size["answer"])) for ids in some], batch_size=32)

    score(texts[:2]), answer(texts[:2])  # warms up
    scoring, answering = timed(lambda: score(texts)), timed(lambda: answer(texts[: size["prompts"]]))
    answers = min(size["prompts"], len(texts)) * size["answer"]
    more = {"answer_tokens_per_s": round(answers / answering, 1), "answer_tokens": answers}
    say("evaluate", machine, sum(map(len, texts)), scoring, forward_flops(model, 512), **more)


def serve(tiny: bool) -> None:
    """The reference engine over requests side by side."""
    from fmcycle.engine.protocol import Request, Sampling, generate
    from fmcycle.engine.transformers import Transformers
    from fmcycle.hardware import throughput

    size, machine = TINY if tiny else MEASURED["serve"], machine_of(tiny)
    engine = Transformers(str(model_folder(tiny)), device=machine.device, dtype=machine.dtype)
    engine.warm_up()
    throughput.forget(machine.device)
    draws = [Sampling(max_tokens=size["answer"], temperature=0.7, seed=seed) for seed in range(size["requests"])]
    began = time.perf_counter()
    tokens = sum(map(len, generate(engine, [Request(range(8, 72), each) for each in draws])))
    say(
        "serve",
        machine,
        tokens,
        time.perf_counter() - began,
        forward_flops(engine.model, 64 + size["answer"] // 2),
        requests=size["requests"],
    )


def run(row: str, tiny: bool) -> None:
    """One row in this process."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    {"evaluate": evaluate, "serve": serve}[row](tiny) if row in MEASURED else train(row, tiny)


def main(rows: list[str]) -> int:
    """Each row in a process of its own; the exit code is 2 where there is no GPU, else the number of rows that gave no figures."""
    from fmcycle.errors import InputError

    try:
        machine_of(tiny=False)
    except InputError as error:
        print(f"{error}; or try --tiny", file=sys.stderr)
        return error.exit_code
    until, failed = time.monotonic() + 60 * MINUTES, 0
    for row in rows:
        left = until - time.monotonic()
        try:
            command = [sys.executable, str(ROOT / "benchmarks/gpu.py"), "--run", row]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(left, 1))
            line, why = (done.stdout.strip().splitlines() or [""])[-1], done.stderr.strip()[-600:]
        except subprocess.TimeoutExpired:
            line, why = "", f"not done when {MINUTES} minutes of all rows were over"
        failed += not line.startswith("{")
        print(line if line.startswith("{") else json.dumps({"row": row, "error": why}), flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=[*TRAINED, *MEASURED], default=[*TRAINED, *MEASURED])
    parser.add_argument("--tiny", action="store_true", help="small shapes, on the CPU, in one process")
    parser.add_argument("--run", choices=[*TRAINED, *MEASURED], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as shared:
        os.environ.setdefault("BENCHMARK_FOLDER", shared)
        if asked.run or asked.tiny:
            for row in [asked.run] if asked.run else asked.rows:
                run(row, asked.tiny)
        else:
            sys.exit(main(asked.rows))
