"""curate: turn a folder of raw data into curated, split tables; record the reason of every dropped row, and a profile."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

import polars as pl
from rich.console import Console

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.curation import conversation, corpus_step, duplicate, media, profile, profile_page
from fmcycle.curation.corpus_step import VERDICT
from fmcycle.curation.driver import given, quarantine, walk
from fmcycle.curation.ids import Unique
from fmcycle.curation.shard_pass import Work, cut
from fmcycle.errors import InputError
from fmcycle.hardware import memory
from fmcycle.ranges import Node, NonNegativeInt
from fmcycle.source import croissant, reader, shape
from fmcycle.tables import parquet
from fmcycle.tables import schema as table
from fmcycle.tables import text as tables_text

SHOWN = 12  # unread columns that the terminal names
TIMES = 6  # peak memory of `others` as a multiple of the rows' size
TEXTS = {"instructions": ["messages"], "preferences": ["prompt", "chosen", "rejected"], "prompts": ["text"]}


NEEDS = (("data",),)
WRITES = (
    "documents.parquet",
    "dropped.parquet",
    "instructions.parquet",
    "preferences.parquet",
    "prompts.parquet",
    "examples.parquet",
    "quarantine.jsonl",
    "profile.json",
    "profile.html",
    "croissant.json",
)


@dataclass
class Config:
    """`curation`: the steps for documents. `conversation`: the steps for the texts of all other rows.

    source: {"map": {our column name: the data's}, "split": "theirs" keeps a split that the data brings, "ours" splits all rows anew}.
    order: {"curation": names, "conversation": names}. It is a list because a mapping has no order in an identity or a DVC parameter.
    """

    inputs: dict
    out: str
    runs: str
    executor: Node
    curation: dict[str, Node]
    conversation: dict[str, Node]
    order: dict[Literal["curation", "conversation"], list]
    split: Node
    source: dict
    max_bad_rows: NonNegativeInt | None = None


def ordered(steps: dict, names: list[str]) -> dict:
    """Return the steps in the order of `names`. Raises InputError if `names` are not exactly the names of the steps."""
    if sorted(steps) != sorted(names):
        raise InputError(f"order: lists {', '.join(names)}, but the steps are {', '.join(steps)}; use the order of conf/stage/curate.yaml")
    return {name: steps[name] for name in names}


def run(cfg: Config) -> None:
    """Read `cfg.inputs["data"]`; write the curated tables, the dropped and quarantined rows, and the profile.

    Every row is kept, dropped with its reason, or quarantined with its reason. Documents depend on no other table. cfg.runs keeps
    the shards until the stage ends: if the stage is killed, the same command resumes after the last finished shard.
    """
    split, (named, keeps) = build(cfg.split), asked(cfg.source)
    with build(cfg.executor) as executor:
        work = Work(
            (Path(cfg.runs) / "shards").resolve(),
            build(ordered(cfg.curation, cfg.order["curation"])),
            split,
            int(executor.shard_mb * 2**20),
        )
        units = reader.units(Path(cfg.inputs["data"]).resolve(), bytes=work.bytes, map=shape.chosen(named), split=keeps)
        if not units:
            raise InputError(f"{cfg.inputs['data']}: the folder holds no file; name another with inputs.data=FOLDER")
        shards, findings = walk(work, units, executor, cfg.max_bad_rows)
    work = replace(work, given=given(shards))
    if line := told(shards):
        said(line)
    for found in (about[duplicate.CLASH] for about in findings.values() if duplicate.CLASH in about):
        said(f"{found:,} {duplicate.CLASH}: all are kept")
    fit(sum(about["held"] for about in shards))
    steps = build(ordered(cfg.conversation, cfg.order["conversation"]))
    tables, gone, signs = others(work, shards, steps)
    shown, out = judged(work, shards, steps)
    gone = pl.concat([gone, work.divided("examples", out).select(gone.columns)])
    findings |= signs
    with artifact.create(cfg.out) as partial:
        parquet.write(kept(work, shards), partial / "documents.parquet")
        parquet.write(dropped(work, shards, gone), partial / "dropped.parquet")
        for name, frame in tables.items():
            table.write_parquet(frame, partial / f"{name}.parquet")
        seen = [profile.of_table(name, frame) for name, frame in tables.items()]
        if any(about["tables"]["examples"] for about in shards):
            parquet.write(examples(work, shards, work.divided("examples", shown), seen), partial / "examples.parquet")
        with open(partial / "quarantine.jsonl", "w") as file:
            file.writelines(quarantine(work, shards))
        found = summary(work, shards, seen, gone, findings)
        reasons = commonest(work, shards, found)
        if not found["kept"]:
            raise InputError(nothing(cfg, found["read"], reasons, (partial / "quarantine.jsonl").read_text()))
        atomic.write_json(partial / "profile.json", found)
        atomic.write_text(partial / "profile.html", profile_page.page(found))
        atomic.write_json(partial / "croissant.json", croissant.describe(partial))
    shutil.rmtree(work.folder)
    kept_of = ", ".join(f"{table['rows']:,} {name}" for name, table in found["tables"].items() if table["rows"])
    said(f"read {found['read']}, kept {found['kept']} ({kept_of}), dropped {found['dropped']}, quarantined {found['quarantined']}")
    if found["quarantined"]:
        said("\n".join(["unreadable rows, by reason:", *reasons, f"{cfg.out}/quarantine.jsonl lists file, line and reason of each"]))


def said(text: str) -> None:
    """Print `text` to stderr without markup or line breaks."""
    Console(stderr=True, force_jupyter=False).print(f"curate: {text}", markup=False, highlight=False, soft_wrap=True)


def asked(source: dict) -> tuple[dict, bool]:
    """Return (source.map, whether rows keep the split that they bring). Raises InputError for any other value of source.split."""
    if source.get("split", "theirs") not in ("theirs", "ours"):
        raise InputError(f"source.split: {source['split']!r} is no choice; set theirs or ours")
    return source.get("map") or {}, source.get("split", "theirs") == "theirs"


def told(shards: list[dict]) -> str:
    """Return one line: how many rows of each shape were read, and which columns were ignored."""
    shapes, unread = (sum((Counter(about[name]) for about in shards), Counter()) for name in ("shapes", "unread"))
    kinds = ", ".join(f"{rows:,} {name}" for name, rows in shapes.most_common())
    columns = ", ".join(name for name, _ in unread.most_common(SHOWN)) + (" ..." if len(unread) > SHOWN else "")
    return kinds and f"{sum(shapes.values()):,} rows: {kinds}" + (f"; columns that are not read: {columns}" if columns else "")


def commonest(work: Work, shards: list[dict], found: dict) -> list[str]:
    """Return the three commonest reasons of quarantined rows; if no row is kept, those of dropped rows count too."""
    reasons = Counter(json.loads(line)["reason"] for text in quarantine(work, shards) for line in text.splitlines())
    if not found["kept"]:
        reasons += Counter({f"dropped by {entry['step']}: {entry['reason']}": entry["rows"] for entry in reversed(found["reasons"])})
    return [f"  {rows:,}: {reason}" for reason, rows in reasons.most_common(3)]


def nothing(cfg: Config, read: int, reasons: list[str], quarantined: str) -> str:
    """Return the error message of a run that keeps no row; write quarantine.jsonl into cfg.runs."""
    file = Path(cfg.runs) / "quarantine.jsonl"
    atomic.write_text(file, quarantined)
    more = [f"{file} lists file, line and reason of each"] if quarantined else []
    return "\n".join([f"{cfg.inputs['data']}: none of {read:,} rows is kept, so there is no table:", *reasons, *more])


def fit(held: int) -> None:
    """Raise InputError if memory can't hold TIMES times the `held` bytes of instructions, preferences and prompts."""
    need, free = TIMES * held, memory.free()
    if need > free:
        raise InputError(
            f"instructions, preferences and prompts are sorted and compared in memory: {held / 1e9:.3g} GB of them need about "
            f"{need / 1e9:.3g} GB, {free / 1e9:.3g} GB are free; name a part of them with inputs.data=FOLDER, or use a larger machine"
        )


def kept(work: Work, shards: list[dict]) -> Iterator[pl.DataFrame]:
    """Yield the kept documents, in the order of the input."""
    for about in shards:
        yield pl.read_parquet(work.last(about["name"], "kept")).drop("row")


def dropped(work: Work, shards: list[dict], gone: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the dropped documents, in the order of the input, then the dropped rows of other tables."""
    for about in shards:
        yield pl.read_parquet(work.last(about["name"], "dropped")).select(gone.columns)
    yield gone


def examples(work: Work, shards: list[dict], shown: pl.DataFrame, seen: list[dict]) -> Iterator[pl.DataFrame]:
    """Yield the kept rows with images or audio, in the order of the input; append their sums for the profile to `seen`."""
    for file in with_media(work, shards):
        frame = pl.read_parquet(file, columns=["row", "media"]).join(shown.drop("media"), on="row", maintain_order="left")
        frame = frame.select(*table.READ["examples"])
        seen.append(profile.of_table("examples", frame))
        yield frame


def judged(work: Work, shards: list[dict], steps: dict) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (kept rows with images or audio, each with a digest of its bytes; dropped rows in the columns of dropped.parquet)."""
    schema = {"row": pl.UInt64, **table.READ["examples"]}
    parts = chain([pl.DataFrame(schema=schema)], (pl.read_parquet(file).select(*schema) for file in with_media(work, shards)))
    maps = [step for step in steps.values() if not corpus_step.is_corpus(step)]
    stay, go = media.judge(corpus_step.whole(Unique(), pl.concat(media.sketch(part, maps) for part in parts)))
    return stay, go.select(*table.READ["documents"], *VERDICT, step=pl.lit("examples")).with_columns(domain=pl.lit("examples")).sort("id")


def with_media(work: Work, shards: list[dict]) -> list[Path]:
    """Return the shard files that hold rows with images or audio."""
    return [work.file(0, about["name"], "examples") for about in shards if about["tables"]["examples"]]


def summary(work: Work, shards: list[dict], seen: list[dict], gone: pl.DataFrame, findings: dict) -> dict:
    """Return the profile; rows read = kept + dropped + quarantined. seen: the sums of all tables but the documents."""
    others = [*seen, *(profile.of_dropped(str(part["step"][0]), part) for part in gone.partition_by("step"))]
    read, bad = (sum(about[name] for about in shards) for name in ("read", "quarantined"))
    lines = [json.loads(line) for text in quarantine(work, shards) for line in text.splitlines()[: profile.FINDINGS]]
    steps = [*work.steps, *gone["step"].unique().sort()]
    alike = alike_in(work, shards)
    findings = {step: findings.get(step, {}) | alike.get(step, {}) for step in {**findings, **alike}}
    found = profile.finish(
        profile.merge(chain(sums(work, shards), others)), steps=steps, read=read, quarantine=lines, quarantined=bad, findings=findings
    )
    assert found["kept"] + found["dropped"] + found["quarantined"] == found["read"]
    return found


def alike_in(work: Work, shards: list[dict]) -> dict[str, dict]:
    """Return the clusters of duplicate documents, of which one was kept."""
    files = [work.last(about["name"], kind) for about in shards for kind in ("kept", "dropped")]
    lost = [pl.read_parquet(file, columns=["step", "value"]) for file in files[1::2]]
    return profile.clusters(pl.concat(lost), (pl.read_parquet(file, columns=["id"])["id"] for file in files)) if lost else {}


def sums(work: Work, shards: list[dict]) -> Iterator[dict]:
    """Yield the counts of every pass over every shard."""
    for about in shards:
        for number in range(len(cut(work.steps))):
            yield json.loads(work.file(number, about["name"], "sums").read_text())


def others(work: Work, shards: list[dict], steps: dict) -> tuple[dict[str, pl.DataFrame], pl.DataFrame, dict]:
    """Return (all tables but the documents, their dropped rows in the columns of dropped.parquet, the corpus steps' findings by table);
    they are held in memory."""
    tables, gone, findings = {}, [], {}
    whole = {name: corpus_step.whole(Unique(), gathered(work, shards, name).sort("id", maintain_order=True)).sort("id") for name in TEXTS}
    about = [frame["document"] for frame in whole.values() if "document" in frame.columns]
    orphaned = lost(work, shards, pl.concat(about).unique())
    for name, frame in whole.items():
        tables[name], out, findings[name] = rows(name, frame, steps, orphaned)
        tables[name] = work.divided(name, tables[name])
        gone.append(work.divided(name, out))
    return tables, pl.concat(gone), {name: found for name, found in findings.items() if found}


def gathered(work: Work, shards: list[dict], name: str) -> pl.DataFrame:
    """Return all rows of one table, in the order of the input."""
    empty = pl.DataFrame(schema=table.READ[name])
    files = [work.file(0, about["name"], name) for about in shards if about["tables"].get(name)]
    return pl.concat([empty, *(pl.read_parquet(file).select(empty.columns) for file in files)])


def lost(work: Work, shards: list[dict], asked: pl.Series) -> pl.Series:
    """Return the ids in `asked` whose documents were dropped."""
    found = [pl.Series("id", [], dtype=pl.String)]
    for about in shards:
        ids = pl.read_parquet(work.last(about["name"], "dropped"), columns=["id"])["id"]
        found.append(ids.filter(ids.is_in(asked.implode())))
    return pl.concat(found)


def rows(name: str, frame: pl.DataFrame, steps: dict, dropped: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame, dict]:
    """Return (kept, dropped in the columns of documents, findings) of table `name`: clean its texts, drop copies and rows about a dropped
    document, then run the corpus steps, which see a row's `text`, `prompt` and `answer`."""
    maps = [step for step in steps.values() if not corpus_step.is_corpus(step)]
    for column in TEXTS[name]:
        frame = conversation.rewrite(frame, column, maps)
    base: dict = {column: pl.lit(table.DEFAULT.get(column, ""), pl.String) for column in table.READ["documents"]}
    own = {column: pl.col(column) for column in base if column in frame.columns}
    shown = frame.select(**base | own | {"text": tables_text.as_text(frame), "domain": pl.lit(name)})
    shown = shown.with_columns(pl.lit(None, pl.String).alias(column) for column in (*VERDICT, "step"))
    if "document" in frame.columns:
        orphan = frame["document"].is_in(dropped.implode())
        shown = duplicate.drop(shown, orphan, "its document was dropped", "document is kept", frame["document"])
    copies = duplicate.exact(shown.filter(pl.col("reason").is_null()).drop(VERDICT), fold=False).filter(pl.col("reason").is_not_null())
    gone = pl.concat([shown.filter(pl.col("reason").is_not_null()), copies.select(shown.columns)])
    gone = pl.concat([gone, conversation.dropped(without(shown, gone).drop(VERDICT), maps).select(gone.columns)])
    found: dict = {}
    for step in filter(corpus_step.is_corpus, steps.values()):
        left = without(shown, gone).drop(VERDICT).with_columns(conversation.asked(without(frame, gone)))
        judged, told = corpus_step.judged(step, left)
        gone, found = pl.concat([gone, judged.filter(pl.col("reason").is_not_null()).select(gone.columns)]), found | told
    return without(frame, gone), gone.with_columns(step=pl.lit(name)).sort("id"), found


def without(frame: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `frame` whose id is not in `gone`."""
    return frame.filter(~pl.col("id").is_in(gone["id"].implode()))
