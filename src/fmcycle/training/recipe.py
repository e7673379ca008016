"""What a training run is made of: the training module and the cost of a run see a recipe, and no config."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.training.budget import Budget
from fmcycle.training.trainer import TrainerConfig

ENCODED_BY = "processor.json"  # which tokenizer's ids these are: another one's would be other words


@dataclass(frozen=True)
class Recipe:
    """One training run, built.

    make_model: (weights: bool) -> model, before its strategy; without `weights` only its architecture and sizes matter.
    objective: (model, batch) -> {"loss": sum, "count": n, ...}; strategy: (model) -> model; optimizer: (model) -> Optimizer.
    data: {split: rows}; budget: how much is trained; machine: where.
    """

    make_model: Callable
    objective: Callable
    strategy: Callable
    optimizer: Callable
    data: dict[str, Any]
    budget: Budget
    machine: TrainerConfig

    def model(self, *, weights: bool = True) -> Any:
        """model -> strategy -> speed, drawn from the budget's seed; without `weights` a model to plan with, which reads none."""
        import torch

        from fmcycle.kernels import linear_cross_entropy

        torch.manual_seed(self.budget.seed)
        return linear_cross_entropy.fuse(self.strategy(self.make_model(weights)))


def of_one_tokenizer(inputs: dict) -> str:
    """The folder of the processor; raises InputError where tokens were encoded by another tokenizer: their ids would be other words."""
    folder = inputs.get("model") or inputs["processor"]
    for name, path in inputs.items():
        record = Path(path or "") / ENCODED_BY
        known = json.loads(record.read_text())["tokenizer"] if path and record.is_file() else None
        own = store.tokenizer_digest(folder)
        if known and own and known != own:
            raise InputError(
                f"inputs.{name}: {path} was encoded by another tokenizer ({known[:12]}...) than that of {folder} ({own[:12]}...): encode "
                f"the documents with it, `fmcycle tokens inputs.processor={folder} inputs.documents=FILE`, or bring both up to date"
            )
    return folder
