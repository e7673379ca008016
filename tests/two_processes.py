"""Not a test: the program that test_module.py runs as one or two processes. Arguments: folder, devices."""

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.budget import Budget
from fmcycle.data.module import Data
from fmcycle.data.table import Rows
from fmcycle.module import Module, fit
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.adamw import adamw
from fmcycle.trainer import Machine


def make_model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}
    return LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **sizes))


def rows() -> Rows:
    generator = np.random.default_rng(0)
    made = [generator.integers(2, 64, size=generator.integers(4, 20)).tolist() for _ in range(40)]
    return Rows([{"input_ids": ids, "labels": [-100] * (len(ids) // 2) + ids[len(ids) // 2 :]} for ids in made], pad=1)


def dying(objective, step: int):
    """`objective` until `step`, where the process ends as by kill -9."""

    def call(model, batch):
        dying.calls = getattr(dying, "calls", 0) + 1
        if dying.calls > step * 2:
            os._exit(9)
        return objective(model, batch)

    return call


def main(folder: Path, devices: int, strategy: str = "ddp", die_at: str = "") -> None:
    budget = Budget(max_steps=20, global_batch=8, validate_every=5, validation_rows=6)
    machine = Machine(devices=devices, strategy=strategy if devices > 1 else "auto", micro_batch=2, threads=1, checkpoint_every=2)
    objective = dying(SFT(), int(die_at)) if die_at else SFT()
    module = Module(
        make_model=make_model, objective=objective, optimizer=partial(adamw, lr=1e-2), budget=budget, machine=machine, folder=folder
    )
    folder.mkdir(parents=True, exist_ok=True)
    trainer = machine.lightning(budget, folder)
    fit(trainer, module, Data(rows(), rows(), budget, machine))
    model = machine.whole(module)
    if trainer.is_global_zero:
        save_file({name: p.detach().contiguous() for name, p in model.named_parameters()}, folder / "weights.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
