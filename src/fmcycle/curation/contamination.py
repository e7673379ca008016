"""Contamination: texts that hold rows of an evaluation, whole or with some words changed."""

import functools
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fmcycle.curation.corpus_step import Fetch
from fmcycle.curation.minhash import within
from fmcycle.curation.shingle import grams, pieces, words
from fmcycle.curation.word import UNSPACED
from fmcycle.errors import InputError
from fmcycle.ranges import ExistingPath, Fraction, PositiveInt

LEAST = 8  # least number of a string's words that a text must have; texts that never saw the string can have fewer
COMMON = 10  # an n-gram in more rows of an evaluation belongs to its form ("Answer with one of the following"), not to a row
ITEM = {"name": pl.String, "line": pl.String, "text": pl.String}
TOUCH = {"owner": pl.Int64, "name": pl.String, "line": pl.String, "share": pl.Float64}


@dataclass(frozen=True)
class Match:
    """`held(texts, index)`: which rows of an evaluation each text holds.

    A text holds a row if common n-grams of `ngram` words cover the share `touched` of the words of one of the row's strings, at least
    eight, within a window of twice the string's length. A changed word costs only itself if its neighbours are in n-grams without it.
    An n-gram that more than ten rows of the evaluation have is not counted.
    Source: the share of words in common n-grams is that of Dubey et al., The Llama 3 Herd of Models (2024), section 5.1.4 (8-grams
    anywhere in the corpus; here they are shorter and must be close together in one text, so that edited copies are found).
    """

    ngram: PositiveInt = 5
    touched: Fraction = 0.7

    def index(self, rows: pl.DataFrame) -> "Index":
        """Index the strings of rows: `name` of the evaluation, `line` (the row's name in it), `text`. A row may have several strings."""
        spoken = words(rows["text"])
        found = grams(spoken, self.ngram)
        size = np.diff(spoken.start)
        item = np.repeat(np.arange(rows.height), np.diff(found.start))
        place = np.arange(len(item)) - found.start[:-1][item]
        whole = size[item] >= self.ngram
        keys = pl.DataFrame({"key": found.value[whole], "item": item[whole], "place": place[whole]})
        named = keys.join(rows.select("name", "line", item=pl.int_range(pl.len())), on="item")
        keys = named.filter(pl.col("line").n_unique().over("key", "name") <= COMMON).select("key", "item", "place")
        unspaced = (rows["text"].str.count_matches(UNSPACED) > pl.Series(size / 2)).to_numpy() if rows.height else np.zeros(0, bool)
        items = rows.select("name", "line", item=pl.int_range(pl.len()), size=pl.Series(size, dtype=pl.Int64))
        items = items.join(covered(keys, ["item"], self.ngram), on="item").rename({"covered": "own"})
        least = pl.Series(np.where(unspaced, 3 * LEAST, LEAST))  # a character of Chinese is less than a word
        items = items.with_columns(asked=pl.max_horizontal(least.gather(items["item"]), (pl.col("own") * self.touched).ceil()))
        items = items.filter(pl.col("own") >= pl.col("asked"))
        keys = keys.join(items.select("item", "size"), on="item")
        return Index(np.unique(keys["key"].to_numpy()), keys, items)

    def held(self, texts: pl.Series, known: "Index") -> pl.DataFrame:
        """(owner: index in `texts`, name, line, share of the string's words) of every row that a text holds."""
        parts = [pl.DataFrame(schema=TOUCH)]
        if len(known.keys):
            for piece in pieces(pl.DataFrame({"text": texts}).with_row_index("owner")):
                parts.append(self._held(piece, known))
        return pl.concat(parts)

    def _held(self, frame: pl.DataFrame, known: "Index") -> pl.DataFrame:
        found = grams(words(frame["text"]), self.ngram)
        some = np.flatnonzero(within(found.value, known.keys))
        owner = np.searchsorted(found.start, some, side="right") - 1
        hits = pl.DataFrame({"owner": owner, "at": some - found.start[owner], "key": found.value[some]}).join(known.rows, on="key")
        hits = hits.filter(pl.len().over("owner", "item") * self.ngram >= LEAST)
        window = pl.col("at") // pl.col("size")  # windows of twice the string overlap by half, so that one of them holds a copy whole
        hits = pl.concat([hits.with_columns(window=window), hits.with_columns(window=window - 1)])
        best = covered(hits, ["owner", "item", "window"], self.ngram).group_by("owner", "item").agg(pl.col("covered").max())
        best = best.join(known.items, on="item").filter(pl.col("covered") >= pl.col("asked"))
        best = best.group_by("owner", "name", "line").agg(share=(pl.col("covered") / pl.col("own")).max())
        return best.with_columns(owner=frame["owner"].gather(best["owner"]).cast(pl.Int64)).select(*TOUCH).sort("owner", "name", "line")


def covered(keys: pl.DataFrame, by: list[str], ngram: int) -> pl.DataFrame:
    """How many words the n-grams that begin at `place` cover together, by the columns `by`."""
    step = pl.col("place").diff().shift(-1).over(*by).fill_null(ngram)
    found = keys.select(*by, "place").unique().sort(*by, "place").with_columns(covered=pl.min_horizontal(step, ngram))
    return found.group_by(by).agg(pl.col("covered").sum())


@dataclass(frozen=True)
class Index:
    """keys: sorted hashes of all n-grams; rows: (key, item, place, size); items, strings of rows: (item, name, line, size, own, asked)."""

    keys: np.ndarray
    rows: pl.DataFrame
    items: pl.DataFrame


@dataclass(frozen=True)
class Contamination:
    """Corpus step: drop the documents that hold rows of an evaluation, by `Match`; with `keep`, only report them.

    evaluation: a folder of JSONL (also .gz), Parquet and text files, each an evaluation; null: the step finds nothing. A line of a text
    file is a row. The findings list the touched rows, so that the clean part of the evaluation can be scored by itself.
    """

    evaluation: ExistingPath | None
    ngram: PositiveInt = 5
    touched: Fraction = 0.7
    keep: bool = False

    def sketch(self, frame: pl.DataFrame) -> pl.DataFrame:
        """One line for each row of an evaluation that a document holds."""
        match = Match(self.ngram, self.touched)
        found = match.held(frame["text"], index(self.evaluation, match))
        row = frame["row"].gather(found["owner"]).cast(pl.UInt64)
        return found.select(row=row, part=pl.lit(0, pl.UInt32), name="name", line=pl.col("line").cast(pl.Int64), share="share")

    def settle(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The sketch, sorted: what a document holds depends on no other document."""
        return frame.drop("part").sort("row", "name", "line")

    def verdicts(self, settled: pl.DataFrame, fetch: Fetch) -> pl.DataFrame:
        """Drop every document that holds a row; the value names the row of which it has the largest share."""
        rule = f"{self.touched} of a row's words in common {self.ngram}-grams"
        worst = settled.sort(["row", "share", "name", "line"], descending=[False, True, False, False])
        worst = worst.unique("row", keep="first", maintain_order=True)
        found = worst.select("row", reason=pl.lit("evaluation text"), rule=pl.lit(rule), value=pl.format("{}#{}", "name", "line"))
        return found.clear() if self.keep else found

    def findings(self, settled: pl.DataFrame) -> dict:
        """The number of rows of each evaluation, and the lines (from 1) of the touched ones."""
        touched = dict(settled.group_by("name").agg(pl.col("line").unique().sort()).iter_rows())
        rows = rows_by_name(self.evaluation)
        return {"evaluations": {name: {"rows": rows[name], "touched": touched.get(name, [])} for name in sorted(rows)}}


@functools.lru_cache(1)
def index(folder: str | None, match: Match) -> Index:
    """The n-grams of every string of every row of every evaluation."""
    return match.index(pl.DataFrame([] if folder is None else read(Path(folder)), schema=ITEM, orient="row"))


def rows_by_name(folder: str | None) -> dict[str, int]:
    """{evaluation: number of its rows}."""
    found = pl.DataFrame([] if folder is None else read(Path(folder)), schema=ITEM, orient="row")
    return dict(found.group_by("name").agg(pl.col("line").n_unique()).iter_rows())


def read(folder: Path) -> list[tuple[str, str, str]]:
    """(file, line from 1, text) of every row of every evaluation. Raises InputError if there is no folder, or a file can't be read."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no folder of evaluation texts; name one with JSONL, Parquet or text files in it, or null for none")
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        name = file.relative_to(folder).as_posix()
        try:
            rows = rows_of(file)
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{file}: not readable as an evaluation ({error}); repair it or take it out of {folder}") from error
        found += [(name, str(line), text) for line, row in enumerate(rows, 1) for text in strings(row) or [""]]
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
