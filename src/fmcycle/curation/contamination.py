"""Contamination: documents that hold texts on which models are evaluated."""

import functools
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fmcycle.curation.corpus import Fetch
from fmcycle.curation.near import within
from fmcycle.curation.shingle import grams, pieces, words
from fmcycle.error import InputError
from fmcycle.number import Fraction, PositiveInt


@dataclass(frozen=True)
class Contamination:
    """Corpus step: drop (or, with `keep`, only name) the documents that share word n-grams with rows of an evaluation.

    evaluation: a folder of JSONL (also .gz), Parquet and text files, each an evaluation; null: nothing is looked for. A line of a text file
    is a row. A row is touched by a document that has `touched` of the n-grams of one of its strings; strings of fewer words tell nothing.
    The findings name the touched rows, so that the score on the clean part can be told apart.
    Source: Chowdhery et al., PaLM (2022), section 8 (8-grams, a share of them; 0.7 there, lower here so that an edited copy is found too).
    """

    evaluation: str | None
    ngram: PositiveInt = 8
    touched: Fraction = 0.5
    keep: bool = False

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line an n-gram that an evaluation has too."""
        known = index(self.evaluation, self.ngram)
        found = [self._lines(piece, known) for piece in pieces(frame)] if len(known.keys) else []
        empty = pl.DataFrame(schema={"row": pl.UInt64, "part": pl.UInt32, "key": pl.UInt64})
        return pl.concat([empty, *found])

    def _lines(self, frame: pl.DataFrame, known: "Index") -> pl.DataFrame:
        found = grams(words(frame["text"]), self.ngram)
        held = within(found.value, known.keys)
        owner = np.repeat(np.arange(frame.height), np.diff(found.start))[held]
        lines = pl.DataFrame({"owner": owner, "key": found.value[held]}).unique(maintain_order=True)
        return lines.select(row=frame["row"].gather(lines["owner"]), part=pl.lit(0, pl.UInt32), key="key")

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """(row, name, item, share): the evaluations' rows of which a document has enough."""
        known = index(self.evaluation, self.ngram)
        of = frame.select("row", "key").join(known.rows, on="key").group_by("row", "item").agg(shared=pl.len())
        held = of.join(known.items, on="item").with_columns(share=pl.col("shared") / pl.col("grams"))
        found = held.filter(pl.col("share") >= self.touched).select("row", "name", "line", "share")
        return found.sort("row", "name", "line")

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """Every document that touches a row goes; the value names the row that it has most of."""
        rule = f"{self.touched} of a row's {self.ngram}-grams"
        worst = settled.sort(["row", "share", "name", "line"], descending=[False, True, False, False])
        worst = worst.unique("row", keep="first", maintain_order=True)
        found = worst.select("row", reason=pl.lit("evaluation text"), rule=pl.lit(rule), value=pl.format("{}#{}", "name", "line"))
        return found.clear() if self.keep else found

    def findings(self, settled: pl.DataFrame) -> dict:
        """Of each evaluation its rows, how many are touched, and which (by line, from 1)."""
        known = index(self.evaluation, self.ngram)
        touched = dict(settled.group_by("name").agg(pl.col("line").unique().sort()).iter_rows())
        return {"evaluations": {name: {"rows": rows, "touched": touched.get(name, [])} for name, rows in known.sizes.items()}}


@dataclass(frozen=True)
class Index:
    """keys: sorted hashes of all n-grams; rows: (key, item); items, strings of rows: (item, name, line, grams); sizes: rows by name."""

    keys: np.ndarray
    rows: pl.DataFrame
    items: pl.DataFrame
    sizes: dict[str, int]


@functools.lru_cache(1)
def index(folder: str | None, ngram: int) -> Index:
    """The n-grams of every string of every row of every evaluation."""
    texts = [] if folder is None else read(Path(folder))
    frame = pl.DataFrame(texts, schema={"name": pl.String, "line": pl.Int64, "text": pl.String}, orient="row")
    spoken = words(frame["text"])
    found = grams(spoken, ngram)
    item = np.repeat(np.arange(frame.height), np.diff(found.start))
    enough = np.diff(spoken.start)[item] >= ngram
    rows = pl.DataFrame({"key": found.value[enough], "item": item[enough]}).unique(maintain_order=True)
    items = frame.select("name", "line", item=pl.int_range(pl.len())).join(rows.group_by("item").agg(grams=pl.len()), on="item")
    sizes = dict(frame.group_by("name").agg(pl.col("line").n_unique()).sort("name").iter_rows())
    return Index(np.unique(rows["key"].to_numpy()), rows, items, sizes)


def read(folder: Path) -> list[tuple[str, int, str]]:
    """(file, line from 1, text) of every row of every evaluation. Raises InputError for what is no folder and what cannot be read."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no folder of evaluation texts; name one with JSONL, Parquet or text files in it, or null for none")
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        name = file.relative_to(folder).as_posix()
        try:
            rows = rows_of(file)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{file}: not readable as an evaluation ({error}); repair it or take it out of {folder}") from error
        found += [(name, line, text) for line, row in enumerate(rows, 1) for text in strings(row) or [""]]
    return found


def rows_of(file: Path) -> list:
    """The rows of a JSONL, Parquet or text file."""
    if file.suffix == ".parquet":
        return pl.read_parquet(file).to_dicts()
    content = file.read_bytes()
    lines = (gzip.decompress(content) if file.suffix == ".gz" else content).decode().split("\n")
    kept = [line for line in lines if line.strip()]
    return [json.loads(line) for line in kept] if ".jsonl" in file.name else list(kept)


def strings(value) -> list[str]:
    """All strings in a row, in their order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []
