"""Pretraining rows: windows of equal length cut from token shards."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fmcycle.data.order import rows_of_step
from fmcycle.data.token_shards import Tokens, vocabulary_of
from fmcycle.errors import InputError
from fmcycle.ranges import ExistingPath, PositiveInt


@dataclass
class Windows:
    """`tokens`: folder of shards with train/ and validation/; rows are consecutive windows of `max_length` tokens."""

    tokens: ExistingPath
    max_length: PositiveInt = 256

    def __call__(self, split: str, processor) -> "Rows":
        return Rows(Tokens(Path(self.tokens) / split, vocabulary_of(processor)), self.max_length, f"{self.tokens}/{split}")


class Rows:
    """The windows of one split: row i is tokens i * length .. (i + 1) * length."""

    lengths = None  # all rows have `length` tokens

    def __init__(self, tokens: Tokens, length: int, name: str):
        self.tokens, self.length = tokens, length
        if len(self) < 1:
            raise InputError(
                f"{name}: {len(tokens)} tokens are less than one window of {length}: lower data.max_length or collect more text"
            )

    def __len__(self) -> int:
        return len(self.tokens) // self.length

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens.window(index * self.length, self.length)

    def documents(self, index: int) -> list[str]:
        """Return the ids of the documents that row `index` has tokens of."""
        return self.tokens.documents(index * self.length, self.length)

    def collate(self, rows: list[np.ndarray]) -> dict[str, torch.Tensor]:
        """Return {"input_ids": (B, T)}."""
        return {"input_ids": torch.from_numpy(np.stack(rows))}


def seen(*, data: Callable, max_steps: PositiveInt, global_batch: PositiveInt, seed: int) -> list[np.ndarray]:
    """Return every row of `data` that a run of this budget trains on, each once; a packed row as its documents."""
    rows = data("train", None)
    indices = np.unique(np.concatenate([rows_of_step(rows, seed, step, global_batch) for step in range(max_steps)]))
    return [part for index in indices for part in documents(rows[int(index)])]


def documents(row) -> list[np.ndarray]:
    """Return the token ids of a row: one array, or one for each packed document."""
    if not isinstance(row, dict) or "position_ids" not in row:
        return [np.asarray(row["input_ids"] if isinstance(row, dict) else row)]
    return np.split(row["input_ids"], np.flatnonzero(row["position_ids"] == 0)[1:])
