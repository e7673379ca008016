"""Split into train, validation and test by a digest of the group's name alone."""

import hashlib

import polars as pl

from fmcycle.ranges import Fraction


def by_group(frame: pl.DataFrame, *, validation: Fraction = 0.05, test: Fraction = 0.05) -> pl.DataFrame:
    """Add `split`, or keep a row's own one. All rows of a group get the same split, which does not change when other groups are added or
    removed."""
    if validation + test > 1:
        raise ValueError(f"validation {validation} and test {test} are more than everything")
    groups = frame["group"].unique()
    splits = [split_of(name, validation, test) for name in groups]
    split = pl.col("group").replace_strict(groups, pl.Series(splits, dtype=pl.String), return_dtype=pl.String)
    if "split" in frame.columns:
        split = pl.when(pl.col("split") != "").then(pl.col("split")).otherwise(split)
    return frame.select(pl.exclude("split"), split.alias("split"))


def split_of(group: str, validation: float, test: float) -> str:
    """The split of one group, by the first eight bytes of its sha256 as a number in [0, 1)."""
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    return "test" if place < test else "validation" if place < test + validation else "train"
