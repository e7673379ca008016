"""Finds held-out rows that training texts contain, and writes tables without them, on which evaluations run again."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from fmcycle.curation.contamination import ITEM
from fmcycle.evaluation.held_out import digest
from fmcycle.tables.schema import write_parquet

TRAINED = ("documents", "instructions", "preferences")  # tables whose train split models are trained on
TABLES = (*TRAINED, "prompts")
COLUMNS = ("text", "messages", "prompt", "chosen", "rejected")
CHECKED = 32 << 20  # bytes of a table's held-out rows to check, in the evaluations' order; bounds the memory
BATCH = 4096  # training rows in memory
TOUCHED = {"table": pl.String, "id": pl.String, "share": pl.Float64, "by": pl.String}
END = re.compile(r"(/low|/high|/n)?\Z")


def touched(tables: dict[str, str], match) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """Return the contaminated held-out rows (table, id, share, by: the training row with the largest share), and {table: checked ids}.

    tables: {name: Parquet file}. Held out: rows of other splits than "train", and safety prompts (never trained on). match: a `Match`.
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
    """True if `file` is a table with columns id and split; evaluations report all other faults of it."""
    return Path(file).is_file() and {"id", "split"} <= set(pl.read_parquet_schema(file))


def checked(file: str) -> list[str]:
    """Return the ids of the held-out rows to check: the first CHECKED bytes of them by sha256, the order of evaluations."""
    kinds = "kind" in pl.read_parquet_schema(file)  # harmful and toxic prompts are held out in every split
    held_out = (pl.col("split") != "train") | (pl.col("kind") != "harmless" if kinds else False)
    size = pl.sum_horizontal(said(name, kind).list.eval(pl.element().str.len_bytes()).list.sum() for name, kind in spoken(file))
    frame = pl.scan_parquet(file).filter(held_out).select("id", size=size).collect()
    frame = frame.with_columns(order=pl.Series(map(digest, frame.iter_rows(named=True)), dtype=pl.String))
    return frame.sort("order").filter(pl.col("size").cum_sum() - pl.col("size") < CHECKED)["id"].to_list()


def spoken(file: str) -> list[tuple[str, pl.DataType]]:
    """Return (name, type) of the text columns of a table."""
    return [(name, kind) for name, kind in pl.read_parquet_schema(file).items() if name in COLUMNS]


def said(name: str, kind: pl.DataType) -> pl.Expr:
    """Return a column of texts, or of turns, as lists of texts."""
    return pl.concat_list(name) if kind == pl.String else pl.col(name).list.eval(pl.element().struct.field("content"))


def strings(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return every text of every row: `name`, `line` (the row's id), `text`."""
    parts = [
        frame.select(name=pl.lit(name), line="id", text=said(column, kind)).explode("text")
        for column, kind in frame.schema.items()
        if column in COLUMNS
    ]
    return pl.concat(parts).filter(pl.col("text").is_not_null())


def trained(tables: dict[str, str]) -> Iterator[tuple[pl.Series, pl.Series]]:
    """Yield (ids, texts) of the training rows, BATCH rows at a time."""
    for file in (tables[name] for name in TRAINED if name in tables):
        whole = pl.concat_list(said(name, kind) for name, kind in spoken(file)).list.join("\n")
        frame = pl.scan_parquet(file)
        for start in range(0, frame.select(pl.len()).collect().item(), BATCH):
            batch = frame.slice(start, BATCH).filter(pl.col("split") == "train").select("id", text=whole).collect()
            yield batch["id"], batch["text"]


def without(tables: dict[str, str], found: pl.DataFrame, rows: dict[str, list[str]], folder: Path) -> dict[str, str]:
    """Write each table that has contaminated rows without them; return {file: its clean file}, which holds checked rows only."""
    clean = {}
    for name in found["table"].unique().sort():
        ids = set(rows[name]) - set(found.filter(pl.col("table") == name)["id"])
        clean[tables[name]] = str(folder / f"{name}.parquet")
        write_parquet(pl.scan_parquet(tables[name]).filter(pl.col("id").is_in(ids)).collect(), folder / f"{name}.parquet")
    return clean


def replaced(node, files: dict[str, str]):
    """Return config data `node` with every file that is a key of `files` replaced."""
    if isinstance(node, dict):
        return {name: replaced(value, files) for name, value in node.items()}
    if isinstance(node, list):
        return [replaced(value, files) for value in node]
    return files.get(node, node) if isinstance(node, str) else node


def named(metrics: dict[str, float]) -> dict[str, float]:
    """Rename metrics to those of the clean rows: `rouge_l/low` becomes `rouge_l/clean/low`."""
    return {END.sub(lambda end: f"/clean{end[0]}", name, count=1): value for name, value in metrics.items()}


def counts(found: pl.DataFrame, rows: dict[str, list[str]]) -> dict[str, float]:
    """Return `contaminated/TABLE`, the contaminated rows of each table, with n, its checked rows."""
    held = dict(found.group_by("table").len().iter_rows())
    return {f"contaminated/{name}": held.get(name, 0) for name in rows} | {f"contaminated/{name}/n": len(ids) for name, ids in rows.items()}
