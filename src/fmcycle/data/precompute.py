"""Columns that a model computes once for the rows that training will read; the cache key holds the digests of model and data."""

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
    """Add the column `function(model, batch) -> (B,)` to `rows` at `indices`; elsewhere it is NaN, which collate refuses.

    model: () -> model, called only if the cache has no such column; `key`: all that determines it (digests, settings, device, precision).
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
    """Return function(model, batch) at `indices`: (len(indices),) float32. Rows of similar length share a batch."""
    model.eval()
    values = np.empty(len(indices), dtype=np.float32)
    order = np.arange(len(indices)) if rows.lengths is None else np.argsort(rows.lengths[indices], kind="stable")
    for places in batched(order, batch):
        read = placed(model, rows.collate([rows[int(index)] for index in indices[places]]))
        values[places] = function(model, read).float().cpu().numpy()
    return values


def needed(rows: Rows, budget) -> np.ndarray:
    """Return the rows that a run of `budget` (max_steps, global_batch, seed) reads, sorted: those of its steps and of one more, which the
    loader prefetches."""
    once = -(-len(rows) // budget.global_batch)  # one epoch reads every row, except in a mixture
    steps = budget.max_steps + 1 if isinstance(rows, Ordered) else min(budget.max_steps + 1, once)
    return np.unique(np.concatenate([rows_of_step(rows, budget.seed, step, budget.global_batch) for step in range(steps)]))
