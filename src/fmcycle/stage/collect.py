"""Raw data from every source into one folder, each with its licence record."""

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
    """The section of collect: `source` maps a name, which becomes a folder, to a source; `collection`, where chosen, instead of it."""

    inputs: dict
    out: str
    source: dict[str, Node]
    collection: dict[str, Node] | None = None


def run(cfg: Config) -> None:
    """Let every source of `cfg.source` write into its folder under `cfg.out`; all of them, or nothing."""
    console, sources = Console(stderr=True), getattr(cfg, "collection", None) or cfg.source
    with artifact.create(cfg.out) as partial:
        for name in sorted(sources, key=lambda name: ("share" in sources[name], name)):  # a share of all: last
            if "/" in name or name.startswith("."):
                raise InputError(f"source.{name}: a source's name becomes a folder; choose one without a slash or a leading point")
            started = time.monotonic()
            (partial / name).mkdir()
            build(sources[name])(folder=partial / name)
            console.print(f"collect {name}: {time.monotonic() - started:.1f} s")
        erased = listed(cfg.inputs.get("erased"))
        if gone := erase(partial, erased) if erased.sources | erased.digests else 0:
            console.print(f"collect: {gone} rows are in {cfg.inputs['erased']} and were taken out")
        console.print(f"collect: {counts(partial)}")


def counts(folder: Path) -> dict[str, int]:
    """{table: rows} over the Parquet files of all sources."""
    found: dict[str, int] = {}
    for file in sorted(folder.glob("*/*.parquet")):
        if file.stem in (*SCHEMA, "feedback"):
            found[file.stem] = found.get(file.stem, 0) + pl.scan_parquet(file).select(pl.len()).collect().item()
    return found
