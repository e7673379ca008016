"""Every id once: a later document with an id that is taken gets "~2", "~3" behind it."""

import re
from dataclasses import dataclass

import polars as pl

from fmcycle.number import PositiveInt

NUMBER = re.compile(r"~\d+\Z")


@dataclass(frozen=True)
class Unique:
    """Corpus step: `id` of the first document stays, the others take the next number that no document has."""

    parts: PositiveInt = 16

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The ids; those that differ by such a number only are in one part."""
        stem = pl.col("id").str.replace(NUMBER.pattern.replace(r"\Z", "$"), "")
        return frame.select("row", part=(stem.hash(0) % self.parts).cast(pl.UInt32), stem=stem, id="id")

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
