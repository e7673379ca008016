"""Train, validation and test: by a digest of the group's name and by nothing else."""

import hashlib

import polars as pl

from fmcycle.ranges import Fraction


def by_group(frame: pl.DataFrame, *, validation: Fraction = 0.05, test: Fraction = 0.05) -> pl.DataFrame:
    """Add `split`, or keep the one that is there. All rows of a group are together; a group's split does not change when other groups
    come or go."""
    if validation + test > 1:
        raise ValueError(f"validation {validation} and test {test} are more than everything")
    groups = frame["group"].unique()
    splits = [split_of(name, validation, test) for name in groups]
    split = pl.col("group").replace_strict(groups, pl.Series(splits, dtype=pl.String), return_dtype=pl.String)
    if "split" in frame.columns:
        split = pl.when(pl.col("split") != "").then(pl.col("split")).otherwise(split)
    return frame.select(pl.exclude("split"), split.alias("split"))


def split_of(group: str, validation: float, test: float) -> str:
    """The split of one group: where the first eight bytes of its sha256 fall in [0, 1)."""
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    return "test" if place < test else "validation" if place < test + validation else "train"
