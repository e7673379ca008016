"""LoRA at rank 16 on Llama 512 wide x 8 layers, 8 x 512 tokens, fp32: ours beside peft with the Hugging Face Trainer.

python benchmarks/lora.py            every row, in turns
python benchmarks/lora.py ours       one measurement of ours
"""

import sys
import tempfile
from pathlib import Path

from measure import Meter, compare

SIZES = {
    "vocab_size": 8192,
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}
ROWS, LENGTH, STEPS = 8, 512, 4


def documents(count: int = ROWS * STEPS) -> list[list[int]]:
    """Equal-length rows of random tokens, the same for everybody."""
    import numpy as np

    return np.random.default_rng(0).integers(8, SIZES["vocab_size"], size=(count, LENGTH)).tolist()


def adapted(sizes: dict = SIZES, **more):
    """The frozen model with its adapter, as peft makes it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return get_peft_model(LlamaForCausalLM(LlamaConfig(**sizes)), LoraConfig(**LORA | more))


def train(make_model, rows, global_batch: int, steps: int, compiled: bool = False) -> None:
    """One run through the same Module, Data and Trainer that `train.py` uses; the padding token is 0. Prints the measurement."""
    from functools import partial

    from fmcycle.data.datamodule import Data
    from fmcycle.data.table import Rows
    from fmcycle.objective.sft import SFT
    from fmcycle.optimizer.adamw import adamw
    from fmcycle.training.budget import Budget
    from fmcycle.training.module import Module
    from fmcycle.training.recipe import Recipe
    from fmcycle.training.trainer import TrainerConfig

    meter = Meter()

    class Measured(Module):
        def on_train_batch_end(self, outputs, batch, batch_idx) -> None:
            super().on_train_batch_end(outputs, batch, batch_idx)
            meter.step(int((batch["input_ids"] != 0).sum()))

    budget, machine = Budget(max_steps=steps, global_batch=global_batch), TrainerConfig(threads=1, compile=compiled)
    few = Rows([{"input_ids": [1, 2], "labels": [1, 2]}], pad=0)  # the look at the end costs next to nothing
    with tempfile.TemporaryDirectory() as folder:
        data, optimizer = {"train": rows, "validation": few}, partial(adamw, lr=1e-3)
        module = Measured(Recipe(lambda weights: make_model(), SFT(), lambda model: model, optimizer, data, budget, machine), folder=folder)
        machine.lightning(budget, Path(folder)).fit(module, Data(**data, budget=budget, machine=machine))
        meter.report(loss=round(module.history.curve["loss"][-1], 4))


def ours(compiled: bool = False, **more) -> None:
    """One measurement of ours."""
    from fmcycle.data.table import Rows

    train(lambda: adapted(**more), Rows([{"input_ids": row, "labels": row} for row in documents()], pad=0), ROWS, STEPS, compiled)


def main() -> None:
    """Every row, and how ours stands to the best of the peers' rates and to the default peer's memory."""
    here, peer = [sys.executable, "benchmarks/lora.py"], [sys.executable, "benchmarks/peers/peft_trainer.py"]
    rows = compare(
        {
            "ours": [*here, "ours"],
            "ours, five token rows trained too": [*here, "tokens"],
            "peft + HF Trainer": peer,
            "peft + HF Trainer, compiled": [*peer, "compile"],
        }
    )
    best = max(row["tokens_per_cpu_second"] for name, row in rows.items() if name.startswith("peft"))
    rate, memory = rows["ours"]["tokens_per_cpu_second"] / best, rows["ours"]["peak_gb"] / rows["peft + HF Trainer"]["peak_gb"]
    print(f"rate {rate:.2f} x, memory {memory:.2f} x")


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "all"
    {
        "all": main,
        "ours": ours,
        "tokens": lambda: ours(trainable_token_indices=[1, 2, 3, 4, 5]),
        "compiled": lambda: ours(compiled=True),
    }[asked]()
