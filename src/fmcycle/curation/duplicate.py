"""Exact duplicates: of equal texts, paragraphs or lines only the first in the order of the input stays."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from fmcycle.curation.corpus_step import VERDICT, Fetch, whole
from fmcycle.ranges import PositiveInt

PARTS = 16
WHOLE = ["code", "table"]  # types of rows whose parts make no sense alone
CLASH = "rows of one text with several labels"
GAP = {"paragraph": "\n\n", "line": "\n"}


@dataclass(frozen=True)
class Exact:
    """Corpus step: drop each text that equals an earlier one of the same label; `value` is the id of the one that stays.

    fold: ignore case and blanks, but never in rows of type code and table. A text with several labels stays once for each label, and the
    findings count its rows.
    """

    fold: bool = True

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A hash of 128 bits of each text, and its label."""
        text = normal(pl.col("text")) if self.fold else pl.col("text")
        if self.fold and "type" in frame.columns:
            text = pl.when(pl.col("type").is_in(WHOLE)).then(pl.col("text")).otherwise(text)
        label = pl.col("label").fill_null("") if "label" in frame.columns else pl.lit("")
        return frame.select("row", *keys(text), label.alias("label"))

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Each copy with the row of its original; of a text with several labels all rows."""
        first = pl.col("row").first().over("key", "more", "label")
        labels = pl.col("label").filter(pl.col("label") != "").n_unique().over("key", "more")
        found = frame.select("row", original=first, clash=labels > 1)
        return found.filter((pl.col("row") != pl.col("original")) | pl.col("clash"))

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """Drop all copies."""
        copies = settled.filter(pl.col("row") != pl.col("original")).drop("clash")
        return copies.with_columns(reason=pl.lit("exact duplicate"), rule=pl.lit("same text"))

    def findings(self, settled: pl.DataFrame) -> dict:
        """The number of rows whose text has several labels."""
        clashes = int(settled["clash"].sum())
        return {CLASH: clashes} if clashes else {}


@dataclass(frozen=True)
class Repeated:
    """Corpus step: remove from a text each paragraph (or line) that an earlier document has too; case and blanks are ignored.

    unit: a paragraph ends with an empty line. min_length: characters of the shortest unit that is removed, as dialogue and headings
    rightly repeat. most: a unit in at most so many documents stays in all of them. A unit that only one document repeats (a refrain) stays.
    Rows of type code and table stay whole, as their parts make no sense alone. A document that would be left empty is dropped.
    Source: Wenzek et al., CCNet (2020), section 3.1, per paragraph.
    """

    unit: Literal["paragraph", "line"] = "paragraph"
    min_length: PositiveInt = 200
    most: PositiveInt = 1

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line a unit: its place in the text, and a hash of 128 bits."""
        prose = frame.filter(~pl.col("type").fill_null("text").is_in(WHOLE)) if "type" in frame.columns else frame
        units = prose.select("row", text=pl.col("text").str.split(GAP[self.unit])).explode("text")
        units = units.with_columns(place=pl.int_range(pl.len(), dtype=pl.UInt32).over("row"), text=normal(pl.col("text")))
        return units.filter(pl.col("text").str.len_chars() >= self.min_length).select("row", *keys(pl.col("text")), "place")

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The places of the units that are also in an earlier document."""
        documents = pl.col("row").n_unique().over("key", "more")
        first = pl.col("row").first().over("key", "more")
        return frame.filter(documents > self.most, pl.col("row") != first).select("row", "place")

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """The places of the units that `apply` removes from each row."""
        return settled.group_by("row", maintain_order=True).agg("place")

    def apply(self, frame: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
        """Remove them; a text that would be left empty is dropped, with its text unchanged."""
        gap, empty = GAP[self.unit], pl.col("left") == ""
        touched = frame.select("row", "text").join(found.select("row", "place"), on="row").with_columns(pl.col("text").str.split(gap))
        left = [
            gap.join(unit for place, unit in enumerate(units) if place not in out).strip("\n")
            for units, out in ((units, set(out)) for units, out in touched.select("text", "place").iter_rows())
        ]
        touched = touched.select("row", left=pl.Series(left, dtype=pl.String), out=pl.col("place").list.len().cast(pl.Int64))
        judged = frame.join(touched, on="row", how="left", maintain_order="left")
        reason, rule = pl.lit(f"every {self.unit} stands elsewhere"), pl.lit(f"in more than {self.most} documents")
        verdict = (reason, rule, pl.col("out").cast(pl.String))
        return judged.with_columns(
            pl.when(empty | pl.col("left").is_null()).then(pl.col("text")).otherwise(pl.col("left")).alias("text"),
            pl.when(~empty).then(pl.col("out")).otherwise(None).fill_null(0).alias(f"count:{self.unit}s taken out"),
            *(pl.when(empty).then(what).otherwise(None).alias(name) for name, what in zip(VERDICT, verdict, strict=True)),
        ).drop("left", "out")


def exact(frame: pl.DataFrame, *, fold: bool = True) -> pl.DataFrame:
    """Run `Exact` over a table in memory."""
    return whole(Exact(fold), frame)


def normal(text: pl.Expr) -> pl.Expr:
    """A text in the form by which copies are compared: lower case, single blanks."""
    return text.str.to_lowercase().str.replace_all(r"\s\s+|[^\S ]", " ").str.strip_chars()  # for speed the pattern skips single blanks


def keys(text: pl.Expr) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """(part, key, more): a hash of 128 bits, so that 10^12 texts have no collision."""
    return (text.hash(0) % PARTS).cast(pl.UInt32).alias("part"), text.hash(0).alias("key"), text.hash(1).alias("more")


def drop(frame: pl.DataFrame, dropped: pl.Series, reason: str, rule: str, value: pl.Series) -> pl.DataFrame:
    """Set `reason`, `rule`, `value` in the rows where `dropped` is true, and null in all others."""
    columns: dict[str, pl.Expr | pl.Series] = {"reason": pl.lit(reason), "rule": pl.lit(rule), "value": pl.Series(value)}
    return frame.with_columns(pl.when(pl.Series(dropped)).then(content).otherwise(None).alias(name) for name, content in columns.items())
