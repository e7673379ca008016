"""Refuses values that a stage expects to be nodes and are not: a mapping without `_target_` builds nothing, and the run fails late."""

import typing
from collections.abc import Callable, Iterator

from fmcycle.config import groups, signature
from fmcycle.errors import suggest
from fmcycle.ranges import Node, Section, Space

TRAIN = "fmcycle.stage.train.run"
GIVEN = ("processor", "model", "trainer", "out", "runs", "inputs")  # the stage gives these to a candidate


def misplaced(config: dict, where: Callable[[str], str]) -> list[str]:
    """Return one line for each value of a stage's config that should be a node, a mapping of nodes or a list of them, and is not."""
    known = signature.read(str(config.get("_target_")))
    found = known.parameters.items() if known else ()
    return [line for name, parameter in found for line in _faults(config.get(name), parameter.type, name, where)]


def _faults(value, kind, key: str, where) -> Iterator[str]:
    inner = typing.get_args(kind)
    if value is None or value == "???":
        return
    if kind == Node:
        if not isinstance(value, dict) or "_target_" not in value:
            yield _no_node(key, where)
    elif kind == Section:
        yield from _section(value, key, where)
    elif kind == Space:
        yield from _space(value, key, where)
    elif type(None) in inner:
        yield from _faults(value, next(each for each in inner if each is not type(None)), key, where)
    elif typing.get_origin(kind) is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _faults(item, inner[-1], f"{key}.{index}", where)
    elif typing.get_origin(kind) is dict and isinstance(value, dict):
        yield from _mapping(value, inner[0], inner[1], key, where)


def _mapping(value: dict, names, item, key: str, where) -> Iterator[str]:
    if "_target_" in value and item in (Node, Section):
        step = value["_target_"]
        option = next((name for name in groups.options(_group(key)) if groups.content(_group(key), name).get("_target_") == step), "NAME")
        yield f"{key}: {step} must stand under a name of its own: add it as +{_group(key)}@{key}.{option}={option} ({where(key)})"
        return
    for name, node in value.items():
        if typing.get_args(names) and name not in typing.get_args(names):
            yield f"{key}.{name}: no such key in {where(key)}{suggest(str(name), typing.get_args(names))}"
        else:
            yield from _faults(node, item, f"{key}.{name}", where)


def _no_node(key: str, where) -> str:
    place, _, name = key.rpartition(".")
    known = groups.members(_group(place)) if place else {}
    if name in known:
        return f"{key}: {name} is not among the chosen options: add it to {place}=[...]"
    if known:
        return f"{key}: is not a chosen option of conf/{_group(place)}, and has no _target_ of its own{suggest(name, known)}"
    return f"{key}: needs a _target_ to be built ({where(key)}); choose an option, {key}=NAME"


def _group(place: str) -> str:
    """Return the group whose options any stage puts at `place`; `place` itself if none does."""
    return next((found for stage in groups.stages() if (found := groups.places(stage).get(place))), place)


def _section(value, key: str, where) -> Iterator[str]:
    known = signature.read(TRAIN)
    assert known is not None
    if not isinstance(value, dict):
        yield f"{key}: must hold data, objective, strategy, optimizer and budget ({where(key)})"
        return
    for name, node in value.items():
        if name not in known.parameters:
            yield f"{key}.{name}: no such key in {where(key)}{suggest(str(name), known.parameters)}"
        elif name not in GIVEN:
            yield from _faults(node, known.parameters[name].type, f"{key}.{name}", where)
    for name, parameter in known.parameters.items():
        if parameter.required and name not in GIVEN and value.get(name) is None:
            yield f"{key}.{name}: {TRAIN} needs it; add it to {where(key)}"


def _space(value, key: str, where) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{key}: must be a fmcycle.search.space.Range or Choice, not {value!r} ({where(key)})"
    elif "_target_" not in value:
        for name, node in value.items():
            yield from _space(node, f"{key}.{name}", where)
