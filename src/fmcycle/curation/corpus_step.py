"""Steps that need the whole corpus: sketch each shard, settle the sketches part by part, then decide on single rows."""

from collections.abc import Callable
from typing import Any, Protocol

import polars as pl

VERDICT = ("reason", "rule", "value")
ASKED = ("row", "id", "text", "type", "domain", "label")  # columns of fetched documents; a table in memory may lack the last three
Fetch = Callable[[pl.Series], pl.DataFrame]


class Step(Protocol):
    """A corpus step: a frozen dataclass that can be pickled. Its result depends on the rows, never on how they are cut into shards.

    `row` (UInt64) numbers the documents in the order of the input. Three more methods are optional:
    `narrow(settled) -> settled` reduces the settled lines of some rows to those that `verdicts` needs, so that the lines of all rows are
    never in memory at once; `apply(frame, found) -> frame` replaces `join` for a step that rewrites or adds columns (found: the verdicts
    on these rows); `findings(settled) -> dict` returns plain data for the profile.
    """

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Sketch a shard: `row`, `part` (UInt32, by content alone) and the step's own columns; any number of lines a document."""
        ...

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Reduce all lines of one part, sorted by `row` (lines of one row in the order of `sketch`), to a smaller frame with `row`."""
        ...

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """Decide from all settled parts, sorted by `row`: `row`, `reason`, `rule`, `value`, one line for each document to drop.

        Instead of `value` it may return `original` (UInt64), a row whose id becomes the value.
        fetch: (rows) -> frame of ASKED, sorted by row; call it for some thousands of rows at a time.
        """
        ...


def is_corpus(step) -> bool:
    """True if `step` needs the whole corpus; a function of a frame works row by row."""
    return hasattr(step, "sketch")


def whole(step, frame: pl.DataFrame) -> pl.DataFrame:
    """Run `step` over a corpus in memory: `frame` with `reason`, `rule`, `value`, or the result of the step's own apply.

    The rows of a frame without `row` are numbered in their order.
    """
    return judged(step, frame)[0]


def judged(step, frame: pl.DataFrame) -> tuple[pl.DataFrame, dict]:
    """(the result of `whole`, the step's findings)."""
    numbered = frame if "row" in frame.columns else frame.with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64))

    def fetch(rows: pl.Series) -> pl.DataFrame:
        own = [name for name in ASKED if name in numbered.columns]
        return numbered.filter(pl.col("row").is_in(rows.unique().implode())).select(own).sort("row")

    sketch = step.sketch(numbered)
    parts = sketch.sort("row", maintain_order=True).partition_by("part") or [sketch]
    settled = gathered([step.settle(part) for part in parts])
    found = step.verdicts(step.narrow(settled) if hasattr(step, "narrow") else settled, fetch)
    after = apply(step, numbered, named(found, fetch)).select(pl.exclude("row") if numbered is not frame else pl.all())
    return after, step.findings(settled) if hasattr(step, "findings") else {}


def gathered(settled: list[pl.DataFrame]) -> pl.DataFrame:
    """The settled parts as one frame, sorted by row and then by every column, whatever the order and number of parts."""
    frame = pl.concat(settled)
    return frame.sort("row", *[name for name, kind in frame.schema.items() if name != "row" and not kind.is_nested()], maintain_order=True)


def named(found: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
    """Verdicts sorted by row; if they have an `original`, its id becomes the `value`."""
    if "original" in found.columns:
        ids = fetch(found["original"].drop_nulls().unique().sort()).select(original="row", value="id")
        found = found.join(ids, on="original", how="left", maintain_order="left").drop("original")
    return found.sort("row", maintain_order=True)


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """A step's result without its verdict and counts, for the next step."""
    return frame.select(pl.exclude(*VERDICT, "^count:.*$"))


def apply(step: Any, frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """`frame` after the verdicts on its rows."""
    return step.apply(frame, found) if hasattr(step, "apply") else join(frame, found)


def join(frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """`frame` in its order with the verdict of each row, null for rows without one."""
    return frame.join(found.select("row", *VERDICT), on="row", how="left", maintain_order="left")
