"""Every id once: a later document with an id that is taken gets "~2", "~3" behind it."""

from dataclasses import dataclass

import polars as pl

from fmcycle.ranges import PositiveInt


def stem(name: pl.Expr) -> pl.Expr:
    """An id without the numbers behind it: ids that may get each other's names have the same."""
    return name.str.replace(r"(~\d+)+$", "")


@dataclass(frozen=True)
class Unique:
    """Corpus step: `id` of the first document stays, the others take the next number that no document has."""

    parts: PositiveInt = 16

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The ids; those that differ by such numbers only are in one part."""
        base = stem(pl.col("id"))
        return frame.select("row", part=(base.hash(0) % self.parts).cast(pl.UInt32), stem=base, id="id")

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`row` and its new `id`, of those that get one."""
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
        """As settled."""
        return settled

    def apply(self, frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
        """Put the new ids in."""
        return frame.update(found.select("row", "id"), on="row", how="left") if found.height else frame
