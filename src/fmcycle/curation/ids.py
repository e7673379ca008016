"""Make ids unique: a later document with the same id gets the suffix "~2", "~3"."""

from dataclasses import dataclass

import polars as pl

from fmcycle.ranges import PositiveInt


def stem(name: pl.Expr) -> pl.Expr:
    """An id without such suffixes: ids that could collide after renaming have the same stem."""
    return name.str.replace(r"(~\d+)+$", "")


@dataclass(frozen=True)
class Unique:
    """Corpus step: the first document keeps its `id`, the others get the next number that no document has."""

    parts: PositiveInt = 16

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The ids; all ids of one stem are in the same part."""
        base = stem(pl.col("id"))
        return frame.select("row", part=(base.hash(0) % self.parts).cast(pl.UInt32), stem=base, id="id")

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`row` and new `id` of the documents that are renamed."""
        again = frame.filter(pl.col("id").is_duplicated())["stem"].unique()
        rows, ids = [], []
        for group in frame.filter(pl.col("stem").is_in(again.implode())).partition_by("stem"):
            taken, seen = set(group["id"]), set()
            for row, name in group.select("row", "id").iter_rows():
                if name in seen:
                    number = 2
                    while f"{name}~{number}" in taken:
                        number += 1
                    taken.add(f"{name}~{number}")
                    rows.append(row)
                    ids.append(f"{name}~{number}")
                seen.add(name)
        return pl.DataFrame({"row": rows, "id": ids}, schema={"row": frame.schema["row"], "id": pl.String})

    def verdicts(self, settled: pl.DataFrame, fetch) -> pl.DataFrame:
        """The settled rows."""
        return settled

    def apply(self, frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
        """Set the new ids."""
        return frame.update(found.select("row", "id"), on="row", how="left") if found.height else frame
