"""Not a test: the program that tests run as one process or as two. Arguments: a folder, and what departs from `run`'s defaults as JSON."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from trained import fit, with_adapter, without_dropout

from fmcycle.artifact import folder as artifact
from fmcycle.data import token_shards
from fmcycle.data.packing import Packed
from fmcycle.objective.sft import SFT
from fmcycle.optimizer.adamw import adamw
from fmcycle.optimizer.muon import muon


def dying(calls: int):
    """SFT until it was called `calls` times, where the process ends as by kill -9."""
    left = iter(range(calls))

    def objective(model, batch):
        if next(left, None) is None:
            os._exit(9)
        return SFT()(model, batch)

    return objective


def with_accuracy(model, batch):
    """SFT, and the rows as a metric of its own: every device has other ones."""
    return SFT()(model, batch) | {"rows_seen": len(batch["input_ids"])}


def packed(folder: Path):
    """Packed rows of 24 tokens out of a store of documents of 2 to 23: most rows hold several."""
    generator = np.random.default_rng(0)
    documents = [(str(number), generator.integers(2, 64, size=generator.integers(2, 24)).tolist()) for number in range(120)]
    if not (folder / "tokens").is_dir():
        with artifact.create(folder / "tokens") as partial:
            token_shards.write(partial / "train", documents, vocab_size=64)
    os.chdir(folder)  # the packing is kept under .cache
    return Packed(str(folder / "tokens"), 24)("train", None)


def sgd(model):
    """Weights after one step are those before it less the gradient."""
    return torch.optim.SGD(model.parameters(), lr=1.0)


OPTIMIZERS = {"sgd": sgd, "adamw": partial(adamw, lr=1e-2), "muon": muon}


def run(
    folder: Path, *, devices=1, strategy="ddp", die_after=0, optimizer="adamw", adapter=False, on_packed=False, budget=None, **machine
) -> None:
    """Train, and leave the weights in `folder`."""
    model = partial(with_adapter, attention_dropout=0.0) if adapter else without_dropout
    module = fit(
        folder,
        make=model,
        objective=dying(die_after) if die_after else with_accuracy,
        optimizer=OPTIMIZERS[optimizer],
        rows=packed(folder.parent) if on_packed else None,
        budget={"max_steps": 20, "validate_every": 5} | (budget or {}),
        devices=devices,
        strategy=strategy if devices > 1 else "auto",
        **machine,
    )
    whole = module.machine.whole(module)
    if module.trainer.is_global_zero:
        (folder / "curve.json").write_text(json.dumps(module.history.curve))
        save_file({name: p.detach().float().contiguous() for name, p in whole.named_parameters()}, folder / "weights.safetensors")


if __name__ == "__main__":
    run(Path(sys.argv[1]), **json.loads(sys.argv[2]))
