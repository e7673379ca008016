"""`fmcycle evaluate MODEL [DATA]`: evaluates a model folder, on rows of a person's own; prints the figures and writes the answers."""

from pathlib import Path

import polars as pl

from fmcycle.artifact import folder as artifact
from fmcycle.cli import command_line, experiment
from fmcycle.cli.model_folder import composed, folder_of
from fmcycle.config.grammar import flatten
from fmcycle.config.paths import nearest
from fmcycle.engine.fit import engine_of
from fmcycle.errors import InputError
from fmcycle.evaluation.report import interval, number
from fmcycle.evaluation.report import rows as figures
from fmcycle.runner.own_table import COLUMNS

CURATES = ("source", "curation", "conversation", "executor", "max_bad_rows")  # the groups and keys that are for the curation of DATA
CONTEXT = 1024  # tokens of a document that a model sees at a time, or its positions if they are fewer
LONGEST = 512  # tokens of an answer, or the longest reference if it is shorter
FITS = {  # engine: {table: the evaluation of its rows}
    "transformers": {"instructions": "instruction", "preferences": "preference", "documents": "bits_per_byte", "prompts": "safety"},
    "seq2seq": {"instructions": "seq2seq"},
    "classifier": {"documents": "accuracy", "examples": "accuracy"},
}
BESIDE = ("baseline/", "reference/", "unaligned/")  # figures of others, printed below the model's own
ROWS = {"instruction": "per_task", "preference": "limit", "bits_per_byte": "limit", "safety": "per_kind", "seq2seq": "limit"}


def main(arguments: list[str]) -> int:
    """Run the verb: words that are no overrides are MODEL and DATA; without any it is the stage."""
    flags, words = command_line.sort(arguments)
    named = [word for word in words if "=" not in word and word[:1] != "~"]
    rest = [word for word in words if word not in named]
    if not named:
        return experiment.run("evaluate", arguments)
    if len(named) > 2 or (flags and len(named) == 2):
        raise InputError(f"fmcycle evaluate: takes MODEL, DATA and overrides; take {named[2] if len(named) > 2 else flags[0]} out")
    if len(named) == 1:
        return experiment.run("evaluate", [*flags, f"model={named[0]}", *rest])
    show(on(*named, *rest))
    return 0


def on(model: str | Path, data: str | Path, *overrides: str) -> Path:
    """Evaluate `model` on the rows of `data`, whatever their form; return the folder with metrics.json, samples.jsonl and report.html.

    overrides: of the stages evaluate_on and, for the keys in CURATES, curate. Raises InputError if no evaluation fits model and rows.
    """
    from fmcycle.runner.run import perform

    if not Path(data).exists():
        near = nearest(str(data))
        raise InputError(f"{data} is not there; {f'did you mean {near}?' if near else 'name a file or a folder with your rows'}")
    model = folder_of(model)
    architecture, engine = engine_of(model)
    known = FITS.get(engine or "", {})
    if not known:
        raise InputError(f"{model} is a {architecture}; `fmcycle evaluate_on` takes any evaluation and data for it")
    own = [text for text in overrides if _key(text).split(".")[0].split("@")[0] in CURATES]
    rest = [text for text in overrides if text not in own]
    said = set(map(_key, rest))
    every = [] if "evaluation" in said else [f"evaluation=[{','.join(dict.fromkeys(known.values()))}]"]
    chosen = composed("evaluate_on", *every, *rest).section["evaluation"]  # a wrong key is refused before the rows are read
    tables = _tables(data, own, perform)
    fitting = {name: known[name] for name in tables if known.get(name) in chosen}
    if not fitting:
        held = " and ".join(f"{len(splits):,} {name}" for name, (_, splits) in tables.items())
        fits = f"a {architecture} is evaluated on {' or '.join(known)}"
        raise InputError(f"{data} holds {held}; {fits}; `fmcycle evaluate_on` takes any evaluation and data")
    settings = [*_settings(model, architecture, tables, fitting), *flatten({"inputs": {"model": str(model)}})]
    return perform(composed("evaluate_on", *(text for text in settings if _key(text) not in said), *rest))


def _key(override: str) -> str:
    return override.lstrip("+~").split("=")[0]


def _tables(data: str | Path, own: list[str], perform) -> dict[str, tuple[Path, list[str]]]:
    """Return {table: (its file, the split of each row)} of the curated rows. Documents are repaired, and none is dropped for its quality.

    All rows are held out, unless they declare splits themselves.
    """
    steps = [] if any("curation" in _key(text) for text in own) else ["curation=[html,repair]"]
    held_out = ["split.test=1", "split.validation=0", *steps]
    folder = perform(composed("curate", *flatten({"inputs": {"data": str(data)}}), *held_out, *own), needed_by="evaluate")
    files = {file.stem: file for file in sorted(folder.glob("*.parquet")) if file.stem in COLUMNS}
    splits = {name: pl.read_parquet(file, columns=["split"])["split"].to_list() for name, file in files.items()}
    return {name: (files[name], found) for name, found in splits.items() if found}


def _settings(model: Path, architecture: str, tables: dict, fitting: dict[str, str]) -> list[str]:
    """Return the overrides of evaluate_on for the tables that fit; print which rows are evaluated how."""
    found = [f"evaluation=[{','.join(fitting.values())}]"]
    for table, evaluation in fitting.items():
        file, splits = tables[table]
        split = next(name for name in ("test", "validation", "train") if name in splits)
        rows = splits.count(split)
        left = f"; {len(splits) - rows:,} rows of other splits, which the data declares, are left out" if rows < len(splits) else ""
        print(f"evaluate: {rows:,} {table} by evaluation={evaluation}{left}", flush=True)
        here = {"split": split} | ({ROWS[evaluation]: rows} if evaluation in ROWS else {})
        if evaluation in ("instruction", "seq2seq"):
            here["max_new_tokens"] = _longest(model, file)
        if evaluation == "bits_per_byte":
            here["baseline"] = True
            here["context"] = min(CONTEXT, artifact.read_json(model / "config.json").get("max_position_embeddings") or CONTEXT)
        if evaluation == "seq2seq":
            found += ["data=seq2seq_pairs"]
        if evaluation == "accuracy":
            medium = "audio" if architecture.endswith("ForAudioClassification") else "images"
            found += ["data=text_classes" if table == "documents" else f"data={medium}", "data.classes=label"]
            here |= {"baseline": 0, "limit": rows}
        found += flatten({"inputs": {table: str(file)}})
        found += [f"++{text}" for text in flatten({"evaluation": {evaluation: here}})]  # some keys stand in no yaml
    return found


def _longest(model: Path, file: Path) -> int:
    """Return the length of the longest reference in tokens, at most LONGEST: a shorter limit would cut answers that are right."""
    from fmcycle.processor import components, store

    tokenizer = components.tokenizer_of(store.load_processor(model))
    answers = [messages[-1]["content"] for messages in pl.read_parquet(file, columns=["messages"])["messages"].to_list()]
    return min(LONGEST, 8 + max(len(tokenizer(answer, add_special_tokens=False)["input_ids"]) for answer in answers))


def show(out: Path) -> None:
    """Print the figures of an evaluation, each above its baselines, and where the answers are."""
    from rich.console import Console
    from rich.table import Table

    found = {row.key: row for row in figures(artifact.read_json(out / "metrics.json"))}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("figure", "value", "95 % interval", "n"):
        table.add_column(title, justify="left" if title == "figure" else "right", overflow="fold")
    shown = set()
    for key in (key for key in found if "/" not in key):
        beside = [other for other in found if other.startswith(BESIDE) and other.endswith((f"/{key}", f"_{key}"))]
        for row in (found[name] for name in (key, *beside) if name not in shown):
            shown.add(row.key)
            name = row.key if row.key == key else f"  {row.key.partition('/')[2]} ({row.key.partition('/')[0]})"
            table.add_row(name, number(row.value), interval(row), "" if row.n is None else f"{row.n:,}")
    console = Console(highlight=False, markup=False)
    console.width = console.width if console.is_terminal else 200
    console.print(table)
    more = f", and {len(found) - len(shown)} figures by task" if len(found) > len(shown) else ""
    print(f"{out / 'report.html'}: every answer beside its reference{more}")
