"""Text that a model writes from seed documents: paraphrases, or questions with their answers, each row with its provenance."""

import datetime
import json
import re
import sys
from pathlib import Path
from typing import Literal, Protocol

import polars as pl
from rich.console import Console

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.artifact.wheel import cache
from fmcycle.errors import InputError
from fmcycle.model.inputs import batched
from fmcycle.ranges import ExistingPath, Fraction, PositiveInt
from fmcycle.source import reader
from fmcycle.source.choice import sample
from fmcycle.source.local import write_record
from fmcycle.source.readable import readable
from fmcycle.tables import schema

PROVENANCE = {"model": pl.String, "seed": pl.String, "prompt": pl.String}  # generator, id of the seed, digest of the prompt
PAIR = re.compile(r"\s*Question:\s*(?P<question>.+?)\s*\n\s*Answer:\s*(?P<answer>.+)", re.S)
BATCH = 32


class Generate(Protocol):
    """(prompts) -> answers, with a name and the settings that an answer depends on."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> dict: ...
    def __call__(self, prompts: list[str]) -> list[str]: ...


def synthetic(
    folder: str | Path,
    *,
    seeds: ExistingPath,
    generate: Generate,
    prompt: str,
    kind: Literal["instructions", "documents"] = "instructions",
    count: PositiveInt = 1000,
    share: Fraction = 0.5,
    longest: PositiveInt = 4000,
    licence: str = "unknown",
) -> None:
    """Write rows that `generate` makes of the documents under `seeds`, and the licence record.

    prompt: {text} stands for the seed; for instructions it must ask for "Question: ..." and "Answer: ...". count: number of seeds, those
    whose id has the smallest digest. share: the largest share of synthetic rows among all rows of this kind in the folders beside `folder`,
    into which collect writes every other source first; fewer rows are made to keep to it. longest: characters of a seed.
    A row has its seed's group, so that both are in the same split. Answers are cached: a second run generates none of them again.
    Raises InputError if there are no seeds, or the prompt lacks {text}.
    """
    folder = Path(folder)
    if seeds is None or not Path(seeds).exists():
        raise InputError(f"source {folder.name}: no seeds at {seeds}; name a folder or file of documents with inputs.seeds=PATH")
    if "{text}" not in prompt:
        raise InputError(f"source.{folder.name}.prompt: lacks {{text}}, the place of the seed; add it")
    found = reader.read(seeds).table("documents").unique("id", keep="first", maintain_order=True)  # a row is named after its seed
    rows = found.filter(pl.col("origin") != "synthetic").to_dicts()
    whole, synthetic = counted(folder.parent, kind)
    allowed = most(whole, synthetic, share)
    wanted = min(count, len(rows))
    chosen = sample(rows, min(wanted, allowed), lambda row: row["id"])
    if not chosen:
        raise InputError(
            f"source {folder.name}: no document in {seeds}, or share {share} allows none beside the {whole} {kind} of all sources, "
            f"{synthetic} of them synthetic; name another folder or raise source.{folder.name}.share"
        )
    answers = asked([prompt.replace("{text}", row["text"][:longest]) for row in chosen], generate)
    made = [entry for row, answer in zip(chosen, answers, strict=True) if (entry := row_of(row, answer, kind, folder.name, generate.name))]
    frame = pl.DataFrame(
        [schema.DEFAULT | {"source": folder.name, "licence": licence, "origin": "synthetic"} | entry for entry in made],
        schema={**schema.SCHEMA[kind], **({} if "time" in schema.SCHEMA[kind] else {"time": pl.String}), **PROVENANCE},
    )
    schema.write_parquet(frame.sort("id"), folder / f"{kind}.parquet")
    limited = f"; the limit of {share:.0%} beside {whole} {kind} of all sources allows {allowed} of {wanted}" if allowed < wanted else ""
    note = f"{len(made)} {kind} of {len(chosen)} answers by {generate.name} could be used{limited}"
    write_record(folder, licence, "synthetic", note=note)
    Console(stderr=True, force_jupyter=False).print(f"source {folder.name}: {note}")


def counted(folder: Path, kind: str) -> tuple[int, int]:
    """(number of rows of one table, number of synthetic ones among them) under a folder."""
    origins = [read.tables[kind]["origin"] for unit in reader.units(folder) for read in reader.frames(unit) if kind in read.tables]
    return sum(map(len, origins)), sum(int((origin == "synthetic").sum()) for origin in origins)


def most(rows: int, synthetic: int, share: float) -> int:
    """How many synthetic rows can be added until they are `share` of all rows."""
    return sys.maxsize if share >= 1 else max(0, int((rows * share - synthetic) / (1 - share) + 1e-9))


def row_of(seed: dict, answer: dict, kind: str, source: str, model: str) -> dict | None:
    """A row with its provenance; None if the answer can't be used."""
    common = {"id": f"{source}/{seed['id']}", "group": seed["group"], "time": answer["time"]}
    common |= {"model": model, "seed": seed["id"], "prompt": answer["prompt"]}
    problem, text = readable(answer["answer"])
    if problem:
        return None
    if kind == "documents":
        return None if text.strip() == seed["text"].strip() else common | {"text": text.strip(), "domain": seed["domain"]}
    pair = PAIR.match(text)
    if not pair:
        return None
    return common | {"messages": schema.ask(pair["question"], pair["answer"].strip()), "task": "synthetic", "document": seed["id"]}


def asked(prompts: list[str], generate: Generate) -> list[dict]:
    """{"prompt" (its digest), "answer", "time"} of each prompt, from the cache; missing answers are generated and cached."""
    file = cache().with_name("synthetic") / f"{artifact.digest_of(generate.settings)[:32]}.jsonl"
    with atomic.lock(file):
        known = kept(file)
        digests = [artifact.digest_of(prompt) for prompt in prompts]
        missing = [(digest, prompt) for digest, prompt in zip(digests, prompts, strict=True) if digest not in known]
        missing = list(dict(missing).items())
        for batch in batched(missing, BATCH):
            answers = generate([prompt for _, prompt in batch])
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            entries = [{"prompt": digest, "answer": answer, "time": now} for (digest, _), answer in zip(batch, answers, strict=True)]
            append(file, entries)
            known |= {entry["prompt"]: entry for entry in entries}
    return [known[digest] for digest in digests]


def kept(file: Path) -> dict[str, dict]:
    """Cached answers by the digest of their prompt; a last line that a killed run cut short is skipped."""
    found = {}
    for line in file.read_bytes().split(b"\n") if file.is_file() else []:
        try:
            entry = json.loads(line)
            found[entry["prompt"]] = {name: str(entry[name]) for name in ("prompt", "answer", "time")}
        except (ValueError, KeyError, TypeError):
            continue
    return found


def append(file: Path, entries: list[dict]) -> None:
    """Append entries to the cache as whole lines; a line that a killed run cut short is ended first."""
    old = file.read_bytes() if file.is_file() else b""
    end = b"\n" if old and not old.endswith(b"\n") else b""
    atomic.write_bytes(file, old + end + b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
