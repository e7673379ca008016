"""Held-out rows that a training text holds, and every figure once more on the rows that none does."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from fmcycle.curation.contamination import ITEM
from fmcycle.evaluation.held_out import digest
from fmcycle.tables.schema import write_parquet

TRAINED = ("documents", "instructions", "preferences")  # tables of which the split "train" is learned from
TABLES = (*TRAINED, "prompts")
COLUMNS = ("text", "messages", "prompt", "chosen", "rejected")
CHECKED = 32 << 20  # bytes of a table's held-out rows that are looked for, in the order in which evaluations take them: bounds the memory
BATCH = 4096  # training rows in memory
TOUCHED = {"table": pl.String, "id": pl.String, "share": pl.Float64, "by": pl.String}
END = re.compile(r"(/low|/high|/n)?\Z")


def touched(tables: dict[str, str], match) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """(table, id, share, by: the training row that has most of it) of held-out rows, and of each table the ids that were looked for.

    tables: {name: parquet file}. Held out is what has another split than "train", and safety prompts that teach nothing. match: a `Match`.
    """
    rows = {name: checked(file) for name, file in tables.items()}
    parts = [strings(pl.scan_parquet(tables[name]).filter(pl.col("id").is_in(ids)).collect(), name) for name, ids in rows.items()]
    known = match.index(pl.concat([pl.DataFrame(schema=ITEM), *parts]))
    found = [pl.DataFrame(schema=TOUCHED)]
    for ids, texts in trained(tables):
        held = match.held(texts, known)
        found.append(held.select(table="name", id="line", share="share", by=ids.gather(held["owner"])))
    ordered = pl.concat(found).sort("table", "id", "share", "by", descending=[False, False, True, False])
    return ordered.unique(["table", "id"], keep="first", maintain_order=True), rows


def is_split(file: str) -> bool:
    """Is this a table whose rows belong to splits? What else is wrong with it, the evaluations say."""
    return Path(file).is_file() and {"id", "split"} <= set(pl.read_parquet_schema(file))


def checked(file: str) -> list[str]:
    """The ids of the held-out rows that are looked for: the first by sha256, as evaluations take them."""
    kinds = "kind" in pl.read_parquet_schema(file)  # harmful and toxic prompts count whatever their split
    held_out = (pl.col("split") != "train") | (pl.col("kind") != "harmless" if kinds else False)
    size = pl.sum_horizontal(said(name, kind).list.eval(pl.element().str.len_bytes()).list.sum() for name, kind in spoken(file))
    frame = pl.scan_parquet(file).filter(held_out).select("id", size=size).collect()
    frame = frame.with_columns(order=pl.Series(map(digest, frame.iter_rows(named=True)), dtype=pl.String))
    return frame.sort("order").filter(pl.col("size").cum_sum() - pl.col("size") < CHECKED)["id"].to_list()


def spoken(file: str) -> list[tuple[str, pl.DataType]]:
    """The columns of a table that hold its texts."""
    return [(name, kind) for name, kind in pl.read_parquet_schema(file).items() if name in COLUMNS]


def said(name: str, kind: pl.DataType) -> pl.Expr:
    """A column of texts or of turns as lists of texts."""
    return pl.concat_list(name) if kind == pl.String else pl.col(name).list.eval(pl.element().struct.field("content"))


def strings(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Every text of every row: `name`, `line` (its id), `text`."""
    parts = [
        frame.select(name=pl.lit(name), line="id", text=said(column, kind)).explode("text")
        for column, kind in frame.schema.items()
        if column in COLUMNS
    ]
    return pl.concat(parts).filter(pl.col("text").is_not_null())


def trained(tables: dict[str, str]) -> Iterator[tuple[pl.Series, pl.Series]]:
    """(ids, texts) of what is learned from, some thousand rows at a time."""
    for file in (tables[name] for name in TRAINED if name in tables):
        whole = pl.concat_list(said(name, kind) for name, kind in spoken(file)).list.join("\n")
        frame = pl.scan_parquet(file)
        for start in range(0, frame.select(pl.len()).collect().item(), BATCH):
            batch = frame.slice(start, BATCH).filter(pl.col("split") == "train").select("id", text=whole).collect()
            yield batch["id"], batch["text"]


def without(tables: dict[str, str], found: pl.DataFrame, rows: dict[str, list[str]], folder: Path) -> dict[str, str]:
    """{file: the same table, of the rows that were looked for those that no training text holds}, for tables of which one is held."""
    clean = {}
    for name in found["table"].unique().sort():
        ids = set(rows[name]) - set(found.filter(pl.col("table") == name)["id"])
        clean[tables[name]] = str(folder / f"{name}.parquet")
        write_parquet(pl.scan_parquet(tables[name]).filter(pl.col("id").is_in(ids)).collect(), folder / f"{name}.parquet")
    return clean


def replaced(node, files: dict[str, str]):
    """Plain config data with other files in the place of some."""
    if isinstance(node, dict):
        return {name: replaced(value, files) for name, value in node.items()}
    if isinstance(node, list):
        return [replaced(value, files) for value in node]
    return files.get(node, node) if isinstance(node, str) else node


def named(metrics: dict[str, float]) -> dict[str, float]:
    """`rouge_l/low` as `rouge_l/clean/low`."""
    return {END.sub(lambda end: f"/clean{end[0]}", name, count=1): value for name, value in metrics.items()}


def counts(found: pl.DataFrame, rows: dict[str, list[str]]) -> dict[str, float]:
    """`contaminated/TABLE`: how many of the n held-out rows that were looked for a training text holds."""
    held = dict(found.group_by("table").len().iter_rows())
    return {f"contaminated/{name}": held.get(name, 0) for name in rows} | {f"contaminated/{name}/n": len(ids) for name, ids in rows.items()}
