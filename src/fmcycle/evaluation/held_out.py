"""Held-out rows: of one split, in the order of their ids' digests, up to a cap; nobody chooses them."""

import hashlib

import polars as pl

from fmcycle.error import InputError


def held_out(path: str, split: str, limit: int | None = None) -> list[dict]:
    """Rows (dicts) of a parquet file with columns `id` and `split`, the first `limit` by sha256 of the id.

    Raises InputError where the file has no such columns; a split without rows is an empty list.
    """
    schema = pl.read_parquet_schema(path)
    missing = {"id", "split"} - set(schema)
    if missing:
        raise InputError(f"{path}: no column {', '.join(sorted(missing))}; name a file that `fmcycle curate` wrote")
    rows = pl.scan_parquet(path).filter(pl.col("split") == split).collect().to_dicts()
    rows.sort(key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest())
    return rows[:limit]
