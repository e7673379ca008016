"""What is shown and not run: the groups of a stage, and the config of a job.

`python -m fmcycle.door.view` writes docs/options.md: every group, and every option of it.
"""

from pathlib import Path

from fmcycle.door import compose, group

PAGE = """# Options

Every group of `conf/` and every option of it. `fmcycle STAGE --help` shows those of one stage; the first lines of an
option's yaml say what it is for. After a change in `conf/`, `python -m fmcycle.door.view` (with `PYTHONPATH=src`)
writes this page anew; a test keeps it true.

| group | decides | stages | options |
| --- | --- | --- | --- |
{rows}

Lists are written `'evaluation=[bits_per_byte,instruction]'`, none is `evaluation=[]`. An option of `curation` that is one
step, such as `burst`, goes under its own name: `'curation=[web,burst]'` adds it behind the steps of `web`.
`'source=[bible,local]'` leaves out the other sources.
"""
DECIDES = {
    "budget": "how much: steps, batch, precision, seed, schedule",
    "collection": "the raw data that missing inputs are made of",
    "compress": "what is made smaller before it is evaluated",
    "curation": "which documents stay; single steps and lists of them",
    "data": "what a training stage reads, and how a row becomes tensors",
    "engine": "what generates when a package is served",
    "evaluation": "what is measured",
    "executor": "where curation runs",
    "experiment": "a named diff over all of it",
    "gate": "the bounds that a package must hold",
    "guardrail": "what may go in and out of the served model",
    "logger": "where a run's figures go, beside its own page",
    "model": "what computes",
    "monitor": "what is looked for in a window of traffic",
    "objective": "what the weights move toward",
    "optimizer": "how they move",
    "price": "what a device costs, for plans and limits",
    "processor": "how text, pictures and sound become tensors",
    "search": "what select tries, and what it maximises",
    "source": "where raw data comes from",
    "stage": "what runs",
    "strategy": "which weights move",
    "trainer": "where training runs; never part of identity",
}


def groups(stage: str | None, command: str) -> str:
    """The help of one stage, or of all: its groups with their options, the default marked."""
    lines = [f"usage: {command} [group=option ...] [key=value ...] [-m] [--cfg job] [plan=true]", ""]
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
    return "\n".join([*lines, "docs/options.md says what each option is.", ""])


def defaults(stage: str) -> dict[str, list[str]]:
    """{group or group@package: its default options} of a stage."""
    found: dict[str, list[str]] = {}
    for item in group.content("stage", stage).get("defaults", []):
        for key, option in item.items() if isinstance(item, dict) else ():
            found[key.removeprefix("override ").lstrip("/")] = option if isinstance(option, list) else [option]
    return found


def options(place: str, stage: str | None) -> list[str]:
    """The options of a group; of experiments those of the stage."""
    found = group.options(place.partition("@")[0])
    if place == "experiment" and stage:
        found = [name for name in found if group.stage_of([f"experiment={name}"]) == stage]
    return found


def config(jobs: list[list[str]], package: str | None, resolve: bool) -> str:
    """The config of every job as YAML, each under its overrides where there are several."""
    from omegaconf import OmegaConf

    from fmcycle.error import ConfigError

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
    """docs/options.md."""
    rows = []
    for name in group.names():
        stages = [stage for stage in compose.stages() if name in group.places(stage).values()]
        where = "every one" if name in ("collection", "experiment", "stage") else ", ".join(stages)
        rows.append(f"| `{name}` | {DECIDES.get(name, '')} | {where} | {', '.join(f'`{option}`' for option in group.options(name))} |")
    return PAGE.format(rows="\n".join(rows))


if __name__ == "__main__":
    Path("docs/options.md").write_text(page())
