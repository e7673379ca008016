"""Finds the checkpoint that `init_from=RUN` names, and checks that the run which begins from it is of the same kind."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmcycle.artifact import folder as artifact
from fmcycle.artifact import provenance
from fmcycle.artifact.manifest import MANIFEST
from fmcycle.errors import InputError, suggest
from fmcycle.processor import store
from fmcycle.tracking import run_record

STEP = re.compile(r"step-(\d+)")
WHOLE = "fmcycle.strategy.full.full"
BASES = ("model", "base", "vision", "language", "model.path", "model.base")  # inputs that bring weights which an adapter does not train
# keys of a model that its trained weights don't depend on, or whose content is compared
FREE = (
    "drop",
    "initializer_range",
    "licence",
    "path",
    "base",
    "sha256",
    "package",
)


def found(text: str) -> Path:
    """Return the checkpoint that `text` names: a run's folder or the beginning of its identity, then /step-N for another than the last.

    Raises InputError if there is none, its run is not over, or it is damaged.
    """
    text = str(text)  # in a yaml, the beginning of an identity may be a number
    path = Path(text)
    named = STEP.fullmatch(path.name)
    run = _run(str(path.parent) if named else text.rstrip("/"))
    if run_record.alive(run):
        raise InputError(f"init_from: {run} is running: wait for it, or stop it, and begin from its last checkpoint then")
    steps = {int(each.name.removeprefix("step-")): each for each in sorted(run.glob("step-*"))}
    if not steps:
        facts = run_record.read(run)
        ended = facts.get("state") == "done"
        repair = f"it ended: begin from its model, inputs.model={facts.get('out')}/model" if ended else "it stopped before its first one"
        raise InputError(f"init_from: {run} keeps no checkpoint; {repair}")
    step = int(named[1]) if named else max(steps)
    if step not in steps:
        raise InputError(f"init_from: {run} has no checkpoint of step {step}; there is {', '.join(steps[each].name for each in steps)}")
    _whole(steps[step], [each for each in steps.values() if each != steps[step]])
    return steps[step]


def _whole(folder: Path, others: list[Path]) -> None:
    repair = f"init_from={others[-1]} is another checkpoint of that run" if others else "that run has no other checkpoint"
    if not (folder / MANIFEST).is_file():
        raise InputError(f"init_from: {folder} has no manifest, so it was never finished; {repair}")
    try:
        artifact.verify(folder)
    except InputError as error:
        raise InputError(f"init_from: {str(error).partition(';')[0]}: the checkpoint is damaged; {repair}") from None


def _run(text: str) -> Path:
    path = Path(text)
    if run_record.read(path):
        return path
    for place in (path, *path.parents):  # its out, or a file in it
        if place.parent != place and run_record.read(place):
            return place
    runs = [file.parent for file in sorted(Path("runs").glob(f"*/*/{run_record.RUN}"))]
    stage, _, prefix = text.removeprefix("runs/").rpartition("/")
    known = {each: run_record.read(each).get("identity", "") for each in runs if stage in ("", each.parent.name)}
    fitting = [each for each, identity in known.items() if prefix and identity.startswith(prefix)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(f"init_from: {text} is the beginning of {len(fitting)} runs: {', '.join(map(str, fitting))}; say which")
    names = [str(each) for each in runs if any(each.glob("step-*"))] or [str(each) for each in runs]
    near = suggest(text, names) if names else "; runs/ has no run"
    raise InputError(f"init_from: {text} is no run: give its folder in runs/, or the beginning of its identity{near}")


def problems(composed) -> list[str]:
    """Return what is wrong with the `init_from` of a composed stage, as far as it shows before any input is made."""
    chosen = composed.config().get("init_from")
    if not chosen:
        return []
    try:
        _same_kind(composed.section, found(chosen))
    except InputError as error:
        return [str(error)]
    return []


def _same_kind(section: dict, folder: Path) -> None:
    """Raise InputError if the run that wrote `folder` had another model, or moves its weights in another way."""
    before = run_record.read(folder.parent)["section"]
    for part in ("model", "strategy"):
        for key, here, there in _apart(section.get(part), before.get(part), part):
            if part == "strategy" or not any(word in key.rpartition(".")[2] for word in FREE):
                raise InputError(
                    f"init_from: {key} is {here} here and {there} in {folder.parent}, so its weights don't fit: choose that run's {part}, "
                    f"or begin from a finished run's model with inputs.model=FOLDER"
                )


def _apart(here: Any, there: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(here, dict) and isinstance(there, dict):
        for name in dict.fromkeys([*here, *there]):
            yield from _apart(here.get(name), there.get(name), f"{key}.{name}")
    elif here != there and "dropout" not in key.rpartition(".")[2]:
        yield key, here, there


def check(folder: Path, section: dict, digests: dict[str, str], inputs: dict[str, Path | None]) -> None:
    """Raise InputError if the run that wrote `folder` had another tokenizer, or trained an adapter on another base.

    digests, inputs: {input: content digest}, {input: path} of the new run.
    """
    before = run_record.read(folder.parent)
    given = before["inputs"]
    if section["strategy"].get("_target_") != WHOLE:
        for name in BASES:
            here, there = digests.get(name), given.get(name, {}).get("digest")
            if here != there:
                raise InputError(
                    f"init_from: {folder.parent} trained a part of the weights of {name}={given.get(name, {}).get('path')} "
                    f"({str(there)[:12]}), and here it is {inputs.get(name)} ({str(here)[:12]}): name the same base"
                )
        seeds = [each["budget"]["seed"] for each in (section, before["section"])]
        if seeds[0] != seeds[1] and not any(digests.get(name) for name in BASES):
            raise InputError(f"init_from: {folder.parent} drew the weights that it froze from budget.seed={seeds[1]}: choose it here too")
    here, there = (_tokenizer({name: str(path) for name, path in paths.items() if path}) for paths in (inputs, _paths(given)))
    if here and there and here != there:
        raise InputError(f"init_from: {folder.parent} had another tokenizer ({there[:12]}, here {here[:12]}): its ids mean other words")


def _paths(given: dict) -> dict[str, str]:
    return {name: each["path"] for name, each in given.items()}


def _tokenizer(inputs: dict[str, str]) -> str | None:
    folder = inputs.get("model") or inputs.get("processor")
    return store.tokenizer_digest(folder) if folder and Path(folder).is_dir() else None


def record(folder: Path, runs: Path) -> None:
    """Write the provenance of the checkpoint `folder` into `runs`, that of the run which begins from it: the other may never end."""
    run = run_record.read(folder.parent)
    times, file = {"start": run["starts"][-1]["at"], "seconds": 0}, runs / "init_from.provenance.json"
    provenance.record(folder, run["stage"], run["identity"], run["section"], run["code"], run["inputs"], times, file=file)
