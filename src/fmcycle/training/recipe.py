"""The built parts of a training run; the training module and the cost plan read a recipe, never the config."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.training.budget import Budget
from fmcycle.training.start import Start
from fmcycle.training.trainer import TrainerConfig

ENCODED_BY = "processor.json"  # beside tokens: the digest of the tokenizer that encoded them


@dataclass(frozen=True)
class Recipe:
    """The parts of one training run.

    make_model: (weights: bool) -> model, before its strategy; with `weights` false only its architecture and sizes matter.
    objective: (model, batch) -> {"loss": sum, "count": n, ...}; strategy: (model) -> model; optimizer: (model) -> Optimizer.
    data: {split: rows}; budget: steps, batch, precision, schedule; machine: devices, micro-batch, workers;
    start: the checkpoint of another run to begin from.
    """

    make_model: Callable
    objective: Callable
    strategy: Callable
    optimizer: Callable
    data: dict[str, Any]
    budget: Budget
    machine: TrainerConfig
    start: Start | None = None

    def model(self, *, weights: bool = True) -> Any:
        """Return the model with strategy and fused kernels, initialised from the budget's seed; `weights` false reads no weights."""
        import torch

        from fmcycle.kernels import linear_cross_entropy
        from fmcycle.model.adapted import adapted

        torch.manual_seed(self.budget.seed)
        model = linear_cross_entropy.fuse(adapted(self.strategy, self.make_model(weights)))
        if self.start:
            (self.start.into if weights else self.start.check)(model)
        return model


def of_one_tokenizer(inputs: dict) -> str:
    """Return the folder of the processor. Raises InputError if another tokenizer encoded an input: its ids would mean other words."""
    folder = inputs.get("model") or inputs["processor"]
    for name, path in inputs.items():
        record = Path(path or "") / ENCODED_BY
        known = json.loads(record.read_text())["tokenizer"] if path and record.is_file() else None
        own = store.tokenizer_digest(folder)
        if known and own and known != own:
            raise InputError(
                f"inputs.{name}: {path} was encoded by another tokenizer ({known[:12]}...) than that of {folder} ({own[:12]}...): encode "
                f"the documents with that one, `fmcycle tokens inputs.processor={folder} inputs.documents=FILE`, or bring both up to date"
            )
    return folder
