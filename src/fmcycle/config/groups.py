"""Config groups of a stage: which nodes a choice of options adds, and which values of options that were not chosen go."""

import functools
import re
import typing
from pathlib import Path
from typing import Any

from fmcycle.config import signature, user_yaml
from fmcycle.config.build import added_folders, conf_dir
from fmcycle.errors import ConfigError
from fmcycle.ranges import Node

START = "start"  # conf/start: the defaults that a model brings to its stages; chosen with the model, never alone
CHOICE = re.compile(r"([\w/]+)(?:@([\w.]+))?=(?:\[([\w,\s]*)\]|(\w+))")
RUN = re.compile(r"^(\+?init_from=)(\d\w*)$")  # the beginning of an identity may look like a number, 12 or 5e12
INPUT = re.compile(r"\$\{inputs\.(\w+)\}")


def search_path() -> str:
    """Return Hydra's override for the conf/ folders that add options."""
    folders = [f"'file://{folder}'" for folder in added_folders()]
    return f"hydra.searchpath=[{','.join(folders)}]"


def folders() -> list[Path]:
    """Return conf/ and every folder that adds options to it."""
    return [conf_dir(), *added_folders()]


def names() -> list[str]:
    """Return every group that a user may choose from."""
    return sorted({each.name for folder in folders() for each in folder.iterdir() if each.is_dir()} - {START, "hydra"})


def options(group: str) -> list[str]:
    """Return the options of a group, including those of the user's packages."""
    return sorted({file.stem for folder in folders() for file in (folder / group).glob("*.yaml")})


@functools.cache
def _read(file: Path, _written: float) -> dict:
    found = user_yaml.content(file)
    return found if isinstance(found, dict) else {}


def option_file(group: str, option: str) -> Path | None:
    """Return the yaml of an option; None if there is no such option."""
    return next((file for folder in folders() if (file := folder / group / f"{option}.yaml").is_file()), None)


def content(group: str, option: str) -> dict:
    """Return the content of an option's yaml; {} if there is no such option."""
    file = option_file(group, option)
    return _read(file, file.stat().st_mtime) if file else {}


def single(group: str, option: str) -> bool:
    """True if the option is one node, not a mapping of nodes by name."""
    return "_target_" in content(group, option)


def members(group: str) -> dict[str, str]:
    """Return {node: the option that holds it} of a group whose options map names to nodes; an option with the node's own name wins."""
    held = {name: option for option in options(group) if not single(group, option) for name in content(group, option)}
    return held | {name: name for name in held if name in content(group, name)}


def stage_of(overrides: list[str]) -> str:
    """Return the stage that overrides choose: by `stage=`, else by their experiment, else finetune."""
    for key in ("stage", "experiment"):
        if named := [text.split("=", 1)[1] for text in overrides if text.startswith(f"{key}=")]:
            return named[-1] if key == "stage" else defaults("experiment", named[-1]).get("stage", "finetune")
    return "finetune"


def defaults(group: str, option: str) -> dict[str, Any]:
    """Return {group or group@package: chosen option or options} of the defaults list of an option's yaml, its `override` lines included."""
    items = [item for item in content(group, option).get("defaults", []) if isinstance(item, dict)]
    return {key.removeprefix("override ").lstrip("/"): chosen for item in items for key, chosen in item.items()}


def places(stage: str) -> dict[str, str]:
    """Return {package: group} of the defaults list of a stage: {"judge": "evaluation", "model": "model", ...}."""
    split = [key.partition("@") for key in defaults("stage", stage)]
    return {package or group.replace("/", "."): group for group, _, package in split}


def mappings(target: str) -> set[str]:
    """Return the parameters of a stage that hold nodes by name, such as `evaluation`."""
    known = signature.read(target)
    return {name for name, parameter in known.parameters.items() if holds_nodes(parameter.type)} if known else set()


def holds_nodes(kind) -> bool:
    """True for the type of a mapping of nodes, or of lists of nodes."""
    if typing.get_origin(kind) is not dict:
        return False
    item = typing.get_args(kind)[-1]
    return Node in (item, *typing.get_args(item))


def spread(overrides: list[str]) -> list[str]:
    """Return the overrides with every option that is one node under its own name.

    curation=[web,burst] is curation=[web] +curation@curation.burst=burst; source=[bible] leaves out the stage's other sources.
    """
    stage = stage_of(overrides)
    by_name = mappings(str(content("stage", stage).get("_target_", "")))
    return [each for text in overrides for each in _spread(RUN.sub(r"\1'\2'", text), stage, by_name)]


def _spread(text: str, stage: str, by_name: set[str]) -> list[str]:
    match = CHOICE.fullmatch(text)
    group, package, listed, one = match.groups() if match else ("", "", "", "")
    package, chosen = package or group, [name.strip() for name in (one or listed or "").split(",") if name.strip()]
    if match is None or group not in names() or set(chosen) - set(options(group)):
        return [text]
    if package not in by_name:
        return [f"{text.split('=')[0]}={chosen[0]}"] if len(chosen) == 1 else [text]
    below = [place for place, name in places(stage).items() if name == group and place.startswith(f"{package}.")]
    if below:  # the stage's yaml puts each of its options under a name
        return [f"~{group}@{place}" for place in below if place.rpartition(".")[2] not in chosen] + [
            f"+{group}@{package}.{name}={name}" for name in chosen if f"{package}.{name}" not in below
        ]
    steps = [name for name in chosen if single(group, name)]
    rest = ",".join(name for name in chosen if name not in steps)
    return [f"{text.split('=')[0]}=[{rest}]", *(f"+{group}@{package}.{name}={name}" for name in steps)] if steps else [text]


def fitting(brought: list[str], chosen: list[str]) -> list[str]:
    """Return the overrides that a model brings, without those of nodes that a list of options among `chosen` leaves out."""
    named: dict[str, set[str]] = {}
    for match in filter(None, map(CHOICE.fullmatch, chosen)):
        group, package, listed, one = match.groups()
        found = [name.strip() for name in (one or listed or "").split(",")]
        if members(group) and not any(single(group, name) for name in found):
            named[package or group] = {node for name in found for node in content(group, name)}
    return [text for text in brought if not left_out(text.split("=")[0].split("."), named)]


def left_out(path: list[str], named: dict[str, set[str]]) -> bool:
    """True for a key of a node that is not among the nodes named for its place."""
    return len(path) > 2 and path[0] in named and path[1] not in named[path[0]]


def drop_unchosen(cfg, stage: str, overrides: list[str]) -> None:
    """Remove from `cfg` the values that a yaml sets for options that were not chosen; an empty list of options becomes {}.

    Values from the command line stay, so that the check refuses them.
    """
    given = [text.lstrip("+").split("=")[0].split(".") for text in overrides]
    for package in mappings(str(cfg.get("_target_"))):
        if package not in cfg:
            cfg[package] = {}
        known = members(places(stage).get(package, package))
        for name in list(cfg[package] or {}):
            node = cfg[package][name]
            if name in known and [package, name] not in [key[:2] for key in given] and hasattr(node, "keys") and "_target_" not in node:
                del cfg[package][name]


@functools.cache
def _references(_conf: Path) -> dict[str, str]:
    """Return {input: reference} of the inputs that have the same reference in every stage that names them."""
    found: dict[str, set[str]] = {}
    for stage in options("stage"):
        for name, value in (content("stage", stage).get("inputs") or {}).items():
            if str(value).startswith("stage:"):
                found.setdefault(name, set()).add(value)
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def supply(cfg) -> list[str]:
    """Add to `cfg` the inputs that a chosen node reads and the stage lacks, if all other stages read the same; return their names."""
    from omegaconf import OmegaConf

    chosen = [OmegaConf.to_container(cfg[name], resolve=False) for name in mappings(str(cfg.get("_target_"))) if cfg.get(name)]
    wanted = {name for name in INPUT.findall(str(chosen)) if name not in cfg.inputs and name in _references(conf_dir())}
    for name in wanted:
        cfg.inputs[name] = _references(conf_dir())[name]
    return sorted(wanted)


def doubled(overrides: list[str]) -> list[str]:
    """Return one line for each list of options given where the stage takes one option: Hydra would merge them."""
    stage = stage_of(overrides)
    single = {*places(stage), "stage"} - mappings(str(content("stage", stage).get("_target_", "")))
    lists = [match for match in filter(None, map(CHOICE.fullmatch, overrides)) if match[3] is not None]
    wrong = [match for match in lists if (match[2] or match[1]) in single]
    return [f"{match[0]}: takes one option, {match[0].split('=')[0]}=NAME; there is {', '.join(options(match[1]))}" for match in wrong]


def chain(cfg, stage: str, overrides: list[str]) -> None:
    """Put the lists of several chosen options one behind the other: guardrail=[default,short] has the guards of both.

    Hydra would replace the first option's lists by the second's. Raises ConfigError if an override changes a list beside that.
    """
    for match in filter(None, map(CHOICE.fullmatch, overrides)):
        group, package, listed, _ = match.groups()
        package, chosen = package or group, [name.strip() for name in (listed or "").split(",") if name.strip()]
        held = [content(group, name) for name in chosen]
        if len(chosen) < 2 or package not in mappings(str(cfg.get("_target_"))) or places(stage).get(package) != group:
            continue
        for key in [key for each in held for key, value in each.items() if isinstance(value, list)]:
            if changed := [text for text in overrides if text.lstrip("+~").startswith(f"{package}.{key}")]:
                raise ConfigError([f"{changed[0]}: it would replace the lists of {match[0]}: choose one option beside it"])
            cfg[package][key] = [item for each in held for item in each.get(key) or []]


def twice(overrides: list[str]) -> list[str]:
    """Return one line for each key that overrides give two values: the first would be ignored without a word."""
    given: dict[str, list[str]] = {}
    for text in overrides:
        key, equals, value = text.lstrip("+").partition("=")
        if equals and not key.startswith("~"):
            given.setdefault(key, []).append(value)
    apart = {key: list(dict.fromkeys(values)) for key, values in given.items()}
    return [f"{key}: given as {' and as '.join(values)}: leave all but one out" for key, values in apart.items() if len(values) > 1]


# how a stage runs: never part of its identity
MACHINE = ("trainer", "executor", "price", "limit", "logger", "inputs", "out", "runs", "base", "minutes")
RAW = "collection"  # the raw data: part of collect's identity; the identity of later stages has the digests of their inputs instead
# a stage's choice of these, and of its trainer, also holds for the stages that make its inputs
SHARED = ("model", "processor", "guardrail", RAW)


def where(key: str, choices: dict) -> str:
    """Return the file that holds a dotted key: the experiment if it sets it, else that of the longest package that the key begins with."""
    if _has(content("experiment", str(choices.get("experiment"))), key.split(".")):
        return f"conf/experiment/{choices['experiment']}.yaml"
    stage = str(choices.get("stage"))
    best = ("", f"conf/stage/{stage}.yaml")
    place, _, node = key.partition(".")
    listed = places(stage).get(place, "")
    if (option := members(listed).get(node.partition(".")[0])) and place not in choices:  # an option of a list
        best = (place, f"conf/{listed}/{option}.yaml")
    for each, option in choices.items():
        name, _, package = each.partition("@")
        package = package or name.replace("/", ".")
        if option and (key == package or key.startswith(package + ".")) and len(package) > len(best[0]):
            best = (package, f"conf/{name}/{option}.yaml")
    return best[1]


def _has(node, path: list[str]) -> bool:
    """True if a plain mapping has the key at `path`."""
    return not path or (isinstance(node, dict) and path[0] in node and _has(node[path[0]], path[1:]))


def stage_groups(stage: str) -> set[str]:
    """Return the groups in the defaults list of a stage, and `collection`, which every stage has."""
    return {*places(stage).values(), RAW}


def stages() -> list[str]:
    """Return every stage, including those of the user's packages."""
    return options("stage")
