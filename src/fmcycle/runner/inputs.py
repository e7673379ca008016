"""Finds the inputs of a stage; makes missing ones by `dvc repro` if the pipeline has exactly them, else in runs/."""

import functools
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from fmcycle.artifact import vouched
from fmcycle.config import build, groups, library, paths
from fmcycle.config.compose import Composed, compose
from fmcycle.config.grammar import flatten
from fmcycle.config.groups import SHARED, stage_groups
from fmcycle.config.groups import stages as known_stages
from fmcycle.config.paths import EXPERIMENT, MADE, STAGE, is_path
from fmcycle.config.selection import brought, local, pipeline, selection
from fmcycle.distributed import rank
from fmcycle.errors import InputError, Missing
from fmcycle.runner import begin_from

CONFIG = Path("artifacts/config.yaml")
PREPARES = ("curate", "processor", "tokens")  # stages that prepare the data of the stage below them
GIVEN_ON = ("data", "documents", "processor", "examples")  # inputs that the stage below hands to them


def settle_inputs(below: Composed, perform) -> dict[str, Path | None]:
    """Return {name: path} of every input; `perform` makes a missing one. Raises Missing if base=require forbids that."""
    stages = {reference: upstream(reference, below) for reference in references(below)}
    made = _from_pipeline([stage for stage in stages.values() if in_pipeline(stage)], below)
    folders = {reference: made[stage.stage] for reference, stage in stages.items() if stage.stage in made and in_pipeline(stage)}
    for reference, stage in stages.items():
        if reference not in folders:
            folders[reference] = perform(stage, needed_by=below.stage)
    beside = _made(below, perform)
    settled: dict[str, Path | None] = {}
    for name, value in below.inputs.items():
        if value is None or is_path(value):
            settled[name] = None if value is None else Path(value)
            continue
        reference, _, rest = value.partition("/")
        folder = beside.get(reference) if value.startswith(MADE) else folders[reference]
        settled[name] = None if folder is None else folder / rest if rest else folder
    return settled


def references(stage: Composed) -> list[str]:
    """Return the "stage:NAME" and "experiment:NAME" that the inputs of `stage` name."""
    values = [value for value in stage.inputs.values() if value is not None and value.startswith((STAGE, EXPERIMENT))]
    return list(dict.fromkeys(value.split("/")[0] for value in values))


def _made(below: Composed, perform) -> dict[str, Path]:
    """Return {"made:NAME": folder} of the "made:" inputs that are up to date; print the others, which `below` then does without."""
    named = list(dict.fromkeys(value.split("/")[0] for value in below.inputs.values() if value is not None and value.startswith(MADE)))
    forbidden = replace(below, base="require")
    stages = {reference: upstream(STAGE + reference.removeprefix(MADE), forbidden) for reference in named}
    own = [stage.stage for stage in stages.values() if in_pipeline(stage)]
    stale = set(stale_stages([pipeline_target(stage) for stage in own])) if own else set()
    found: dict[str, Path] = {}
    for reference, stage in stages.items():
        if stage.stage in own:
            found |= {} if stale & behind(stage) else {reference: pipeline_folder(stage.stage)}
        elif not wrong_paths(stage):  # else it can't have been made here
            try:
                found[reference] = perform(stage, needed_by=below.stage)
            except Missing:
                continue
    if left := [reference.removeprefix(MADE) for reference in named if reference not in found]:
        print(f"{below.stage}: {', '.join(left)}: not made, or not up to date; their results are left out", flush=True)
    return found


def wrong_paths(stage: Composed) -> list[str]:
    """Return what is wrong with the paths of a stage and the packages of its loggers, or else with the paths of the stages above it that
    would run outside the pipeline."""
    found = [*_no_package(stage), *paths.problems(stage), *begin_from.problems(stage)]
    rows = [name for name, value in stage.inputs.items() if str(value).startswith(f"{STAGE}curate/")]
    own = {"collect": f"; or name rows of your own, inputs.{rows[0]}=FILE"} if rows else {}
    return found or [f"{line} (for {name}, which {stage.stage} needs{own.get(name, '')})" for line, name in _wrong_above(stage).items()]


def _no_package(stage: Composed) -> list[str]:
    """Return one line for each chosen logger, and for the executor, whose package is not installed."""
    executor = str((stage.machine.get("executor") or {}).get("_target_"))
    package = getattr(build.resolve(executor), "package", "") if stage.machine.get("executor") else ""
    alone = f"executor: the package {package} is not installed: run `pip install {package}`, or choose executor=local"
    packages = {name: library.missing(node["_target_"]) for name, node in (stage.config().get("logger") or {}).items()}
    return [alone] * bool(package and importlib.util.find_spec(package) is None) + [
        f"logger.{name}: the package {package} is not installed: run `pip install {package}`, or choose another logger"
        for name, package in packages.items()
        if package
    ]


def _wrong_above(stage: Composed) -> dict[str, str]:
    """Return {what is wrong with a path: the stage above `stage` that names it}."""
    above = [upstream(reference, stage) for reference in references(stage)]
    found: dict[str, str] = {}
    for each in above:
        if not in_pipeline(each):
            found = dict.fromkeys(paths.problems(each), each.stage) | _wrong_above(each) | found
    return found


def _compose(overrides: tuple[str, ...]) -> Composed:
    return _composed(overrides, Path.cwd())


@functools.cache
def _composed(overrides: tuple[str, ...], _where: Path) -> Composed:
    return compose(list(overrides))


def upstream(reference: str, below: Composed) -> Composed:
    """Return the experiment or stage that `reference` names. A stage is as the pipeline selects it, but with the SHARED groups, the
    trainer and, for PREPARES, the inputs GIVEN_ON of `below`; an experiment takes only the trainer of `below`."""
    if reference.startswith(EXPERIMENT):
        named = f"experiment={reference.removeprefix(EXPERIMENT)}"
        trainer = machine(below) if "trainer" in stage_groups(_compose((named,)).stage) else []
        return _compose((named, *trainer, f"base={below.base}"))
    stage = reference.removeprefix(STAGE)
    shared = [f"{group}={below.choices[group]}" for group in SHARED if below.choices.get(group)]
    for text in below.overrides:  # keys inside these groups, and several options of one
        group, _, inside = text.lstrip("+~").split("=")[0].partition(".")
        shared += [text] if group in SHARED and (inside or not below.choices.get(group)) else []
    shared += machine(below)
    model = below.choices.get("model")
    chosen = selection(stage, model=model) if Path("params.yaml").is_file() else [*brought(model, stage)]
    has = stage_groups(stage)
    shared = [text for text in shared if text.lstrip("+~").split("=")[0].split(".")[0] in has]
    replaced = {text.split("=")[0] for text in shared}
    kept = [text for text in chosen if text.split("=")[0] not in replaced]
    composed = _compose((f"stage={stage}", *kept, *shared, f"base={below.base}"))
    if below.choices.get("experiment"):  # its yaml may set keys of the shared groups, which are in no override
        composed = _compose((*composed.overrides, *(text for group in SHARED for text in changed(group, composed, below))))
    if "model" not in has and any(text.startswith("model.") for text in below.overrides):  # model.path may say where the processor is
        composed = _compose((*composed.overrides, *changed("processor", composed, below)))
    own = [f"inputs.{name}={below.inputs[name]}" for name in GIVEN_ON if stage in PREPARES and _given(name, composed, below)]
    if any(text.startswith("inputs.examples=") for text in own) and "documents" in composed.inputs and not below.inputs.get("documents"):
        own.append("inputs.documents=null")  # the stage reads examples instead
    return _compose((*composed.overrides, *own)) if own else composed


def _given(name: str, stage: Composed, below: Composed) -> bool:
    """True if `stage` must take input `name` from `below`; False if the pipeline gives it the same file anyway."""
    value = below.inputs.get(name)
    if value is None or name not in stage.inputs:
        return False
    usual = stage.inputs[name]
    if not is_path(value):
        return name == "examples" and usual is None
    if usual is None or is_path(usual):
        return True
    reference, _, rest = usual.partition("/")
    above = upstream(reference, stage)
    return not (in_pipeline(above) and Path(value).resolve() == (pipeline_folder(above.stage) / rest).resolve())


def machine(below: Composed) -> list[str]:
    """Return the trainer overrides of `below`; if it has no trainer (package, for one), those of local.yaml."""
    if not below.choices.get("trainer"):
        return [text for text in local() if text.split("=")[0].split(".")[0] == "trainer"]
    own = [text for text in below.overrides if text.lstrip("+~").startswith("trainer.")]
    return [f"trainer={below.choices['trainer']}", *own]


def changed(group: str, stage: Composed, below: Composed) -> list[str]:
    """Return the overrides that copy the values of `group` from `below` to `stage`."""
    had, has = (composed.section.get(group) for composed in (stage, below))
    if not isinstance(had, dict) or not isinstance(has, dict):
        return []
    before, now = (flatten({key: value for key, value in node.items() if not key.startswith("_")}, f"{group}.") for node in (had, has))
    return [text for text in now if text not in before]


def _from_pipeline(stages: list[Composed], below: Composed) -> dict[str, Path]:
    """Run `dvc repro` for the stale ones of `stages`; print first which they are and how long they take. Returns {stage: folder}."""
    if not stages:
        return {}
    names = [pipeline_target(stage.stage) for stage in stages]
    command = f"dvc repro {' '.join(names)}"
    if stale := stale_stages(names):
        if below.base == "require":
            raise Missing(f"{below.stage} needs {', '.join(stale)}, not up to date, and base=require forbids making them; run `{command}`")
        minutes = sum(_compose((f"stage={stage}", *selection(stage))).minutes for stage in stale if stage in known_stages())
        print(f"{below.stage} needs {', '.join(stale)} first: about {minutes:.0f} min on 2 cores, by `{command}`", flush=True)
        if subprocess.run([sys.executable, "-m", "dvc", "repro", *names], env=rank.alone()).returncode:
            raise InputError(f"`{command}` failed, see above; repair the cause and run the same command again")
    return {stage.stage: pipeline_folder(stage.stage) for stage in stages}


def pipeline_folder(stage: str) -> Path:
    """Return the folder of a pipeline stage that others read."""
    return Path("data") if stage == "collect" else Path("artifacts") / stage


def behind(stage: Composed) -> set[str]:
    """Return the names in dvc.yaml of a stage and of all stages above it."""
    own = {"compose", stage.stage, pipeline_target(stage.stage)}
    return own.union(*(behind(upstream(reference, stage)) for reference in references(stage)))


def pipeline_target(stage: str) -> str:
    """Return the DVC target of the folder that others read from `stage`."""
    return "data.dvc" if stage == "collect" else stage


def in_pipeline(stage: Composed) -> bool:
    """True if `dvc repro` here would make exactly this stage: params.yaml selects the same sections for it and all stages above it."""
    graph, params = Path("dvc.yaml"), Path("params.yaml")
    if not (graph.is_file() and params.is_file() and Path(".dvc").is_dir()):
        return False
    return _in_pipeline(tuple(stage.overrides), Path.cwd(), graph.stat().st_mtime_ns, params.stat().st_mtime_ns)


@functools.cache
def _in_pipeline(overrides: tuple[str, ...], *_where) -> bool:
    stage = _compose(overrides)
    if stage.stage not in yaml.safe_load(Path("dvc.yaml").read_text())["stages"]:
        return False
    chosen = _compose((f"stage={stage.stage}", *selection(stage.stage)))
    if chosen.tracked != stage.tracked or chosen.inputs != stage.inputs:
        return False
    return all(in_pipeline(upstream(name, stage)) for name in references(stage))


def stale_stages(names: list[str]) -> list[str]:
    """Return the stages that `dvc repro NAMES` would run, in the order of dvc.yaml; compose only if its output would change."""
    changed = vouched.status("--with-deps", *names)
    if "compose" in changed and _composes_the_same():
        del changed["compose"]
    order = [*yaml.safe_load(Path("dvc.yaml").read_text())["stages"], *changed]
    return sorted(changed, key=order.index)


def _composes_the_same() -> bool:
    """True if compose would write artifacts/config.yaml as it is: edits of a comment or of an unselected option do not change it."""
    yamls = [Path("params.yaml"), *(file for folder in groups.folders() for file in folder.rglob("*.yaml"))]
    stamp = hash(tuple((str(file), file.stat().st_mtime_ns) for file in yamls if file.is_file()))
    return CONFIG.is_file() and yaml.safe_load(CONFIG.read_text()) == _pipeline(Path.cwd(), stamp)


@functools.cache
def _pipeline(_where: Path, _written: int) -> dict:
    """Compose every stage, which takes seconds; once for each state of the yamls."""
    return pipeline()
