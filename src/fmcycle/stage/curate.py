"""From any folder of raw data to curated, split tables, with every drop's reason and a profile."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console

from fmcycle import artifact, durable
from fmcycle.build import build
from fmcycle.curation import conversation, duplicate, page, profile
from fmcycle.error import InputError
from fmcycle.source import reader, table

Step = Callable[[pl.DataFrame], pl.DataFrame]
VERDICT = ("reason", "rule", "value")
TEXTS = {"instructions": ["messages"], "preferences": ["prompt", "chosen", "rejected"], "prompts": ["text"]}


@dataclass
class Config:
    """The section of curate: `curation` are the steps for documents, `conversation` those for the texts of all other rows."""

    inputs: dict
    out: str
    curation: dict
    conversation: dict
    split: dict


def run(cfg: Config) -> None:
    """Read `cfg.inputs["data"]`, write the curated tables, what was dropped and quarantined, and the profile.

    Every row read is kept, dropped with its reason, or quarantined with its reason. Documents depend on no other table.
    """
    reading = reader.read(cfg.inputs["data"])
    if not reading.read:
        raise InputError(
            f"{cfg.inputs['data']}: no JSONL, Parquet or text file with anything in it; name another folder with inputs.data=FOLDER"
        )
    documents, dropped, flow = curated(reading.table("documents"), build(cfg.curation))
    split = build(cfg.split)
    tables = {"documents": split(documents)}
    gone = [split(dropped)]
    for name in TEXTS:
        tables[name], copies = rows(name, reading.table(name), build(cfg.conversation), dropped["id"])
        tables[name] = split(tables[name])
        gone.append(split(copies))
    everything = pl.concat(gone).select(*tables["documents"].columns, *VERDICT)
    found = profile.profile(tables, everything, reading.quarantine, flow, reading.read)
    assert found["kept"] + found["dropped"] + found["quarantined"] == found["read"]
    with artifact.create(cfg.out) as partial:
        write(partial, tables, everything, reading.quarantine, found)
    Console(stderr=True).print(
        f"curate: read {found['read']}, kept {found['kept']}, dropped {found['dropped']}, quarantined {found['quarantined']}"
    )


def curated(documents: pl.DataFrame, steps: dict[str, Step]) -> tuple[pl.DataFrame, pl.DataFrame, list[dict]]:
    """(kept, dropped with reason, flow): each step sees what the steps before it kept."""
    gone = [documents.clear().with_columns(pl.lit(None, pl.String).alias(name) for name in VERDICT)]
    flow = []
    console = Console(stderr=True)
    for name, step in steps.items():
        before = documents.height
        judged = step(documents)
        if "reason" in judged.columns:
            gone.append(judged.filter(pl.col("reason").is_not_null()))
            judged = judged.filter(pl.col("reason").is_null()).drop(VERDICT)
        changed = int((judged["text"] != documents.filter(pl.col("id").is_in(judged["id"].implode()))["text"]).sum())
        documents = judged
        flow.append({"step": name, "before": before, "after": documents.height, "dropped": before - documents.height, "changed": changed})
        console.print(f"curate {name}: {before} -> {documents.height} documents, {changed} changed")
    return documents, pl.concat(gone).sort("id"), flow


def rows(name: str, frame: pl.DataFrame, steps: dict[str, Step], dropped: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(kept, dropped in the columns of documents) of another table: texts cleaned, copies out, and what asks about a dropped document."""
    for column in TEXTS[name]:
        frame = conversation.rewrite(frame, column, list(steps.values()))
    shown = frame.select("id", "source", "licence", "group").with_columns(text=conversation.as_text(frame), domain=pl.lit(name))
    shown = shown.with_columns(pl.lit(None, pl.String).alias(column) for column in VERDICT)
    if "document" in frame.columns:
        orphan = frame["document"].is_in(dropped.implode())
        shown = duplicate.drop(shown, orphan, "its document was dropped", "document is kept", frame["document"])
    asked = shown.filter(pl.col("reason").is_null())
    gone = pl.concat([shown.filter(pl.col("reason").is_not_null()), duplicate.exact(asked).filter(pl.col("reason").is_not_null())])
    stays = frame.filter(~pl.col("id").is_in(gone["id"].implode()))
    return stays, gone.select("id", "text", "source", "domain", "licence", "group", *VERDICT).sort("id")


def write(folder: Path, tables: dict[str, pl.DataFrame], dropped: pl.DataFrame, quarantine: list[dict], found: dict) -> None:
    """All files of the stage."""
    for name, frame in tables.items():
        table.write_parquet(frame, folder / f"{name}.parquet")
    table.write_parquet(dropped, folder / "dropped.parquet")
    durable.write_text(folder / "quarantine.jsonl", "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in quarantine))
    durable.write_json(folder / "profile.json", found)
    durable.write_text(folder / "profile.html", page.page(found))
