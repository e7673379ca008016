"""Rows of a Parquet table, each made into token ids by a format: for fine-tuning and alignment."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch

from fmcycle.error import InputError
from fmcycle.number import PositiveInt

PADDING = {"labels": -100}  # other columns are padded with the padding token


@dataclass
class Table:
    """`path`: a Parquet file with a `split` column; `format`: (row, processor) -> dict of token ids or numbers, or None to leave it out.

    Rows longer than `max_length` tokens are left out: a cut answer would teach to stop early. `where`: column to the values that
    stay. `annotate`: column to (model, batch) -> (B,), what a model computes once for the rows that are trained on.
    """

    path: str
    format: Callable
    max_length: PositiveInt = 512
    where: dict = field(default_factory=dict)
    annotate: dict = field(default_factory=dict)

    def __call__(self, split: str, processor) -> "Rows":
        frame = pl.read_parquet(self.path).filter(pl.col("split") == split)
        for column, values in self.where.items():
            if column not in frame.columns:
                raise InputError(f"data.where.{column}: {self.path} has no such column; it has {', '.join(frame.columns)}")
            frame = frame.filter(pl.col(column).is_in(values))
        made = [self.format(row, processor) for row in frame.iter_rows(named=True)]
        kept = [row for row in made if row is not None and length(row) <= self.max_length]
        if not kept:
            raise InputError(
                f"{self.path}: none of {len(made)} rows of {split} is left at data.max_length {self.max_length}: raise it or collect more"
            )
        return Rows(kept, processor.pad_token_id)


def length(row: dict) -> int:
    """The longest list of token ids in a row."""
    return max((length(value) if isinstance(value, dict) else len(value) if isinstance(value, list) else 1) for value in row.values())


class Rows:
    """Formatted rows; `annotations` are columns of numbers, one for each row."""

    def __init__(self, rows: list[dict], pad: int):
        self.rows, self.pad = rows, pad
        self.lengths = np.array([length(row) for row in rows])
        self.annotations: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        return self.rows[index] | {name: float(column[index]) for name, column in self.annotations.items()}

    def collate(self, rows: list[dict]) -> dict:
        """Lists padded at their right end to (B, T), numbers stacked to (B,), dicts of them gone into."""
        return {name: self._column(name, [row[name] for row in rows]) for name in rows[0]}

    def _column(self, name: str, values: list):
        if isinstance(values[0], dict):
            return self.collate(values)
        if not isinstance(values[0], list):
            return torch.tensor(values)
        longest, padding = max(map(len, values)), PADDING.get(name, self.pad)
        return torch.tensor([value + [padding] * (longest - len(value)) for value in values])
