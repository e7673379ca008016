"""The work of one process: on a unit of the input, on a shard of documents, or on one part of a corpus step's sketches."""

import functools
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from fmcycle.artifact import atomic
from fmcycle.curation import corpus_step, ids, profile
from fmcycle.source import reader
from fmcycle.tables import schema

Step = Callable[[pl.DataFrame], pl.DataFrame]
UNIQUE = ids.Unique()
DROPPED = schema.READ["documents"] | {"row": pl.UInt64} | dict.fromkeys((*corpus_step.VERDICT, "step"), pl.String)
HELD = ("instructions", "preferences", "prompts")  # tables that are sorted and compared in memory
ROWS, LINES = 1024, 1 << 14  # size of a row group: of documents, which are fetched singly; of sketches and verdicts


@dataclass(frozen=True)
class Pass:
    """One pass over the shards: apply the verdicts of the corpus step `settled`, run the steps `mapped` row by row, and make the sketch for
    the corpus step `sketched`. The last pass also splits."""

    number: int
    settled: str | None = None
    mapped: tuple[str, ...] = ()
    sketched: str | None = None
    last: bool = False


def cut(steps: dict) -> list[Pass]:
    """The passes over the documents; at least two, as ids are made unique between the first and the second."""
    passes = [Pass(0)]
    for name, step in steps.items():
        if corpus_step.is_corpus(step):
            passes[-1] = replace(passes[-1], sketched=name)
            passes.append(Pass(len(passes), settled=name))
        else:
            passes[-1] = replace(passes[-1], mapped=(*passes[-1].mapped, name))
    if len(passes) == 1:
        passes.append(Pass(1))
    passes[-1] = replace(passes[-1], last=True)
    return passes


@dataclass(frozen=True)
class Work:
    """The settings of every worker: the folder of the shards, the steps for documents by name, and how to split.

    Files in the folder: K/SHARD.KIND, the result of pass K for a shard; kinds are kept, dropped, sketch, sums (of the profile) and the
    names of tables; its figures SHARD.json are written last. K/part-N, verdicts-K: a corpus step's result between the passes K - 1 and K;
    ids: the same for ids.
    """

    folder: Path
    steps: dict
    split: Step
    bytes: int = 16 << 20  # text of a shard; no result depends on it
    given: frozenset[str] = frozenset()  # tables whose rows keep the split that they declare

    def divided(self, kind: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of a table with their split as the last column."""
        return self.split(frame if kind in self.given else frame.drop("split"))

    def file(self, number: int, name: str, kind: str) -> Path:
        """A file of one shard after one pass."""
        return self.folder / str(number) / f"{name}.{kind}"

    def last(self, name: str, kind: str) -> Path:
        """A file of one shard after the last pass."""
        return self.file(len(cut(self.steps)) - 1, name, kind)


def save(frame: pl.DataFrame, path: Path, group: int) -> None:
    """Write a frame durably and in a form that is fast to read; `group`: rows that are read together."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="lz4", row_group_size=group)
    atomic.write_bytes(path, buffer.getvalue())


def first(work: Work, step: Pass, item: tuple[str, list[reader.Unit]]) -> list[dict]:
    """The first pass over some units of the input: writes their shards, and returns the figures of these in order."""
    label, units = item
    figures = []
    for place, reads in enumerate(portions(reader.frames(*units), work.bytes)):
        name = f"{label}-{place:05d}"
        tables = {kind: pl.concat([read.tables[kind] for read in reads if kind in read.tables] or [numbered(kind)]) for kind in schema.READ}
        documents = tables["documents"]
        for kind, frame in tables.items():
            if kind != "documents" and frame.height:
                save(frame, work.file(0, name, kind), ROWS)
        save(UNIQUE.sketch(documents).sort("part", maintain_order=True), work.file(0, name, "ids"), LINES)
        lines = [json.dumps(entry, ensure_ascii=False) + "\n" for read in reads for entry in read.quarantine]
        atomic.write_text(work.file(0, name, "quarantine"), "".join(lines))
        low, high = (documents["row"].min(), documents["row"].max()) if documents.height else (1, 0)
        about: dict = {"name": name, "low": low, "high": high, "quarantined": len(lines), "bytes": profile.size(documents)}
        about |= {"read": sum(read.read for read in reads), "tables": {kind: frame.height for kind, frame in tables.items()}}
        about |= {name: dict(sum((getattr(read, name) for read in reads), Counter())) for name in ("shapes", "unread")}
        about["splits"] = {kind: profile.counts(frame, "split") for kind, frame in tables.items() if frame.height}
        about["held"] = sum(int(tables[kind].estimated_size()) for kind in HELD)
        figures.append(advance(work, step, about, documents))
    atomic.write_json(work.folder / "0" / f"{label}.json", figures)
    return figures


def portions(reads: Iterable[reader.Read], bytes: int) -> Iterator[list[reader.Read]]:
    """Group what was read into portions of at least `bytes`."""
    held, size = [], 0
    for read in reads:
        held.append(read)
        size += sum(int(frame.estimated_size()) for frame in read.tables.values())
        if size >= bytes:
            yield held
            held, size = [], 0
    if held:
        yield held


def numbered(kind: str) -> pl.DataFrame:
    """An empty frame with the columns of a table as the reader returns it."""
    return pl.DataFrame(schema=schema.READ[kind] | {"row": pl.UInt64})


def again(work: Work, step: Pass, about: dict) -> dict:
    """A later pass over one shard; returns its new figures. about: its figures after the pass before."""
    frame = pl.read_parquet(work.file(step.number - 1, about["name"], "kept"))
    if step.number == 1:
        frame = renamed(work, frame, about)
    return advance(work, step, about, frame)


def advance(work: Work, step: Pass, about: dict, frame: pl.DataFrame) -> dict:
    """Run the steps of one pass over a shard and save the result; returns its figures."""
    name = about["name"]
    frame, dropped, sums = stepped(work, step, about, frame)
    figures = about | {"rows": frame.height, "parts": []}
    if step.sketched:
        sketch = work.steps[step.sketched].sketch(frame).sort("part", maintain_order=True)
        figures["parts"] = sketch["part"].unique().sort().to_list()
        save(sketch, work.file(step.number, name, "sketch"), LINES)
    if step.last:
        earlier = [pl.read_parquet(work.file(number, name, "dropped")) for number in range(step.number)]
        dropped = work.divided("documents", renamed(work, pl.concat([*earlier, dropped]), about).sort("row"))
        frame = work.divided("documents", frame)
        sums += [profile.of_table("documents", frame), shown(dropped)]
    save(frame, work.file(step.number, name, "kept"), ROWS)
    save(dropped, work.file(step.number, name, "dropped"), ROWS)
    atomic.write_json(work.file(step.number, name, "sums"), profile.merge(sums))
    atomic.write_json(work.file(step.number, name, "json"), figures)
    return figures


def stepped(work: Work, step: Pass, about: dict, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, list[dict]]:
    """(kept, dropped, sums for the profile) of a shard after the steps of one pass."""
    steps: dict[str, Step] = {name: work.steps[name] for name in step.mapped}
    if step.settled:
        found = verdicts(work, f"verdicts-{step.number}", about)
        steps = {step.settled: functools.partial(corpus_step.apply, work.steps[step.settled], found=found)} | steps
    gone, sums = [pl.DataFrame(schema=DROPPED)], []
    for name, function in steps.items():
        after = function(frame)
        if not after["row"].equals(frame["row"]):
            raise ValueError(f"curation.{name}: a step returns the rows that it got, in their order, and sets `reason` to drop one")
        if "reason" not in after.columns:
            after = after.with_columns(pl.lit(None, pl.String).alias(column) for column in corpus_step.VERDICT)
        sums.append(profile.of_shard(name, frame, after))
        sums[-1].pop("dropped_examples")  # shown when ids and splits are final
        frame, lost = parted(after, name)
        gone.append(lost)
    return frame, pl.concat(gone), sums


def parted(after: pl.DataFrame, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split the result of the step `name` into (kept, dropped)."""
    lost = after.filter(pl.col("reason").is_not_null()).with_columns(step=pl.lit(name))
    return corpus_step.plain(after.filter(pl.col("reason").is_null())), lost.select(
        pl.col(column).cast(kind) for column, kind in DROPPED.items()
    )


def shown(dropped: pl.DataFrame) -> dict:
    """Examples of dropped rows for the profile."""
    parts = [profile.of_dropped(part["step"][0], part) for part in dropped.partition_by("step")]
    return profile.merge({"dropped_examples": part["dropped_examples"]} for part in parts)


def verdicts(work: Work, file: str, about: dict) -> pl.DataFrame:
    """The verdicts on the rows of one shard, from a file of verdicts."""
    return pl.scan_parquet(work.folder / file, glob=False).filter(pl.col("row").is_between(about["low"], about["high"])).collect()


def renamed(work: Work, frame: pl.DataFrame, about: dict) -> pl.DataFrame:
    """The rows of a shard with their unique ids."""
    return UNIQUE.apply(frame, verdicts(work, "ids", about))


def settle(step, files: list[Path], folder: Path, part: int) -> Path:
    """Settle one part of a corpus step from the sketches of all shards; returns the file with the result."""
    file = folder / f"part-{part:05d}"
    if not file.is_file():
        lines = pl.scan_parquet(files, glob=False).filter(pl.col("part") == part).collect().sort("row", maintain_order=True)
        save(step.settle(lines), file, LINES)
    return file


def narrow(step, files: list[Path], folder: Path, rows: tuple[int, int]) -> Path:
    """Narrow the settled lines of all parts on some rows; returns the file with the result."""
    file = folder / f"rows-{rows[0]:020d}"
    if not file.is_file():
        lines = pl.scan_parquet(files, glob=False).filter(pl.col("row").is_between(*rows)).collect()
        save(step.narrow(lines), file, LINES)
    return file
