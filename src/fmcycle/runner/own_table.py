"""Curates a person's own file or folder if a stage gets it instead of a table."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from fmcycle.artifact import hub
from fmcycle.config.compose import Composed, compose
from fmcycle.config.grammar import flatten
from fmcycle.config.paths import hub_kind, is_path
from fmcycle.errors import InputError
from fmcycle.source.shape import is_row

COLUMNS = {  # of a table that curate wrote, beside `split`
    "documents": ("text",), "instructions": ("messages",), "preferences": ("prompt", "chosen", "rejected"), "prompts": ("text", "kind"),
    "examples": ("media",),
}  # fmt: skip


def curated(below: Composed, perform: Callable[..., Path]) -> Composed:
    """Return `below` with each raw input replaced by the table that curate makes of it.

    perform: runs a composed stage. Raises InputError if no row of the input belongs to that table.
    """
    made: dict[str, str] = {}
    for name in COLUMNS:
        value = below.inputs.get(name)
        if value is None or not (hub.is_reference(value) or (is_path(value) and Path(value).exists() and not is_table(Path(value), name))):
            continue
        stage = compose(["stage=curate", *flatten({"inputs": {"data": value}}), f"base={below.base}"])
        folder = perform(stage, needed_by=below.stage)
        rows = {file.stem: rows_of(file) for file in sorted(folder.glob("*.parquet")) if file.stem in COLUMNS}
        if not rows.get(name):
            held = ", ".join(f"{count:,} {other}" for other, count in rows.items() if count)
            raise InputError(f"inputs.{name}: {value} holds no {name}, but {held}; pass it as that input, or name other rows")
        made[name] = str(folder / f"{name}.parquet")
    return replace(below, inputs=below.inputs | made) if made else below


def from_hub(composed: Composed) -> Composed:
    """Return `composed` with the folder in the cache in place of each `hub:` input, except tables, which are curated first."""
    named = {name: value for name, value in composed.inputs.items() if hub.is_reference(value) and name not in COLUMNS}
    found = {name: str(hub.fetched(value, hub_kind(name))) for name, value in named.items()}
    return replace(composed, inputs=composed.inputs | found) if found else composed


def is_table(path: Path, name: str) -> bool:
    """True if `path` is a table as curate writes it, or one whose columns only a format of the user's own reads.

    Raises InputError if a Parquet file can't be read.
    """
    if path.is_dir() or path.suffix.lower() != ".parquet":
        return False
    try:
        columns = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"inputs.{name}: {path} is not a readable Parquet file ({why}): copy or make it again") from None
    if "split" not in columns:
        return False
    turns = columns.get("messages") or columns.get("prompt")
    return not is_row(columns) or ({*COLUMNS[name]} <= {*columns} and (turns is None or turns != pl.String))


def rows_of(file: Path) -> int:
    """Return the number of rows of a table."""
    return pl.scan_parquet(file).select(pl.len()).collect().item()
