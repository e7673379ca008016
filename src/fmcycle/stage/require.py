"""What a stage needs and does not find, it makes: by `dvc repro` where that is the pipeline's own, else in runs/."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import yaml

from fmcycle.door.compose import SHARED, Composed, brought, compose, flatten, selection, stage_groups
from fmcycle.door.compose import stages as known_stages
from fmcycle.error import InputError
from fmcycle.training import rank

GIVEN_ON = ("data", "documents", "processor", "tokens", "instructions", "preferences", "prompts", "examples")  # to what is made from them
STAGE, EXPERIMENT = "stage:", "experiment:"  # inputs.model=stage:pretrain/model, "the model of the stage pretrain, found or made"


def settle_inputs(below: Composed, perform) -> dict[str, Path | None]:
    """{name: path} of every input; `perform` makes a missing one. Raises InputError where base=require forbids that."""
    stages = {reference: upstream(reference, below) for reference in references(below)}
    made = _from_pipeline([stage for stage in stages.values() if in_pipeline(stage)], below)
    folders = {reference: made[stage.stage] for reference, stage in stages.items() if stage.stage in made and in_pipeline(stage)}
    for reference, stage in stages.items():
        if reference not in folders:
            folders[reference] = perform(stage, needed_by=below.stage)
    settled: dict[str, Path | None] = {}
    for name, value in below.inputs.items():
        if value is None or is_path(value):
            settled[name] = None if value is None else Path(value)
        else:
            reference, _, rest = value.partition("/")
            settled[name] = folders[reference] / rest if rest else folders[reference]
    return settled


def references(stage: Composed) -> list[str]:
    """What `stage` reads from: "stage:NAME" and "experiment:NAME"."""
    values = [value for value in stage.inputs.values() if value is not None and not is_path(value)]
    return list(dict.fromkeys(value.split("/")[0] for value in values))


@functools.cache
def _compose(overrides: tuple[str, ...]) -> Composed:
    return compose(list(overrides))


def upstream(reference: str, below: Composed) -> Composed:
    """What `reference` names: an experiment as it stands, or a stage as the pipeline selects it, made with what `below` was made with:
    the model, processor, trainer, raw data, and the data that it was given."""
    if reference.startswith(EXPERIMENT):
        named = f"experiment={reference.removeprefix(EXPERIMENT)}"
        trainer = [f"trainer={below.choices['trainer']}"] if "trainer" in stage_groups(_compose((named,)).stage) else []
        return _compose((named, *trainer, f"base={below.base}"))
    stage = reference.removeprefix(STAGE)
    shared = [f"{group}={below.choices[group]}" for group in SHARED if below.choices.get(group)]
    shared += [text for text in below.overrides if text.lstrip("+~").split(".")[0] in SHARED and "." in text.split("=")[0]]
    model = below.choices.get("model")
    chosen = selection(stage, model=model) if Path("params.yaml").is_file() else [*brought(model, stage)]
    has = stage_groups(stage)
    shared = [text for text in shared if text.lstrip("+~").split("=")[0].split(".")[0] in has]
    replaced = {text.split("=")[0] for text in shared}
    kept = [text for text in chosen if text.split("=")[0] not in replaced]
    composed = _compose((f"stage={stage}", *kept, *shared, f"base={below.base}"))
    if below.choices.get("experiment"):  # it may have changed values of what is shared, which no override shows
        composed = _compose((*composed.overrides, *(text for group in SHARED for text in changed(group, composed, below))))
    if "model" not in has and any(text.startswith("model.") for text in below.overrides):  # where its processor lies, too
        composed = _compose((*composed.overrides, *changed("processor", composed, below)))
    own = [
        f"inputs.{name}={below.inputs[name]}"
        for name in GIVEN_ON
        if name in composed.inputs and below.inputs.get(name) and (is_path(below.inputs[name]) or composed.inputs[name] is None)
    ]
    if any(text.startswith("inputs.examples=") for text in own) and "documents" in composed.inputs and not below.inputs.get("documents"):
        own.append("inputs.documents=null")  # examples are read instead
    return _compose((*composed.overrides, *own)) if own else composed


def changed(group: str, stage: Composed, below: Composed) -> list[str]:
    """The overrides that give `stage` the values that `below` has in a group of both."""
    had, has = (composed.section.get(group) for composed in (stage, below))
    if not isinstance(had, dict) or not isinstance(has, dict):
        return []
    before, now = (flatten({key: value for key, value in node.items() if not key.startswith("_")}, f"{group}.") for node in (had, has))
    return [text for text in now if text not in before]


def is_path(value) -> bool:
    return value is not None and not str(value).startswith((STAGE, EXPERIMENT))


def _from_pipeline(stages: list[Composed], below: Composed) -> dict[str, Path]:
    """`dvc repro` for what the pipeline itself would make; says first what is missing and how long that takes."""
    if not stages:
        return {}
    names = [pipeline_target(stage.stage) for stage in stages]
    command = f"dvc repro {' '.join(names)}"
    if stale := stale_stages(names):
        if below.base == "require":
            raise InputError(
                f"{below.stage} needs {', '.join(stale)}, not up to date, and base=require forbids making them; run `{command}`"
            )
        minutes = sum(_compose((f"stage={stage}", *selection(stage))).minutes for stage in stale if stage in known_stages())
        print(f"{below.stage} needs {', '.join(stale)} first: about {minutes:.0f} min on 2 cores, by `{command}`", flush=True)
        if subprocess.run([sys.executable, "-m", "dvc", "repro", *names], env=rank.alone()).returncode:
            raise InputError(f"`{command}` failed, see above; mend it and run the same command again")
    return {stage.stage: Path("data") if stage.stage == "collect" else Path("artifacts") / stage.stage for stage in stages}


def pipeline_target(stage: str) -> str:
    """The name under which dvc.yaml knows what `stage` leaves for others."""
    return "data.dvc" if stage == "collect" else stage


def in_pipeline(stage: Composed) -> bool:
    """Would `dvc repro` here make exactly this? Its section, and those of all stages above it, are params.yaml's."""
    if not (Path("dvc.yaml").is_file() and Path("params.yaml").is_file() and Path(".dvc").is_dir()):
        return False
    chosen = _compose((f"stage={stage.stage}", *selection(stage.stage)))
    if chosen.section != stage.section or chosen.inputs != stage.inputs:
        return False
    return all(in_pipeline(upstream(name, stage)) for name in references(stage))


def stale_stages(names: list[str]) -> list[str]:
    """The stages that `dvc repro NAMES` would run."""
    status = subprocess.run([sys.executable, "-m", "dvc", "status", "--json", "--with-deps", *names], capture_output=True, text=True)
    if status.returncode:
        raise InputError(f"dvc status: {status.stderr.strip()}; mend it and run the same command again")
    changed = json.loads(status.stdout or "{}")
    order = [*yaml.safe_load(Path("dvc.yaml").read_text())["stages"], *changed]
    return sorted(changed, key=order.index)
