"""Rows of a Parquet table, each made into token ids by a format: for fine-tuning and alignment."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import torch

from fmcycle.data import pack
from fmcycle.data.shard import vocabulary_of
from fmcycle.error import InputError
from fmcycle.number import PositiveInt

PADDING = {"labels": -100}  # other columns are padded with the padding token


@dataclass
class Table:
    """`path`: a Parquet file with a `split` column; `format`: (row, processor) -> dict of token ids or numbers, or None to leave it out.

    Rows longer than `max_length` tokens are left out: a cut answer would teach to stop early. `where`: column to the values that
    stay. `annotate`: column to (model, batch) -> (B,), what a model computes once for the rows that are trained on. `packed`: as
    many conversations as `max_length` holds make one row, and none sees another.
    """

    path: str
    format: Callable
    max_length: PositiveInt = 512
    where: dict = field(default_factory=dict)
    annotate: dict = field(default_factory=dict)
    packed: bool = False

    def __call__(self, split: str, processor) -> "Rows | Packed":
        frame = pl.read_parquet(self.path).filter(pl.col("split") == split)
        for column, values in self.where.items():
            if column not in frame.columns:
                raise InputError(f"data.where.{column}: {self.path} has no such column; it has {', '.join(frame.columns)}")
            frame = frame.filter(pl.col(column).is_in(values))
        made = [self.format(row, processor) for row in frame.iter_rows(named=True)]
        for number, row in enumerate(made):
            if row is not None and (wrong := fault(row, vocabulary_of(processor))):
                raise InputError(f"{self.path}: row {number} of {split}: {wrong}; correct data.format or the row")
        kept = [row for row in made if row is not None and length(row) <= self.max_length]
        if not kept:
            raise InputError(
                f"{self.path}: none of {len(made)} rows of {split} is left at data.max_length {self.max_length}: raise it or collect more"
            )
        if not self.packed:
            return Rows(kept, processor.pad_token_id)
        if self.annotate or any(set(row) != {"input_ids", "labels"} for row in kept):
            raise InputError("data.packed: only rows of input_ids and labels can share one; take data.packed=false for pairs and columns")
        return Packed(kept, self.max_length, processor.pad_token_id)


def length(row: dict) -> int:
    """The longest list of token ids in a row."""
    return max((length(value) if isinstance(value, dict) else len(value) if isinstance(value, list) else 1) for value in row.values())


def fault(row: dict, vocabulary: int | None) -> str | None:
    """What is wrong with a formatted row for a processor of `vocabulary` tokens; None where nothing is."""
    lists = {name: value for name, value in row.items() if isinstance(value, list)}
    for name, value in lists.items():
        ids = np.asarray(value)
        if ids.ndim != 1 or (ids.dtype.kind not in "iu" and len(ids)):
            return f"{name} is no list of whole numbers ({ids.dtype}, {ids.ndim} dimensions)"
        real = ids[ids != PADDING[name]] if name in PADDING else ids
        if vocabulary is not None and len(real) and (real.min() < 0 or real.max() >= vocabulary):
            return f"{name} holds {real.min()} .. {real.max()}, the processor has tokens 0 .. {vocabulary - 1}"
    if len({len(value) for value in lists.values()}) > 1:
        return f"its columns differ in length: { ({name: len(value) for name, value in lists.items()}) }"
    return next(
        (f"{name}: {wrong}" for name, value in row.items() if isinstance(value, dict) and (wrong := fault(value, vocabulary))), None
    )


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
            if np.isnan(values).any():
                raise InputError(f"column {name} is NaN in a row that is read: delete .cache/annotate and run again, or mend data.format")
            return torch.tensor(values)
        longest, padding = max(map(len, values)), PADDING.get(name, self.pad)
        return torch.tensor([value + [padding] * (longest - len(value)) for value in values])


class Packed:
    """Formatted conversations, several to a row of at most `length` tokens."""

    lengths = None  # all are padded to the same

    def __init__(self, rows: list[dict], length: int, pad: int):
        self.rows, self.length, self.pad = rows, length, pad
        self.sizes = np.array([len(row["input_ids"]) for row in rows])
        self.order, self.begins = pack.best_fit(self.sizes, length)
        self.row_tokens = self.sizes.sum() / len(self)

    def __len__(self) -> int:
        return len(self.begins) - 1

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        chosen = self.order[self.begins[index] : self.begins[index + 1]]
        return pack.joined([(self.rows[number]["input_ids"], self.rows[number]["labels"]) for number in chosen])

    def collate(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """{"input_ids", "labels", "position_ids"}: (B, T) each."""
        return pack.padded(rows, self.length, self.pad)
