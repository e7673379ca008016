"""Reads `model=PATH`: the overrides with which a stage reads a model that lies anywhere, and what is wrong with the path."""

import re
from pathlib import Path

from fmcycle.artifact import external, hub
from fmcycle.artifact import folder as artifact
from fmcycle.config import groups, paths
from fmcycle.config.grammar import quoted
from fmcycle.errors import ConfigError

CONVERT = "stage:convert/model"  # the model of the config's own weights, as an artifact
PLACES = ("", "model", "out/model")  # of a model below a path: the folder of a stage or of a run has it inside
HOLDS = "a model folder holds config.json, *.safetensors and its tokenizer; an adapter adapter_config.json; or name a GGUF file"
AGAINST = ("reference", "unaligned")  # inputs that are models which a stage compares with
KEY = re.compile(r"[+~]*([^=]*)")


def named(overrides: list[str], *, sweep: bool = False) -> list[str]:
    """Return `overrides` with `model=PATH` as the keys that name these weights in the stage; a model that is an option stays.

    A path exists, contains `/` or begins with `hub:`. sweep: `model=A,B` lists several.
    Raises ConfigError with all that is wrong with the paths, or if the stage reads no model.
    """
    chosen = [text for text in overrides if text.startswith("model=")]
    values = _values(chosen[-1].partition("=")[2], sweep) if chosen else []
    wanted = [value for value in values if is_path(value)]
    if not wanted:
        return overrides
    if options := [value for value in values if value not in wanted]:
        raise ConfigError([f"model={','.join(values)}: sweep over paths or over options, not over both: {options[0]} is no path"])
    places, problems = [], []
    for value in wanted:
        try:
            places.append(located(value))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    overrides = [_fetched(text) if text.startswith(f"model.base={hub.HUB}") else text for text in overrides]
    based = [text.partition("=")[2] for text in overrides if text.startswith("model.base=")]
    if problems := [line for place in places if (line := _baseless(Path(place), based))]:
        raise ConfigError(problems)
    stage = groups.stage_of(overrides)
    rest = [text for text in overrides if text not in chosen]
    added = _of_stage(stage, ",".join(map(quoted, places)), rest)
    return [text for text in rest if not text.startswith("model.") or "model=pretrained" in added] + added


def is_path(value: str) -> bool:
    """True if `value` names a model's place, not an option of conf/model."""
    return bool(value) and value not in groups.options("model") and (hub.is_reference(value) or "/" in value or Path(value).exists())


def _values(text: str, sweep: bool) -> list[str]:
    parts = text.split(",") if sweep and not Path(text).exists() else [text]
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] and part[0] in "'\"" else part for part in map(str.strip, parts)]


def located(path: str) -> str:
    """Return the file or folder of the model at `path`: itself, or the `model` inside the folder of a stage, a run or a package.

    A `hub:` reference is fetched into the cache. Raises ConfigError with the nearest path, or with what a model folder holds.
    """
    if hub.is_reference(path):
        path = str(hub.fetched(path, "model"))
    if not Path(path).exists():
        near = paths.nearest(path)
        owned = re.fullmatch(r"[\w.-]+/[\w.-]+", path)
        did = f"did you mean model={near}?" if near else f"did you mean model={hub.HUB}{path}?" if owned else "name one that exists"
        raise ConfigError([f"model={path}: is not there; {did}"])
    for place in PLACES:
        if external.form(Path(path) / place if place else Path(path)):
            return str(Path(path) / place) if place else path
    raise ConfigError([f"model={path}: is no model{instead(Path(path))}"])


def _baseless(place: Path, given: list[str]) -> str | None:
    """Return why an adapter has no base; None if it has one, or is none."""
    if external.form(place) != "adapter" or given or external.base_of(place):
        return None
    named = artifact.read_json(place / external.ADAPTER).get("base_model_name_or_path")
    what = f"{named}, which is not here" if named else "a model that its config does not name"
    near = f", such as model.base={hub.HUB}{named}" if named and re.fullmatch(r"[\w.-]+/[\w.-]+", named) else ""
    return f"model={place}: is an adapter of {what}: name the model that it was trained on, model.base=PATH{near}"


def _fetched(text: str) -> str:
    key, _, value = text.partition("=")
    return f"{key}={quoted(str(hub.fetched(value, 'model')))}"


def instead(path: Path) -> str:
    """Return what was probably meant by a path that is no model."""
    if not path.is_dir():
        weights = path.suffix == ".safetensors" and external.form(path.parent)
        return f"; did you mean its folder, {path.parent}?" if weights else f": {HOLDS}"
    inside = [each for each in sorted(path.iterdir()) if not each.name.startswith(".") and external.form(each)]
    if inside:
        return f", but holds {', '.join(each.name for each in inside[:4])}; did you mean {inside[0]}?"
    held = ", ".join(sorted(each.name for each in path.iterdir())[:4]) or "nothing"
    return f"; it holds {held}: {HOLDS}"


def reads(stage: str) -> list[str]:
    """Return the inputs of a stage that are a model: what it starts from or measures, not what it is held against."""
    inputs = groups.content("stage", stage).get("inputs") or {}
    return [name for name, value in inputs.items() if name == "model" or (name not in AGAINST and re.search(r":\w+/model$", str(value)))]


def _of_stage(stage: str, value: str, overrides: list[str]) -> list[str]:
    """Return the overrides that make `stage` read the model at `value`, beside those of `overrides`."""
    keys = {KEY.match(text)[1]: text.partition("=")[2] for text in overrides}  # type: ignore[index]
    inputs = [name for name in reads(stage) if f"inputs.{name}" not in keys]
    if "model" in groups.stage_groups(stage):
        return ["model=pretrained", f"model.path={value}", *(f"inputs.{name}={CONVERT}" for name in inputs)]
    if not reads(stage):
        known = [each for each in groups.stages() if reads(each) or "model" in groups.stage_groups(each)]
        raise ConfigError([f"model={value}: {stage} reads no model; the stages that do: {', '.join(known)}"])
    if other := [key for key in keys if key.startswith("model.") and key != "model.base"]:
        raise ConfigError([f"{key}: {stage} takes model=PATH and model.base=PATH; stages that train take {key}" for key in other])
    base = [f"+inputs.base={keys['model.base']}"] if "model.base" in keys else []
    found = [*(f"inputs.{name}={value}" for name in inputs), *base]
    return found + _without_the_rest(stage, keys)


def _without_the_rest(stage: str, keys: dict[str, str]) -> list[str]:
    """Return the overrides that leave out what the default pipeline made, and the evaluations that would read it.

    evaluate without any rows of one's own keeps the default's.
    """
    content = groups.content("stage", stage)
    usual = {name: value for name, value in (content.get("inputs") or {}).items() if name not in reads(stage)}
    made = [name for name, value in usual.items() if value is not None and not paths.is_path(value)]
    rows = [name for name in made if str(usual[name]).startswith("stage:curate/")]
    own = {name for name in rows if keys.get(f"inputs.{name}", "null") != "null"}
    kept = set(rows) if rows and not own and stage == "evaluate" else own
    found = [f"inputs.{name}=null" for name in made if name not in kept and f"inputs.{name}" not in keys]
    listed = groups.defaults("stage", stage).get("evaluation")
    if listed and "evaluation" not in keys:
        found.append(f"evaluation=[{','.join(option for option in listed if not missing('evaluation', option, kept, rows))}]")
    if content.get("sample") and "instructions" not in kept and not any(key.startswith("sample") for key in keys):
        found.append("sample=null")
    return found


def missing(group: str, option: str, given: set[str], rows: list[str]) -> list[str]:
    """Return the inputs among `rows` that an option reads and that are not `given`."""
    return [name for name in groups.INPUT.findall(str(groups.content(group, option))) if name in rows and name not in given]


def left_out(composed) -> str:
    """Return a line with the inputs that a stage does without and the evaluations that would read them; "" if it lacks none."""
    listed = groups.defaults("stage", composed.stage).get("evaluation") or []
    usual = groups.content("stage", composed.stage).get("inputs") or {}
    nulls = [name for name, value in composed.inputs.items() if value is None and str(usual.get(name)).startswith("stage:curate/")]
    chosen = composed.section.get("evaluation") or {}
    without = [option for option in listed if option not in chosen and missing("evaluation", option, set(), nulls)]
    return f"{composed.stage}: {', '.join(f'no inputs.{name}' for name in nulls)}: without {', '.join(without)}" if without else ""
