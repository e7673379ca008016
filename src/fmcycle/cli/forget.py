"""`fmcycle forget`: lists everything that holds a source or a matching text; `--apply` removes it from the sources for good."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import provenance, vouched
from fmcycle.cli import verbs
from fmcycle.errors import InputError
from fmcycle.source import erase

LIST = Path("erased.jsonl")


@dataclass
class Found:
    """The matching rows of the raw data, by id and by digest, counted by file; and the artifacts that hold them."""

    sources: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)  # table and id
    files: dict[str, int] = field(default_factory=dict)
    held: list[tuple[str, str]] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)  # curated tables that hold such a row


def main(arguments: list[str]) -> int:
    """Run the verb. Changes nothing without --apply."""
    given = verbs.parse("forget", arguments)
    how = next(name for name in ("source", "match", "regex") if getattr(given, name) is not None)
    what = getattr(given, how)
    found = search(how, what, Path("data"))
    if not found.files:
        print(f"nothing under data/ {'is of the source' if how == 'source' else 'holds'} {what}")
        return 0
    holders(found)
    if how != "source":
        found.held += said(re.compile(what if how == "regex" else re.escape(what), re.I))
    for where, rows in [*((f"data/{name}", f"{rows:,} rows") for name, rows in found.files.items()), *found.held]:
        print(f"{where}: {rows}")
    print(f"stages to run again: {', '.join(reruns(found.tables)) or 'nothing'}")
    if not given.apply:
        print("nothing was changed; --apply removes it from sources/ and data/")
        return 0
    new = erase.add(LIST, found.sources, found.digests)
    print(f"{LIST}: {new} new lines, without text; commit it: collect drops the rows that it names, even if a source brings them again")
    if Path("dvc.yaml").is_file() and subprocess.run([sys.executable, "-m", "dvc", "repro", "data.dvc"]).returncode:
        raise InputError("`dvc repro data.dvc` failed, see above; repair it and run it again: the list is written")
    print("now run `dvc repro`, `fmcycle deploy`, and `dvc gc --workspace` (with `-c` for a remote), which deletes the earlier versions")
    return 0


def search(how: str, what: str, folder: Path) -> Found:
    """Return the matching rows of the raw data, and the rows of other tables that ask about a matching document."""
    if not folder.is_dir():
        raise InputError(f"{folder}: not there; run `dvc repro data.dvc` or `dvc pull` first")
    try:
        pattern = re.compile(what if how == "regex" else re.escape(what), re.I)
    except re.error as error:
        raise InputError(f"fmcycle forget --regex {what}: {error}") from None
    found = Found(sources={what} if how == "source" else set())

    def judge(rows: pl.DataFrame) -> pl.Series:
        if how == "source":
            return rows["source"] == what
        return pl.Series([bool(pattern.search(text)) for text in rows["text"]], dtype=pl.Boolean)

    for units, tables, meant in erase.matches(folder, judge):
        take(found, units[0].file, tables, meant)
    for units, tables, _ in erase.matches(folder, lambda rows: pl.repeat(True, rows.height, eager=True)) if found.ids else ():
        asks = {kind: frame["document"].is_in(list(found.ids)) for kind, frame in tables.items() if "document" in frame.columns}
        take(found, units[0].file, tables, {kind: each for kind, each in asks.items() if each.any()})
    return found


def take(found: Found, file: str, tables: dict[str, pl.DataFrame], meant: dict[str, pl.Series]) -> None:
    """Add the matching rows of one file to `found`. meant: {table: mask of its rows}."""
    for kind, each in meant.items():
        rows = tables[kind].filter(each)
        fresh = {f"{kind} {name}" for name in rows["id"]} - found.seen
        if fresh:
            found.files[file] = found.files.get(file, 0) + len(fresh)
        found.seen |= fresh
        found.ids |= set(rows["id"])
        if not found.sources:
            found.digests |= {erase.digest(text) for text in erase.texts(rows)}


def holders(found: Found) -> None:
    """Add the curated tables, token shards and artifacts that hold the rows; list those of dvc.lock that are not here too.

    Raises InputError if the origin of an artifact is unknown: the list would be too short.
    """
    entries, unknown = provenance.entries()
    if unknown:
        raise InputError(provenance.untold(unknown))
    outs = {out: entry["stage"] for entry in entries for out in entry["outs"]}
    reached: set[str] = set()
    for file in tables(outs):
        if rows := held_in(file, found.ids):
            found.held.append((str(file), f"{rows:,} rows"))
            if file.stem != "dropped":
                around = [str(parent) for parent in (file, *file.parents) if str(parent) in outs or parent == file]
                reached |= {*around, artifact.digest(file)}
                found.tables |= {str(file)}
    gone = vouched.missing()
    for out, stage in gone.items():
        if stage in ("curate", "collect"):
            found.held.append((out, f"not here; run `dvc pull {pulled(out, stage)}` to know what it holds"))
            found.tables |= {path for path in (out, *outs) if path == out or path.startswith(f"{out}/")}
    for entry in descendants(reached | found.tables, entries, paths=True):
        for out in sorted(filter(may_hold, entry["outs"])):
            away = "; not here, but dvc.lock names it" if out in gone else ""
            if away or Path(out).exists():
                found.held.append((out, f"made by {entry['stage']} from data that holds it{away}"))
    found.held = list(dict.fromkeys(found.held))
    served(found, entries)


def may_hold(out: str) -> bool:
    """True if an out may hold texts, or weights trained on them; figures and curves hold neither."""
    return Path(out, "manifest.json").is_file() or not Path(out).suffix or (Path(out).suffix in (".jsonl", ".html") and not inside(out))


def inside(out: str) -> bool:
    """True if an out is a file of an artifact folder, which is listed as a whole."""
    return any((parent / "manifest.json").is_file() for parent in Path(out).parents)


def tables(outs: dict[str, str]) -> list[Path]:
    """Return every Parquet file that a stage wrote, except the raw data: those below artifacts/ and runs/, and those among `outs`."""
    below = [file for root in ("artifacts", "runs") for file in sorted(Path(root).rglob("*.parquet"))]
    named = [Path(out) for out in sorted(outs) if out.endswith(".parquet") and Path(out).parts[0] not in ("data", "sources")]
    return list(dict.fromkeys([*below, *filter(Path.is_file, named)]))


def pulled(out: str, stage: str) -> str:
    """Return the name under which `dvc pull` knows an out."""
    return "data.dvc" if out == "data" else stage


def served(found: Found, entries: list[dict]) -> None:
    """Add the deployed model if it was made from data that holds the rows, or if its origin is unknown."""
    current = Path("deployed.json")
    if not current.is_file():
        return
    tag = json.loads(current.read_text()).get("current")
    package = Path("deployed") / str(tag) / "package.json"
    model = json.loads(package.read_text()).get("model") if package.is_file() else None
    makers = [out for entry in entries for out, digest in entry["outs"].items() if digest == model]
    if not makers or {out for out, _ in found.held} & {*makers, "artifacts/package"}:
        found.held.append((str(current), "the deployed model stays until a new package passes its gate"))


def said(pattern: re.Pattern) -> list[tuple[str, str]]:
    """Return (file, what to do) of feedback that matches; collect takes feedback unchanged."""
    found = []
    for file in [*sorted(Path("feedback/snapshots").glob("*.parquet")), *Path("data").glob("*/feedback.parquet")]:
        rows = sum(bool(pattern.search(json.dumps(row, ensure_ascii=False, default=str))) for row in pl.read_parquet(file).to_dicts())
        if rows:
            found.append((str(file), f"{rows:,} rows, which stay: delete them from the feedback store and its snapshots yourself"))
    return found


def held_in(file: Path, ids: set[str]) -> int:
    """Return how many rows of a Parquet file have one of `ids`, with or without the number of a copy ("~2")."""
    frame = pl.scan_parquet(file)
    if "id" not in frame.collect_schema().names():
        return 0
    base = pl.col("id").str.replace(r"~\d+$", "")
    return frame.filter(base.is_in(list(ids)) | pl.col("id").is_in(list(ids))).select(pl.len()).collect().item()


def descendants(reached: set[str], entries: list[dict], *, paths: bool = False) -> list[dict]:
    """Return the provenances of everything that was made from these digests, directly or through other artifacts.

    paths: a stage that read a path which one of them wrote counts too, even if the path had other content by then.
    """
    reached, made = set(reached) - {provenance.EMPTY}, []
    while fresh := [
        e for e in entries if e not in made and any(reached & {given["digest"], given["path"]} for given in e["inputs"].values())
    ]:
        made += fresh
        reached |= {text for entry in fresh for out in entry["outs"].items() for text in (out if paths else out[1:])} - {provenance.EMPTY}
    return made


def reruns(tables: set[str]) -> list[str]:
    """Return the stages of dvc.yaml, in its order, that read the raw data, one of these curated tables, or an out of such a stage."""
    if not Path("dvc.yaml").is_file():
        return []
    changed, found = {"erased.jsonl", *tables}, []
    for name, stage in yaml.safe_load(Path("dvc.yaml").read_text())["stages"].items():
        deps = [next(iter(dep)) if isinstance(dep, dict) else dep for dep in stage.get("deps", [])]
        if name != "curate" and not any(dep == path or path.startswith(f"{dep}/") for dep in deps for path in changed):
            continue
        found.append(name)
        outs = [next(iter(out)) if isinstance(out, dict) else out for kind in ("outs", "metrics") for out in stage.get(kind, [])]
        changed |= {*outs, "data"} if name == "collect" else set() if name == "curate" else set(outs)
    return found
