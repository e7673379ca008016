"""Checks every path that a config names before any work; reports all that are missing, each with the nearest that exists."""

import difflib
import importlib
import typing
from collections.abc import Iterator
from pathlib import Path

from fmcycle.artifact import hub
from fmcycle.config import groups, signature
from fmcycle.errors import suggest
from fmcycle.ranges import ExistingPath

STAGE, EXPERIMENT = "stage:", "experiment:"  # inputs.model=stage:pretrain/model, "the model of the stage pretrain, found or made"
MADE = "made:"  # inputs.curve=made:pretrain/curve.json: the stage's file if it is up to date, else null; never made for this
ROWS = ("data", "local", "documents", "instructions", "preferences", "prompts", "examples", "seeds")  # inputs that are rows
FILES = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".txt", ".gguf", ".zip", ".safetensors")
PIPELINE = ("artifacts", "data", "sources")  # folders that the stages of dvc.yaml write


def is_path(value) -> bool:
    """True if an input's value is a path, neither null nor a reference."""
    return value is not None and not str(value).startswith((STAGE, EXPERIMENT, MADE))


def problems(composed) -> list[str]:
    """Return one line for each missing path of a composed stage, each reference that no stage writes, each null that it needs."""
    return [*_nulls(composed), *_references(composed), *_not_there(composed, named(composed))]


def in_pipeline(composed) -> list[str]:
    """Return the missing paths of a section of params.yaml; the run checks those that the pipeline writes or a stage's yaml names."""
    usual = groups.content("stage", composed.stage).get("inputs") or {}
    chosen = {
        key: path
        for key, path in named(composed).items()
        if Path(path).parts[:1] not in [(name,) for name in PIPELINE] and usual.get(key.removeprefix("inputs.")) != path
    }
    return _not_there(composed, chosen)


def named(composed) -> dict[str, str]:
    """Return {key: path} of every path that a stage's config names; a path with several keys has its input's, else the first."""
    from omegaconf import OmegaConf

    follows = {name for name in composed.inputs if OmegaConf.is_interpolation(composed.raw.inputs, name)}
    found = {f"inputs.{name}": value for name, value in composed.inputs.items() if is_path(value) and name not in follows}
    given = sorted(_given(composed.config(), ""), key=lambda item: item[0].startswith("processor."))  # last: it may be the model's path
    for key, value, _ in given:
        if is_path(value) and (not value or value not in found.values()):
            found[key] = value
    return found


def _given(node, key: str) -> Iterator[tuple[str, str | None, bool]]:
    """Yield (dotted key, value, whether it may be null) of every parameter of the type ExistingPath below a node."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _given(item, f"{key}.{index}")
    if not isinstance(node, dict):
        return
    known = signature.read(node["_target_"]) if isinstance(node.get("_target_"), str) else None
    for name, value in node.items():
        inner = f"{key}.{name}" if key else str(name)
        kind = known.parameters[name].type if known and name in known.parameters else None
        if node.get("package") and kind in (ExistingPath, ExistingPath | None):
            continue  # a member of a wheel
        yield from _of_kind(value, kind, inner)
        if name != "inputs":
            yield from _given(value, inner)


def _of_kind(value, kind, key: str) -> Iterator[tuple[str, str | None, bool]]:
    inner = typing.get_args(kind) if kind is not None else ()
    if kind == ExistingPath:
        yield key, value, False
    elif ExistingPath in inner and isinstance(value, dict) and "path" in value:  # one of the forms of examples
        yield f"{key}.path", value["path"], False
    elif ExistingPath in inner and not isinstance(value, list | dict):
        yield key, value, type(None) in inner
    elif typing.get_origin(kind) is list and isinstance(value, list):
        if not value and ExistingPath in typing.get_args(inner[0]):
            yield key, "", False
        for index, item in enumerate(value):
            yield from _of_kind(item, inner[0], f"{key}.{index}")
    elif typing.get_origin(kind) is dict and isinstance(value, dict):
        for name, item in value.items():
            yield from _of_kind(item, inner[1], f"{key}.{name}")


def hub_kind(key: str) -> hub.Kind:
    """Return what an input, or another key, reads from the hub."""
    return "dataset" if key.removeprefix("inputs.") in ROWS else "model"


def _not_there(composed, paths: dict[str, str]) -> list[str]:
    lines = []
    for key, path in paths.items():
        if hub.is_reference(path):
            wrong = hub.problem(path, hub_kind(key))
            lines += [f"{key}: {wrong}"] if wrong else []
        elif not path:
            lines.append(f"{key}: is empty: give {key}=[PATH]")
        elif not Path(path).exists():
            near = nearest(path) or usual(composed.stage, key)
            lines.append(f"{key}: {path} is not there; {f'did you mean {near}?' if near else on_hub(path) or repair(Path(path))}")
    return lines


def unpinned(node, key: str = "") -> list[str]:
    """Return one line for each reference below a node of the pipeline whose revision may move, the name of a source or a model's path."""
    if hub.is_reference(node):
        asked, kind = hub.parse(node), hub_kind("inputs.data" if key.startswith("source.") else key)
        return [] if asked.pinned else [f"{key}: {hub.unpinned(asked, kind)}"]
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [line for name, item in below for line in unpinned(item, f"{key}.{name}" if key else str(name))]


def on_hub(path: str) -> str | None:
    """Return the question whether a name that is no path is meant as one of the hub; None if it has not the form of one."""
    owner, _, name = path.partition("/")
    named = bool(name) and not Path(owner).exists() and Path(name.partition("@")[0]).suffix.lower() not in FILES
    return f"did you mean {hub.HUB}{path}?" if named and not hub.fault(f"{hub.HUB}{path}") and path.count("/") == 1 else None


def repair(path: Path) -> str:
    """Return the command that makes a missing path, else the advice to name another."""
    if path.parts[:1] == ("artifacts",) and len(path.parts) > 1:
        return f"run `dvc repro {path.parts[1]}` or `dvc pull {path.parts[1]}`, or name another"
    return "run `dvc repro data.dvc` or `dvc pull data.dvc`" if path.parts[:1] == ("data",) else "name one that exists"


def nearest(path: str) -> str | None:
    """Return the existing path with nearly this name; None if there is none."""
    if Path(path).expanduser().exists():
        return str(Path(path).expanduser())
    place = Path(Path(path).anchor)
    for part in Path(path).parts[1 if place.anchor else 0 :]:
        if (place / part).exists():
            place = place / part
            continue
        names = [each.name for each in place.iterdir() if not each.name.startswith(".")] if place.is_dir() else []
        near = difflib.get_close_matches(part, names, 1)
        if not near:
            return None
        place = place / near[0]
    return str(place)


def usual(stage: str, key: str) -> str | None:
    """Return the pipeline's own file for an input; None if it does not exist."""
    value = str((groups.content("stage", stage).get("inputs") or {}).get(key.removeprefix("inputs.")))
    if not value.startswith((STAGE, MADE)):
        return None
    name, _, rest = value.partition(":")[2].partition("/")
    path = (Path("data") if name == "collect" else Path("artifacts") / name) / rest
    return str(path) if path.exists() else None


def _references(composed) -> list[str]:
    """Return one line for each reference to an unknown stage or experiment, or to a file that the stage does not write."""
    lines = []
    for name, value in composed.inputs.items():
        if value is None or is_path(value):
            continue
        kind, _, rest = value.partition(":")
        named, _, part = rest.partition("/")
        known = groups.options("experiment") if kind == "experiment" else groups.stages()
        if named not in known:
            lines.append(f"inputs.{name}: there is no {'experiment' if kind == 'experiment' else 'stage'} {named}{suggest(named, known)}")
            continue
        stage = groups.stage_of([f"experiment={named}"]) if kind == "experiment" else named
        writes = _constant(stage, "WRITES")
        if part and writes and part.split("/")[0] not in writes:
            lines.append(f"inputs.{name}: {named} writes no {part}{suggest(part, writes)}")
    return lines


def _nulls(composed) -> list[str]:
    """Return one line for each null input that the stage or one of its nodes needs."""
    lines = []
    for names in _constant(composed.stage, "NEEDS"):
        if all(composed.inputs.get(name) is None for name in names):
            keys = " or ".join(f"inputs.{name}" for name in names)
            lines.append(f"{keys}: name the folder or file that {composed.stage} needs, inputs.{names[0]}=PATH")
    beside = _constant(composed.stage, "BESIDE")
    if (composed.section.get("budget") or {}).get("max_steps") == 0:  # a run without a step reads no rows
        beside = (*beside, "data")
    read = [each for each in _given(composed.section, "") if each[0].partition(".")[0] not in beside]
    for key, value, may_be_null in read:
        name = str(value)[1:-1]  # inputs stand in a section as <name>
        if value == f"<{name}>" and name in composed.inputs and composed.inputs[name] is None and not may_be_null:
            lines.append(f"{key}: reads inputs.{name}, which is null: give inputs.{name}=PATH, or choose no option that reads it")
    return lines


def _constant(stage: str, name: str) -> tuple:
    """Return a stage's constant: NEEDS (inputs, one of each tuple), WRITES (names in its out), BESIDE (keys whose inputs may be null)."""
    target = str(groups.content("stage", stage).get("_target_", ""))
    return getattr(importlib.import_module(target.rpartition(".")[0]), name, ())
