"""Run the steps of a curation over documents of any size: passes over shards, and between two passes the verdicts of a corpus step."""

import functools
import json
import shutil
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.curation import corpus_step, shard_pass
from fmcycle.curation.shard_pass import LINES, Pass, Work
from fmcycle.errors import InputError
from fmcycle.source import reader
from fmcycle.tables import schema
from fmcycle.tracking import notebook

NARROWED = 1 << 12  # documents whose settled lines are in memory at the same time


def walk(work: Work, units: list[reader.Unit], executor, max_bad_rows: int | None) -> tuple[list[dict], dict]:
    """(figures of every shard after the last pass, findings of corpus steps by name). A killed run resumes with its finished shards.
    Raises InputError if more than `max_bad_rows` rows can't be read."""
    same_plan(work, units)
    steps = shard_pass.cut(work.steps)
    shards = begin(work, steps[0], units, executor, max_bad_rows)
    work = replace(work, given=given(shards))
    if not (work.folder / "ids").is_file():
        found = settled(work, shard_pass.UNIQUE, shards, (0, "ids"), work.folder / "0", executor)
        shard_pass.save(found, work.folder / "ids", LINES)
    findings = {}
    for step in steps[1:]:
        if step.settled:
            findings[step.settled] = decide(work, step, shards, executor)
        shards = onward(work, step, shards, executor)
        for kind in ("kept", "sketch"):
            for file in (work.folder / str(step.number - 1)).glob(f"*.{kind}"):
                file.unlink()
    return shards, findings


def given(shards: list[dict]) -> frozenset[str]:
    """The tables whose rows declare a split. Raises InputError if only some rows of a table declare one."""
    found = set()
    for kind in schema.READ:
        splits = sum((Counter(about["splits"].get(kind, {})) for about in shards), Counter())
        if not {*splits} - {"", "train"}:  # if all rows declare train, fmcycle splits them itself
            continue
        if splits[""]:
            own = ", ".join(f"{rows:,} {name}" for name, rows in sorted(splits.items()) if name)
            raise InputError(
                f"{kind}: {own} by a declared split (a column `split`, a file's name), and {splits['']:,} rows without one: "
                "test rows could be trained on. Declare a split for all rows, or split all of them anew with source.split=ours"
            )
        found.add(kind)
    return frozenset(found)


def same_plan(work: Work, units: list[reader.Unit]) -> None:
    """Delete the folder's shards if they were made of other units or steps."""
    plan = {"units": artifact.digest_of([repr(unit) for unit in units]), "steps": [*work.steps]}
    file = work.folder / "plan.json"
    if not file.is_file() or json.loads(file.read_text()) != plan:
        shutil.rmtree(work.folder, ignore_errors=True)
        atomic.write_json(file, plan)


def begin(work: Work, step: Pass, units: list[reader.Unit], executor, max_bad_rows: int | None) -> list[dict]:
    """The first pass over all units; the figures of the shards in the order of the input."""
    items = [(f"{place:06d}", some) for place, some in enumerate(together(units, work.bytes))]
    shards: list[dict] = []
    bad = 0
    for figures in ran(work, functools.partial(shard_pass.first, work, step), items, lambda item: item[0], step, executor):
        shards += figures
        bad += sum(about["quarantined"] for about in figures)
        if max_bad_rows is not None and bad > max_bad_rows:
            file = work.folder.parent / "quarantine.jsonl"
            atomic.write_text(file, "".join(quarantine(work, shards)))
            raise InputError(
                f"more rows than max_bad_rows={max_bad_rows} can't be read, {bad} so far: {file} names file, line and reason of each; "
                "correct them, or raise max_bad_rows"
            )
    return shards


def together(units: list[reader.Unit], bytes: int) -> Iterator[list[reader.Unit]]:
    """Group units to at least `bytes`, so that many small files do not make many shards."""
    held, size = [], 0
    for unit in units:
        held.append(unit)
        size += unit.end - unit.begin
        if size >= bytes:
            yield held
            held, size = [], 0
    if held:
        yield held


def quarantine(work: Work, shards: list[dict]) -> Iterator[str]:
    """The lines of quarantine.jsonl, shard by shard."""
    for about in shards:
        if about["quarantined"]:
            yield work.file(0, about["name"], "quarantine").read_text()


def onward(work: Work, step: Pass, shards: list[dict], executor) -> list[dict]:
    """A later pass over all shards; the new figures of each."""
    return list(ran(work, functools.partial(shard_pass.again, work, step), shards, lambda about: about["name"], step, executor))


def ran(work: Work, function: Callable, items: list, name: Callable, step: Pass, executor) -> Iterator:
    """function(item) of every item, in order; the result of an item that is already done is read from its NAME.json."""
    files = [work.folder / str(step.number) / f"{name(item)}.json" for item in items]
    done = [file.is_file() for file in files]
    fresh = executor.map(function, [item for item, known in zip(items, done, strict=True) if not known])
    started, rows, size = time.monotonic(), 0, 0
    steps = ", ".join([*filter(None, [step.settled]), *step.mapped, *filter(None, [step.sketched])])
    name_of_pass = f"pass {step.number + 1} ({steps or 'ids'})"
    page = notebook.Bar(name_of_pass, len(items)) if notebook.inside() else None
    with bar() as progress:
        task = progress.add_task(name_of_pass, total=len(items), speed="")
        for number, (file, known) in enumerate(zip(files, done, strict=True), 1):
            figures = json.loads(file.read_text()) if known else next(fresh)
            if not known:
                for about in figures if isinstance(figures, list) else [figures]:
                    rows, size = rows + about["rows"], size + about["bytes"]
            rate = size / 1e6 / max(time.monotonic() - started, 1e-3)
            speed = f"{rows:,} documents {rate:,.1f} MB/s"
            progress.update(task, advance=1, speed=speed)
            if page:
                page.update(number, speed)
            yield figures


def bar() -> Progress:
    """A progress bar on stderr: shards done, documents, MB/s and the remaining time; none in a notebook, which has its own."""
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=notebook.inside())


def settled(work: Work, step, shards: list[dict], sketches: tuple[int, str], folder: Path, executor) -> pl.DataFrame:
    """Settle all parts of a corpus step, from the sketches of all shards."""
    files = [work.file(sketches[0], about["name"], sketches[1]) for about in shards]
    parts = range(step.parts) if sketches[1] == "ids" else sorted({part for about in shards for part in about["parts"]}) or [0]
    found = list(executor.map(functools.partial(shard_pass.settle, step, files, folder), parts))
    if hasattr(step, "narrow"):
        found = list(executor.map(functools.partial(shard_pass.narrow, step, found, folder), [*ranges(shards)]))
    return corpus_step.gathered([pl.read_parquet(file) for file in found])


def ranges(shards: list[dict]) -> Iterator[tuple[int, int]]:
    """(first, last) row of the documents in groups of consecutive shards; at least one range."""
    full = [about for about in shards if about["low"] <= about["high"]] or shards[:1]
    begin = held = 0
    for place, about in enumerate(full, 1):
        held += about["rows"]
        if held >= NARROWED or place == len(full):
            yield full[begin]["low"], about["high"]
            begin, held = place, 0


def decide(work: Work, step: Pass, shards: list[dict], executor) -> dict:
    """Write the verdicts of the corpus step between two passes; returns its findings."""
    file, told = work.folder / f"verdicts-{step.number}", work.folder / f"findings-{step.number}.json"
    if not told.is_file():
        judge = work.steps[step.settled]
        lines = settled(work, judge, shards, (step.number - 1, "sketch"), work.folder / str(step.number), executor)
        fetch = fetcher(work, step.number - 1, shards)
        shard_pass.save(corpus_step.named(judge.verdicts(lines, fetch), fetch), file, LINES)
        atomic.write_json(told, judge.findings(lines) if hasattr(judge, "findings") else {})
    return json.loads(told.read_text())


def fetcher(work: Work, number: int, shards: list[dict]) -> corpus_step.Fetch:
    """fetch(rows) -> documents after pass `number`, sorted by row."""
    full = [about for about in shards if about["low"] <= about["high"]]
    lows = [about["low"] for about in full]

    def fetch(rows: pl.Series) -> pl.DataFrame:
        wanted: dict[int, list[int]] = {}
        for row in rows.unique().sort().to_list():
            wanted.setdefault(bisect_right(lows, row) - 1, []).append(row)
        found = [pl.DataFrame(schema=dict.fromkeys(corpus_step.ASKED, pl.String) | {"row": pl.UInt64})]
        for place, some in wanted.items():
            near = pl.col("row").is_between(some[0], some[-1]) & pl.col("row").is_in(pl.Series(some, dtype=pl.UInt64).implode())
            file = work.file(number, full[place]["name"], "kept")
            part = pl.scan_parquet(file, glob=False).filter(near).select(corpus_step.ASKED).collect()
            # copied, because a filtered column keeps the text of the whole shard in memory
            part = pl.DataFrame(part.to_dict(as_series=False), schema=part.schema)
            found.append(shard_pass.renamed(work, part, full[place]) if number == 0 else part)
        return pl.concat(found)

    return fetch
