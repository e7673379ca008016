"""Columns that a model computes once for the rows that training will read, kept by the digests of model and data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.data.order import rows_of_step
from fmcycle.data.protocol import Annotated, Ordered, Rows
from fmcycle.errors import InputError
from fmcycle.model.inputs import batched, placed


def annotate(
    rows: Rows, column: str, function: Callable, model: Callable, *, indices: np.ndarray, key: dict, folder: str | Path, batch: int = 8
) -> None:
    """Give `rows` the column `function(model, batch) -> (B,)` at `indices`; elsewhere it is NaN, so that a use of it is seen.

    model: () -> model, called only where nothing is kept; `key`: what the column depends on (digests, settings, device and precision).
    Raises InputError if the rows take no columns.
    """
    if not isinstance(rows, Annotated):
        raise InputError(f"data: its rows take no column, and the objective needs {column}: choose rows of a table, as data=preferences")
    file = Path(folder) / f"{artifact.digest_of(key | {'column': column, 'indices': artifact.digest_of(indices.tolist())})}.npy"
    if not file.is_file():
        values = computed(rows, function, model(), indices, batch)
        atomic.write_bytes(file, values.tobytes())
    values = np.full(len(rows), np.nan, dtype=np.float32)
    values[indices] = np.frombuffer(file.read_bytes(), dtype=np.float32)
    rows.annotations[column] = values


@torch.no_grad()
def computed(rows: Rows, function: Callable, model, indices: np.ndarray, batch: int) -> np.ndarray:
    """function(model, batch) of each of `indices`: (len(indices),) float32. Rows of like length go together."""
    model.eval()
    values = np.empty(len(indices), dtype=np.float32)
    order = np.arange(len(indices)) if rows.lengths is None else np.argsort(rows.lengths[indices], kind="stable")
    for places in batched(order, batch):
        read = placed(model, rows.collate([rows[int(index)] for index in indices[places]]))
        values[places] = function(model, read).float().cpu().numpy()
    return values


def needed(rows: Rows, budget) -> np.ndarray:
    """The rows that a run of `budget` (max_steps, global_batch, seed) reads, sorted: those of its steps, and of one more, which the
    loader has ready when the last is done."""
    once = -(-len(rows) // budget.global_batch)  # after one epoch every row has been seen, but for a mixture's
    steps = budget.max_steps + 1 if isinstance(rows, Ordered) else min(budget.max_steps + 1, once)
    return np.unique(np.concatenate([rows_of_step(rows, budget.seed, step, budget.global_batch) for step in range(steps)]))
