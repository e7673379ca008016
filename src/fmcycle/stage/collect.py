"""collect: fetch raw data from every source into one folder, with a licence record for each."""

import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console

from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.ranges import Node
from fmcycle.source.erase import erase, listed
from fmcycle.tables.schema import SCHEMA


@dataclass
class Config:
    """`source`: {folder name: source}. `collection`: the same mapping; if chosen, it replaces `source`."""

    inputs: dict
    out: str
    source: dict[str, Node]
    collection: dict[str, Node] | None = None


def run(cfg: Config) -> None:
    """Run every source, each into its folder under `cfg.out`; if one fails, `cfg.out` stays unwritten."""
    console, sources = Console(stderr=True, force_jupyter=False), getattr(cfg, "collection", None) or cfg.source
    if wrong := next((name for name in sources if "/" in name or name.startswith(".")), None):
        raise InputError(f"source.{wrong}: the name of a source becomes a folder; choose one without a slash or a leading dot")
    with artifact.create(cfg.out) as partial:
        for name in sorted(sources, key=lambda name: ("share" in sources[name], name)):  # last: it counts the others' rows
            started = time.monotonic()
            (partial / name).mkdir()
            build(sources[name])(folder=partial / name)
            console.print(f"collect {name}: {time.monotonic() - started:.1f} s")
        erased = listed(cfg.inputs.get("erased"))
        if gone := erase(partial, erased) if erased.sources | erased.digests else 0:
            console.print(f"collect: removed {gone} rows that {cfg.inputs['erased']} lists")
        console.print(f"collect: {counts(partial)}")


def counts(folder: Path) -> dict[str, int]:
    """Return {table: rows} over the Parquet files of all sources."""
    found: dict[str, int] = {}
    for file in sorted(folder.glob("*/*.parquet")):
        if file.stem in (*SCHEMA, "feedback"):
            found[file.stem] = found.get(file.stem, 0) + pl.scan_parquet(file).select(pl.len()).collect().item()
    return found
