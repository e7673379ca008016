"""Explains every override that Hydra refuses, each with the nearest right name."""

import re
from typing import cast

from fmcycle.config import groups as group
from fmcycle.config import near_key, signature
from fmcycle.errors import InputError, suggest


def explain(overrides: list[str], error: Exception, hydra_compose) -> list[str]:
    """Return one line for each wrong override; Hydra's own message if the fault is in a file of conf/."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser, parsed, problems = OverridesParser.create(), [], []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except Exception as fault:  # the grammar's own exceptions have no common base
            problems.append(f"{text}: not an override: {str(fault).splitlines()[0]}; write key=value")
    groups = [item for item in parsed if _is_group(item)]
    values = [item for item in parsed if item not in groups]
    right: list[str] = []
    for item in sorted(groups, key=lambda item: item.key_or_group != "stage"):
        problem = _group_problem(item, right, group.stage_of(overrides), hydra_compose)
        if problem:
            problems.append(problem)
        else:
            right.append(str(item.input_line))
    try:
        base = hydra_compose(right)
    except Exception as fault:
        return problems or [_first_lines(fault)]
    for item in values:
        if problem := _value_problem(item, base, right, hydra_compose):
            problems.append(problem)
    return problems or [_first_lines(error)]


def unresolved(error: Exception, choices: dict) -> str:
    """Return which missing key an interpolation reads, and which choice has it."""
    key, stage = getattr(error, "full_key", None) or "config", choices["stage"]
    found = re.search(r"Interpolation key '([\w.]+)' not found", str(error))
    if found is None:
        return f"{key}: {error.__cause__ if isinstance(error.__cause__, InputError) else str(error).splitlines()[0]}"
    place, _, name = found[1].partition(".")
    if place == "inputs":
        return f"{key}: reads {found[1]}, and stage {stage} has no such input: add +{found[1]}=PATH, or choose another {key.split('.')[0]}"
    if choices.get(place):
        having = [option for option in group.options(place) if name in group.content(place, option)]
        return f"{key}: reads {found[1]}, which {place}={choices[place]} does not have; choose one that has: {', '.join(having) or 'none'}"
    if place in group.places(stage):
        return f"{key}: reads {found[1]}, which no chosen option of {place} has: choose its option too, or leave {key} out"
    having = [other for other in group.options("stage") if place in group.places(other)]
    other = f"choose another {group.places(stage).get(key.split('.')[0], key.split('.')[0])}, or a stage that has it: {', '.join(having)}"
    return f"{key}: reads {found[1]}, and stage {stage} has no {place}; {other}"


def _is_group(item) -> bool:
    return (item.key_or_group in (*group.names(), group.START) or "/" in item.key_or_group) and not isinstance(item.value(), dict)


def _group_problem(item, right, stage: str, hydra_compose) -> str | None:
    name, chosen = item.key_or_group, item.value()
    if name == group.START:
        return f"{item.input_line}: conf/start holds the defaults of a model; choose the model: model={chosen}"
    wanted = chosen if isinstance(chosen, list) else ["null" if chosen is None else str(chosen)]
    known = group.options(name)
    if known and (wrong := [option for option in wanted if str(option) not in known]):
        place = f"{name}@{item.package}" if item.package else name
        return "; ".join(f"{place}={option}: no such option in conf/{name}{suggest(str(option), known)}" for option in wrong)
    try:
        hydra_compose([*right, item.input_line])
    except Exception as fault:
        if "No match in the defaults list" in str(fault):
            having = [other for other in group.stages() if name in group.stage_groups(other)]
            elsewhere = f"; the stages that have it: {', '.join(having)}" if having else ""
            return f"{item.input_line}: stage {stage} has no group {name}{elsewhere}"
        return f"{item.input_line}: {_first_lines(fault)}"
    return None


def _value_problem(item, base, right, hydra_compose) -> str | None:
    from omegaconf import OmegaConf

    try:
        hydra_compose([*right, item.input_line])
        return None
    except Exception as fault:
        parts = item.key_or_group.split(".")
        node, depth = base, 0
        while depth < len(parts) and OmegaConf.is_dict(node) and parts[depth] in node:
            node, depth = node[parts[depth]], depth + 1
        if depth == len(parts):
            if isinstance(item.value(), dict) and OmegaConf.is_dict(node):  # optimizer={lrr:1}
                inner = [_missing(f"{item.key_or_group}.{name}", "VALUE", depth, node, base) for name in item.value() if name not in node]
                return "; ".join(inner) or f"{item.input_line}: {_first_lines(fault)}"
            return f"{item.input_line}: {_first_lines(fault)}"
        return _missing(item.key_or_group, item.input_line.partition("=")[2], depth, node, base)


def _missing(key: str, value: str, depth: int, node, base) -> str:
    """Return why `node` of the config `base` lacks `key`, whose part at `depth` it should have, and which key was probably meant."""
    from omegaconf import OmegaConf

    parts, choices = key.split("."), dict(base.hydra.runtime.choices)
    name, file = parts[depth], group.where(key, choices)
    there = [each for each in node if each not in ("hydra", "_target_", "_partial_")] if OmegaConf.is_dict(node) else []
    place = group.places(choices["stage"]).get(parts[0], "") if depth == 1 else ""
    if name in group.members(place) and place not in choices:
        return f"{key}: {name} is not among the chosen options of {place}: choose it too, {parts[0]}=[{','.join([*there, name])}]"
    target = node.get("_target_") if OmegaConf.is_dict(node) else None
    known = signature.read(target) if isinstance(target, str) else None
    if known and name in known.parameters:
        return f"{key}: not in {file}, but {target} takes it: add it with +{key}={value}"
    config = cast(dict, OmegaConf.to_container(base, resolve=False))
    here = there + (group.names() if depth == 0 else [])
    return f"{key}: no such key in {file}{near_key.key(key, config, here, value)}"


def _first_lines(fault: Exception) -> str:
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return " ".join(lines[:3])
