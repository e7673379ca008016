"""Held-out rows: of one split, in the order of their ids' digests, up to a cap; nobody chooses them."""

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

    source: all rows of the split; rows: those that are read, each read once.
    """

    def __init__(self, data: Callable, split: str, processor, limit: int | None = None):
        self.source = data(split, processor)
        self.rows = [self.source[index] for index in range(len(self.source))[:limit]]

    def column(self, name: str) -> list:
        """One column of the rows."""
        return [row[name] for row in self.rows]

    def batches(self, model, size: int) -> Iterator[dict]:
        """What `model` takes of the rows, `size` at a time, on its device."""
        for part in batched(self.rows, size):
            yield placed(model, given(model, self.source.collate(part)))


def texts(path: str, split: str, limit: int | None = None) -> list[str]:
    """The texts of the documents that `held_out` gives."""
    return [document["text"] for document in held_out(path, split, limit)]


def held_out(path: str, split: str | None, limit: int | None = None, half: Half = "both") -> list[dict]:
    """Rows (dicts) of a parquet file with columns `id` and `split`, the first `limit` by sha256 of the id.

    split: None takes every split (prompts, from which nothing is learned). half: the rows of one half of the groups; the first chooses, the
    other, fresh one confirms. A split without rows is an empty list.
    Raises InputError where the file has no such columns.
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
    """`first` or `second`: by a digest of the row's group, else of its id, which shares nothing with the one that cuts the splits."""
    digest = hashlib.sha256(f"half {row.get('group') or row['id']}".encode()).hexdigest()
    return "first" if digest < "8" else "second"


def digest(row: dict) -> str:
    """sha256 of the row's id, in hex."""
    return hashlib.sha256(row["id"].encode()).hexdigest()


def per_group(rows: list[dict], column: str, limit: int) -> list[dict]:
    """The first `limit` rows of each value of `column`, in the rows' order."""
    seen: Counter = Counter()
    kept = []
    for row in rows:
        seen[row[column]] += 1
        if seen[row[column]] <= limit:
            kept.append(row)
    return kept
