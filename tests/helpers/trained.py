"""Not a test: a small model, rows of ragged length, and a run over them."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.data.datamodule import Data
from fmcycle.data.table import Rows
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.adamw import adamw
from fmcycle.tracking import loggers as logger
from fmcycle.training.budget import Budget
from fmcycle.training.module import Module
from fmcycle.training.module import fit as train
from fmcycle.training.recipe import Recipe
from fmcycle.training.trainer import TrainerConfig

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}


def make_model(**settings):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**{"tie_word_embeddings": True, "attention_dropout": 0.1} | SIZES | settings))


def without_dropout():
    return make_model(attention_dropout=0.0)


def with_adapter(r: int = 2, **settings):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=r, lora_dropout=0.1, target_modules="all-linear", trainable_token_indices=[1, 2, 3])
    model = make_model(**settings)
    torch.manual_seed(1)
    return get_peft_model(model, config)


def ragged(rows: int = 40) -> Rows:
    """Rows of 4 to 20 tokens, of which the second half is trained on."""
    generator = np.random.default_rng(0)
    made = []
    for _ in range(rows):
        ids = generator.integers(2, 64, size=generator.integers(4, 20)).tolist()
        made.append({"input_ids": ids, "labels": [-100] * (len(ids) // 2) + ids[len(ids) // 2 :]})
    return Rows(made, pad=1)


def fit(
    folder: Path, *, optimizer=None, make=make_model, objective=None, budget=None, processor=None, loggers=None, rows=None, **machine
) -> Module:
    """Train for `budget` (6 steps of 8 rows) in `folder`, or go on there. rows: `ragged` ones where there are none."""
    plan = Budget(**{"max_steps": 6, "global_batch": 8, "validate_every": 2, "validation_rows": 6} | (budget or {}))
    where = TrainerConfig(threads=1, **{"checkpoint_every": 2} | machine)
    folder.mkdir(parents=True, exist_ok=True)
    data = {"train": rows or ragged(), "validation": rows or ragged()}
    recipe = Recipe(
        lambda weights: make(), objective or SFT(), lambda model: model, optimizer or partial(adamw, lr=1e-2), data, plan, where
    )
    module = Module(recipe, folder=folder, processor=processor)
    train(where.lightning(plan, folder, logger=logger.made(loggers or {}, folder)), module, Data(**data, budget=plan, machine=where))
    return module


def weights(module: Module) -> dict:
    return {name: p.detach() for name, p in module.model.named_parameters()}


def state(module: Module) -> dict:
    """Every tensor of the run's end: trained weights and optimizer state."""
    tensors = dict(weights(module))
    for index, values in module.trainer.optimizers[0].state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in values.items() if isinstance(value, torch.Tensor)}
    return tensors


def assert_same(one: Module, other: Module) -> None:
    """Bit for bit: weights, optimizer state, losses, rows."""
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]
    assert one.history.curve == other.history.curve
    assert (one.folder / "loss.jsonl").read_bytes() == (other.folder / "loss.jsonl").read_bytes()


def aligning(material: Path, folder: Path, *, data: dict | None = None, budget: dict | None = None, **nodes) -> SimpleNamespace:
    """A section of align over the small model, toward DPO unless `nodes` has another objective. data, budget: further keys of these."""
    lora = {"_target_": "peft.LoraConfig", "r": 4, "target_modules": "all-linear"}
    table = {"_target_": "fmcycle.data.table.Table", "path": str(material / "preferences.parquet"), "max_length": 128}
    table["format"] = {"_target_": "fmcycle.processor.chat.preference", "_partial_": True}
    (folder / "runs").mkdir(parents=True)
    section = {
        "inputs": {"model": str(material / "model")},
        "out": str(folder / "out"),
        "runs": str(folder / "runs"),
        "model": {"_target_": "transformers.LlamaForCausalLM"},
        "objective": {"_target_": "fmcycle.objective.dpo.DPO"},
        "strategy": {"_target_": "peft.get_peft_model", "_partial_": True, "peft_config": lora},
        "data": table | (data or {}),
        "optimizer": {"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True, "lr": 0.01},
        "budget": {"_target_": "fmcycle.training.budget.Budget", "max_steps": 2, "global_batch": 4} | (budget or {}),
        "trainer": {"_target_": "fmcycle.training.trainer.TrainerConfig", "threads": 1, "micro_batch": 2},
        "logger": {},
        "evaluation": {},
    }
    return SimpleNamespace(**section | nodes)
