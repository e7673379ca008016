"""Held-out rows of one split, in the order of their ids' digests, up to a limit."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

import polars as pl

from fmcycle.errors import InputError
from fmcycle.model.inputs import batched, given, placed

Half = Literal["both", "first", "second"]


class HeldOut:
    """The rows of a split that an evaluation reads: the first `limit`, or all. data: (split, processor) -> rows.

    source: all rows of the split; rows: those chosen, each read once.
    """

    def __init__(self, data: Callable, split: str, processor, limit: int | None = None):
        self.source = data(split, processor)
        self.rows = [self.source[index] for index in range(len(self.source))[:limit]]

    def column(self, name: str) -> list:
        """Return one column of the rows."""
        return [row[name] for row in self.rows]

    def batches(self, model, size: int) -> Iterator[dict]:
        """Yield the forward arguments of `model` for `size` rows at a time, on its device."""
        for part in batched(self.rows, size):
            yield placed(model, given(model, self.source.collate(part)))


def texts(path: str, split: str, limit: int | None = None) -> list[str]:
    """Return the texts of the documents of `held_out`."""
    return [document["text"] for document in held_out(path, split, limit)]


def held_out(path: str, split: str | None, limit: int | None = None, half: Half = "both") -> list[dict]:
    """Return the rows (dicts) of a Parquet file with columns `id` and `split`, the first `limit` by sha256 of the id.

    split: None takes every split (for prompts, which are never trained on). half: one half of the groups; select chooses on the first and
    confirms on the second. A split without rows gives an empty list.
    Raises InputError if the file lacks these columns.
    """
    schema = pl.read_parquet_schema(path)
    missing = {"id", "split"} - set(schema)
    if missing:
        raise InputError(f"{path}: no column {', '.join(sorted(missing))}; name a file that `fmcycle curate` wrote")
    frame = pl.scan_parquet(path)
    rows = (frame if split is None else frame.filter(pl.col("split") == split)).collect().to_dicts()
    rows = [row for row in rows if half in ("both", half_of(row))]
    return sorted(rows, key=digest)[:limit]


def half_of(row: dict) -> str:
    """Return `first` or `second`, by a digest of the row's group or else its id, independent of the digest that makes the splits."""
    digest = hashlib.sha256(f"half {row.get('group') or row['id']}".encode()).hexdigest()
    return "first" if digest < "8" else "second"


def digest(row: dict) -> str:
    """Return the sha256 of the row's id, in hex."""
    return hashlib.sha256(row["id"].encode()).hexdigest()


def per_group(rows: list[dict], column: str, limit: int) -> list[dict]:
    """Return the first `limit` rows of each value of `column`, in the rows' order."""
    seen: Counter = Counter()
    kept = []
    for row in rows:
        seen[row[column]] += 1
        if seen[row[column]] <= limit:
            kept.append(row)
    return kept
