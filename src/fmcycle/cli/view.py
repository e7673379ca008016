"""Prints the groups of a stage and the config of a job, and runs nothing.

`python -m fmcycle.cli.view` writes docs/options.md, every group and every option of it, and docs/nouns.md, every noun's signature.
"""

from pathlib import Path

from fmcycle.config import compose
from fmcycle.config import groups as group
from fmcycle.config import nouns as noun

PAGE = """# Options

Every group of `conf/` and every option of it. `fmcycle STAGE --help` shows those of one stage; the first lines of an
option's yaml say what it is for. After a change in `conf/`, `python -m fmcycle.cli.view` (with `PYTHONPATH=src`)
writes this page anew; a test keeps it true.

| group | decides | stages | options |
| --- | --- | --- | --- |
{rows}

Lists are written `'evaluation=[bits_per_byte,instruction]'`, none is `evaluation=[]`. An option of `curation` that is one
step, such as `burst`, goes under its own name: `'curation=[web,burst]'` adds it behind the steps of `web`.
`'source=[bible,local]'` leaves out the other sources.
"""
DECIDES = {name: kind.what for name, kind in noun.NOUNS.items()} | {
    "collection": "raw data from which missing inputs are made",
    "experiment": "named set of choices and overrides",
    "search": "search space of select, and the metric that it maximises",
    "stage": noun.STAGE.what,
}
NOUNS = """# Nouns

The plug-ins that a config can name, with their signatures. A plug-in is a function or an object of a small class. The
stage passes the parameters below by position, in this order and with these names. The config passes the parameters
behind `*` of a function, which it names with `_partial_: true`, or the fields of an object's class. Objects without a
call are plain values.

| noun | what it is | a function | an object | contract test | how to add one |
| --- | --- | --- | --- | --- | --- |
{rows}

This page, the config check and the tests read the same table, `fmcycle.config.nouns`. `python -m fmcycle.cli.view`
(with `PYTHONPATH=src`) writes the page anew. `tests/config/test_nouns.py` compares the table with the signature of
every option of `conf/`.

Some third-party names are allowed too: transformers' models and their configs, diffusers' models and schedulers,
`peft.get_peft_model` and peft's configs, `torch.optim`'s optimizers and Lightning's loggers. `RULES` of
`fmcycle.config.library` lists them. fmcycle reads their parameters from the source of the installed version, once, into
`.cache/signatures.json`. It refuses keys by which a library would load code, weights or files (`auto_map`,
`trust_remote_code`, `megatron_core`, `tokenizer_name_or_path` and similar ones), in a nested config too. Names of
`[tool.fmcycle] packages` may stand below any key.

## Samples

The contract test of a noun runs every option on a small real sample: `example`, a function `() -> {{parameter: value}}`
in the option's class or module. `fmcycle.config.example` has the samples that several options share; a function there
with a noun's name serves all options of the noun. A config can't build a sample, and samples are not part of a stage's
code digest.

## Data and its rows

`src/fmcycle/data/protocol.py` defines the attributes that rows must have (`lengths`, `__len__`, `__getitem__`,
`collate`) and those that they may have:
{may}.

## Columns

An objective reads the columns of its rows. It declares a column that a reference model computes once:
`columns = ("reference_chosen",)` and a static method of that name, `(model, batch) -> (B,)`, which gets the model of
`inputs.model`. The stage computes the declared columns for the rows that the run reads. Leave out of `columns` what the
rows already have.
"""


def groups(stage: str | None, command: str) -> str:
    """Return the help of one stage, or of all: its groups and options, the defaults marked."""
    lines: list[str] = []
    if stage is None:
        lines += ["Groups and options of every stage; `fmcycle STAGE --help` shows one stage's.", ""]
        chosen: dict[str, list[str]] = {name: [] for name in group.names()}
    else:
        lines += [f"Groups and options of the stage {stage}; * is the default.", ""]
        chosen = defaults(stage) | {"collection": [], "experiment": []}
    for place, default in chosen.items():
        known = [f"{name}*" if name in default else name for name in options(place, stage)]
        lines += [f"{place}: {', '.join(known)}"] if known else []
    lines += [
        "",
        f"Lists are written evaluation=[a,b]. Every key that `{command} --cfg job` shows can be changed: key=value; +key=value adds one.",
    ]
    if stage is None or stage in trained():
        lines.append("plan=true predicts the cost and runs nothing; plan=json prints it as JSON.")
    return "\n".join([*lines, "docs/options.md says what each option is.", ""])


def trained() -> list[str]:
    """Return the stages that train a model."""
    return [stage for stage in group.stages() if group.content("stage", stage)["_target_"].startswith("fmcycle.stage.train.")]


def defaults(stage: str) -> dict[str, list[str]]:
    """Return {group or group@package: its default options} of a stage."""
    return {place: option if isinstance(option, list) else [option] for place, option in group.defaults("stage", stage).items()}


def options(place: str, stage: str | None) -> list[str]:
    """Return the options of a group; of `experiment` only those of the stage."""
    found = group.options(place.partition("@")[0])
    if place == "experiment" and stage:
        found = [name for name in found if group.stage_of([f"experiment={name}"]) == stage]
    return found


def config(jobs: list[list[str]], package: str | None, resolve: bool) -> str:
    """Return the config of every job as YAML, each under its overrides if there are several."""
    from omegaconf import OmegaConf

    from fmcycle.errors import ConfigError

    shown = []
    for job in jobs:
        composed = compose.compose(job)
        raw = composed.raw
        part = raw if package in (None, "", "_global_") else OmegaConf.select(raw, str(package))
        if part is None:
            raise ConfigError([f"--package {package}: no such key in the config of {composed.stage}"])
        text = OmegaConf.to_yaml(part, resolve=resolve) if OmegaConf.is_config(part) else f"{part}\n"
        shown.append(f"# {' '.join(job)}\n{text}" if len(jobs) > 1 else text)
    return "\n".join(shown)


def page() -> str:
    """Return the text of docs/options.md."""
    rows = []
    for name in group.names():
        stages = [stage for stage in group.stages() if name in group.places(stage).values()]
        where = "every one" if name in ("collection", "experiment", "stage") else ", ".join(stages)
        rows.append(f"| `{name}` | {DECIDES.get(name, '')} | {where} | {', '.join(f'`{option}`' for option in group.options(name))} |")
    return PAGE.format(rows="\n".join(rows))


def nouns() -> str:
    """Return the text of docs/nouns.md."""
    from fmcycle.data.protocol import MAY_HAVE

    kinds: dict[noun.Noun, list[str]] = {}
    for name, kind in noun.NOUNS.items():
        kinds.setdefault(kind, []).append(name)
    rows = [_noun(["stage"], noun.STAGE), *(_noun(names, kind) for kind, names in sorted(kinds.items(), key=lambda item: item[1]))]
    may = [f"`{name}`" for each in MAY_HAVE for name in vars(each) if not name.startswith("_")]
    return NOUNS.format(rows="\n".join(rows), may=", ".join(may))


def _noun(names: list[str], kind: noun.Noun) -> str:
    room = kind.rooms[0].rpartition(".")[2] if kind.rooms else ""
    forms = [f"`({', '.join([*form, '*', '...'])}){f' -> {made}' if made else ''}`" for form, made in noun.CALLS.get(room, {}).items()]
    call = f"`{kind.call}`" if kind.call else ""
    section = f"[{kind.section}](../CONTRIBUTING.md#{kind.section.lower().replace(' ', '-')})" if kind.section else ""
    cells = [", ".join(f"`{name}`" for name in names), kind.what, ", ".join(forms), call, f"`{kind.test}`", section]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    Path("docs/options.md").write_text(page())
    Path("docs/nouns.md").write_text(nouns())
