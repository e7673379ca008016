"""`fmcycle trace`: follows a document from its source into the models, lists what a rule dropped, or compares two versions of the data."""

import hashlib
from pathlib import Path

import polars as pl
from rich.console import Console

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import provenance, vouched
from fmcycle.cli import verbs
from fmcycle.cli.forget import descendants
from fmcycle.config.build import build
from fmcycle.curation import corpus_step, ids
from fmcycle.errors import InputError
from fmcycle.source import reader

TABLES = ("documents", "instructions", "preferences", "prompts", "examples", "dropped")
BASE = ("source", "licence", "group", "domain", "time", "type", "origin", "language", "split")
SAMPLED = 5
SHOWN = 300  # characters of a text


def main(arguments: list[str]) -> int:
    """Run the verb."""
    words = verbs.parse("trace", arguments).words
    chosen = [text for text in words if text.startswith("curate=")]
    rest = [text for text in words if text not in chosen]
    curate = Path(chosen[-1].split("=", 1)[1] if chosen else "artifacts/curate")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if len(rest) == 2 and rest[0] == "doc":
        lines = document(rest[1], curate)
    elif len(rest) == 2 and rest[0] == "rule":
        lines = rule(rest[1], curate)
    elif len(rest) == 3 and rest[0] == "diff":
        lines = diff(Path(rest[1]), Path(rest[2]))
    else:
        raise InputError(f"{verbs.usage('trace')}fmcycle trace: needs `doc ID`, `rule NAME` or `diff A B`")
    for line in lines:
        console.print(line)
    return 0


def document(name: str, curate: Path) -> list[str]:
    """Return a document's source file and place, every step's verdict, shards, models. Raises InputError if no table has this id."""
    if not curate.is_dir():
        raise InputError(f"{curate}: not there; run `dvc pull curate` or `dvc repro curate`, or name another with curate=FOLDER")
    held = [(table, row) for table in TABLES for row in rows(curate, table, pl.col("id") == name)]
    if not held:
        raise InputError(
            f"{name}: no row of {curate} has this id; `fmcycle trace rule NAME` shows ids, or name its folder with curate=FOLDER"
        )
    table, row = held[0]
    made = origin(curate)
    place = found_in(name, Path(made["inputs"]["data"]["path"]))
    lines = [f"{name}: in {curate / table}.parquet", "  " + ", ".join(f"{key} {row[key]}" for key in BASE if row.get(key))]
    why = "run `dvc pull data.dvc`" if not Path(made["inputs"]["data"]["path"]).exists() else "the folder has another version"
    lines.append(f"source       {place[0]}" if place else f"source       the raw data that curate read is not here: {why}")
    if place and (table == "documents" or (table == "dropped" and row["domain"] not in TABLES)):
        steps = made["section"]["curation"]
        lines += verdicts({name: steps[name] for name in made["section"]["order"]["curation"]}, place[1], row)
    elif row.get("reason"):
        lines.append(f"verdict      dropped: {row['reason']} ({row['rule']}: {row['value']})")
    if table != "dropped":
        lines += [f"shard        {line}" for line in shards(name, made, curate)]
        lines += [f"model        {line}" for line in models(made, curate, table, row.get("split"))]
    return lines


def rows(curate: Path, table: str, condition: pl.Expr) -> list[dict]:
    """Return the matching rows of one table of a curation; [] if it has no such table."""
    file = curate / f"{table}.parquet"
    return pl.scan_parquet(file).filter(condition).collect().to_dicts() if file.is_file() else []


def origin(curate: Path) -> dict:
    """Return the provenance of the curation in a folder. Raises InputError if it is unknown."""
    entries, unknown = provenance.entries()
    of_folder = [entry for entry in entries if any(Path(out).parent == curate for out in entry["outs"])]
    held = {out: artifact.digest(out) for out in (str(curate / f"{table}.parquet") for table in TABLES) if Path(out).is_file()}
    same = [entry for entry in of_folder if all(entry["outs"].get(out, digest) == digest for out, digest in held.items())]
    if same or (of_folder and not vouched.stages()):
        return (same or of_folder)[0]
    raise InputError(provenance.untold(unknown or [str(curate)]))


def found_in(name: str, data: Path) -> tuple[str, pl.DataFrame] | None:
    """Return (file and place, the row as read) of a row of the raw data, whose id curation may have numbered: "id~2"."""
    files: dict[int, reader.Unit] = {}
    held: dict[str, list[pl.DataFrame]] = {}
    wanted = pl.select(ids.stem(pl.lit(name))).item()
    for unit in reader.units(data) if data.is_dir() else []:
        files[unit.number] = unit
        for read in reader.frames(unit):
            for table, frame in read.tables.items():
                held.setdefault(table, []).append(frame.filter(ids.stem(pl.col("id")) == wanted))
    for parts in held.values():
        hit = corpus_step.whole(ids.Unique(), pl.concat(parts).sort("row")).filter(pl.col("id") == name)
        if hit.height:
            unit = files[hit["row"][0] >> 40]
            return f"{data / unit.file}, {place_of(unit, hit['row'][0])}", hit
    return None


def place_of(unit: reader.Unit, row: int) -> str:
    """Return the place in the lower bits of a row number: the byte in JSONL, the row in any other file."""
    place = row & ((1 << 40) - 1)
    return f"at byte {place:,}" if unit.file.endswith((".jsonl", ".ndjson")) else f"row {place + 1:,}"


def verdicts(steps: dict, frame: pl.DataFrame, row: dict) -> list[str]:
    """Return one line for each step: a step on single rows runs again, a step on the whole corpus has its recorded verdict."""
    lines: list[str] = []
    try:
        built = build(steps)
    except InputError as error:
        return [f"verdict      {row.get('reason') or 'kept'}; this code no longer has its steps: {error}"]
    for name, step in built.items():
        if row.get("step") == name:
            return [*lines, f"{name:<13}dropped: {row['reason']} ({row['rule']}: {row['value']})"]
        if corpus_step.is_corpus(step):
            lines.append(f"{name:<13}kept, among all documents")
            continue
        after = step(frame)
        counts = {column[6:]: after[column][0] for column in after.columns if column.startswith("count:") and after[column][0]}
        changed = f"text changed: {len(frame['text'][0]):,} -> {len(after['text'][0]):,} characters" if not same(frame, after) else "kept"
        lines.append(f"{name:<13}{changed}{''.join(f', {count} {kind}' for kind, count in counts.items())}")
        frame = after.select(pl.exclude("reason", "rule", "value", "^count:.*$"))
    return lines


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """True if both have the same text."""
    return one["text"][0] == other["text"][0]


def shards(name: str, made: dict, curate: Path) -> list[str]:
    """Return where the token shards that were made from this curation hold the document."""
    found, gone = [], vouched.missing()
    for entry in made_from(made, curate, "documents"):
        if entry["stage"] != "tokens":
            continue
        for file in sorted({Path(out) for out in entry["outs"] if out.endswith(".parquet") and Path(out).is_file()}):
            for row in pl.scan_parquet(file).filter(pl.col("id") == name).collect().to_dicts():
                found.append(f"{file.with_suffix('.npy')}: tokens {row['start']:,} to {row['start'] + row['length']:,}")
        found += [f"{out}: not here; run `dvc pull tokens` to know where it holds the document" for out in entry["outs"] if out in gone]
    return list(dict.fromkeys(found))


def models(made: dict, curate: Path, table: str, split: str | None) -> list[str]:
    """Return every model made from the table, and whether it was trained on the row's split."""
    how, gone = "trained on its table" if split == "train" else f"its table was read, but {split} is never trained on", vouched.missing()
    found: dict[str, str] = {}
    for entry in made_from(made, curate, table):
        for out in (out for out in entry["outs"] if out.endswith("/model") and (Path(out).exists() or out in gone)):
            identity = "from dvc.lock" if "lock" in entry else entry["identity"][:12]
            found.setdefault(out, f"{out} ({entry['stage']} {identity}): {how}{'; not here' if out in gone else ''}")
    return [found[out] for out in sorted(found)]


def made_from(made: dict, curate: Path, table: str) -> list[dict]:
    """Return the provenances of everything made from a table of this curation."""
    digest = made["outs"].get(f"{curate}/{table}.parquet")
    entries = {entry["identity"]: entry for some in provenance.find().values() for entry in some}
    return descendants({digest}, list(entries.values())) if digest else []


def rule(name: str, curate: Path) -> list[str]:
    """Return how many rows a step, reason or rule of this name dropped, by rule and source, and a fixed sample of them."""
    columns = pl.scan_parquet(curate / "dropped.parquet").collect_schema().names() if (curate / "dropped.parquet").is_file() else []
    keys = [column for column in ("step", "reason", "rule") if column in columns]
    if not keys:
        raise InputError(f"{curate}/dropped.parquet: not there; run `dvc repro curate`, or name another folder with curate=FOLDER")
    dropped = pl.scan_parquet(curate / "dropped.parquet")
    found = dropped.filter(pl.any_horizontal(pl.col(key) == name for key in keys) | pl.col("rule").str.starts_with(f"{name} ")).collect()
    if found.is_empty():
        known = dropped.select(keys).unique().collect()
        names = sorted({value for key in keys for value in known[key].drop_nulls()})
        raise InputError(f"{name}: dropped nothing; there are {', '.join(names) or 'no drops'}")
    counts = (
        found.group_by("reason", "rule", "source").len().sort("len", "reason", "rule", "source", descending=[True, False, False, False])
    )
    lines = [f"{count:,} rows of {source}: {reason} ({bound})" for reason, bound, source, count in counts.iter_rows()]
    order = pl.Series("order", [hashlib.sha256(each.encode()).hexdigest() for each in found["id"]])
    for row in found.with_columns(order).sort("order").head(SAMPLED).to_dicts():
        lines += ["", f"{row['id']}  {row['rule']}: {row['value']}", "  " + " ".join(row["text"][:SHOWN].split())]
    return lines


def diff(first: Path, second: Path) -> list[str]:
    """Return how two curations differ: documents that came, went and changed, by source, and the drops by reason."""
    both = []
    for folder in (first, second):
        if not (folder / "documents.parquet").is_file():
            raise InputError(
                f"{folder}/documents.parquet: not there; `dvc get . artifacts/curate --rev REVISION -o FOLDER` brings an older one"
            )
        both.append(pl.scan_parquet(folder / "documents.parquet").select("id", "source", digest=pl.col("text").hash(0)).collect())
    old, new = both
    joined = old.join(new, on="id", how="full", coalesce=True, suffix="_new").with_columns(source=pl.coalesce("source_new", "source"))
    state = (
        pl.when(pl.col("digest").is_null()).then(pl.lit("came"))
        .when(pl.col("digest_new").is_null()).then(pl.lit("went"))
        .when(pl.col("digest") != pl.col("digest_new")).then(pl.lit("changed"))
        .otherwise(pl.lit("same"))
    )  # fmt: skip
    joined = joined.with_columns(state=state)
    lines = [f"{old.height:,} documents in {first}, {new.height:,} in {second}"]
    for what, source, count in joined.group_by("state", "source").len().sort("state", "source").iter_rows():
        lines.append(f"{what:<9}{count:>9,}  {source}")
    went = joined.filter(pl.col("state") == "went")["id"]
    why = {row["id"]: row for row in rows(second, "dropped", pl.col("id").is_in(went.implode()))}
    for row in list(why.values())[:SAMPLED]:
        lines.append(f"went     {row['id']}: {row['reason']} ({row['rule']}: {row['value']})")
    moved = reasons(first), reasons(second)
    for key in sorted({*moved[0], *moved[1]}):
        if moved[0].get(key, 0) != moved[1].get(key, 0):
            lines.append(f"dropped  {moved[0].get(key, 0):>9,} -> {moved[1].get(key, 0):,}  {key}")
    return lines


def reasons(folder: Path) -> dict[str, int]:
    """Return {reason (rule): rows} of a curation."""
    file = folder / "dropped.parquet"
    if not file.is_file():
        return {}
    counted = pl.scan_parquet(file).group_by("reason", "rule").len().collect()
    return {f"{reason} ({bound})": count for reason, bound, count in counted.iter_rows()}
