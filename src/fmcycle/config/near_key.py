"""Finds the key that a wrong key was probably meant to be, wherever it stands in a config."""

import difflib
from collections.abc import Iterable, Iterator

from fmcycle.config import groups, signature
from fmcycle.errors import suggest

LOCAL = ("trainer", "executor", "logger")  # groups of local.yaml


def key(wrong: str, config: dict, here: Iterable[str], value: str = "VALUE") -> str:
    """Return `; did you mean X?` with the nearest key that `config` has or that one of its constructors takes; else a list of `here`.

    wrong: a dotted key that is not in `config`, plain data; here: names that may stand in its place; value: the wrong key's, as text.
    The same name anywhere comes before a similar one; a key beside the wrong one is named without its path.
    """
    at, rest = _split(wrong, config)
    beside = [(*at, str(name)) for name in here]
    there, addable = [*beside, *_keys(config)], list(_addable(config))
    scores = {path: _score(path, at, rest, path in there) for path in dict.fromkeys([*there, *addable]) if path != (*at, *rest)}
    best = max(scores.values(), default=0)
    if not best:
        return suggest(rest[0], here)
    found = [path for path, score in scores.items() if score == best][:3]
    names = [path[-1] if path[:-1] == at else ".".join(path) for path in found]
    add = "" if found[0] in there else f" It may be added with +{'.'.join(found[0])}={value}"
    return f"; did you mean {' or '.join(names)}?{add}"


def _score(path: tuple[str, ...], at: tuple[str, ...], rest: tuple[str, ...], there: bool) -> float:
    """Return how likely the key `path` was meant by `rest` at `at`; 0 if it was not. there: the config has the key."""
    below, tail = path[: len(at)] == at, path[-len(rest) :]
    if tail == rest:
        return 1 + 2 * there + below
    sibling = path[:-1] == at
    matcher = difflib.SequenceMatcher(None, *((rest[0], path[-1]) if sibling else (".".join(rest), ".".join(tail))))
    least = 0.5 if sibling else 0.75
    if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least or (ratio := matcher.ratio()) < least:
        return 0
    return ratio / 2 + (0.1 if there else 0) + (0.1 if sibling and len(rest) == 1 else 0)


def in_params(name: str) -> str:
    """Return `; did you mean overrides.STAGE.KEY?` if a key of params.yaml stands below a group of a stage; "" if it does not."""
    found: dict[str, list[str]] = {}
    for stage in groups.stages():
        chosen = groups.defaults("stage", stage)
        contents = {
            place: groups.content(group, str(chosen.get(place, chosen.get(group)))) for place, group in groups.places(stage).items()
        }
        for path in _keys(contents):
            if path[-1] == name and len(path) > 1:
                found.setdefault(".".join(path), []).append(stage)
    if not found:
        return ""
    place, stages = max(found.items(), key=lambda item: len(item[1]))
    return f"; did you mean overrides.STAGE.{place} with STAGE {' or '.join(stages)}?"


def in_local(name: str) -> str:
    """Return `; did you mean GROUP.KEY?` if a key of local.yaml stands below one of its groups; "" if it does not."""
    every = {
        group: {key: each for option in groups.options(group) for key, each in groups.content(group, option).items()} for group in LOCAL
    }
    found = [".".join(path) for path in _keys(every) if path[-1] == name]
    return f"; did you mean {' or '.join(found[:3])}?" if found else ""


def _split(wrong: str, config: dict) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (the part of a dotted key that is in `config`, the rest)."""
    parts, node, depth = tuple(wrong.split(".")), config, 0
    while depth < len(parts) - 1 and isinstance(node, dict) and isinstance(node.get(parts[depth]), dict):
        node, depth = node[parts[depth]], depth + 1
    return parts[:depth], parts[depth:]


def _keys(node, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key of plain mappings."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if not str(name).startswith("_") and (path or name != "hydra"):
            yield (*path, str(name))
            yield from _keys(value, (*path, str(name)))


def _addable(node, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every parameter of a node's constructor that the node does not have; not those of the stage itself."""
    for name, value in node.items() if isinstance(node, dict) else ():
        known = signature.read(value["_target_"]) if isinstance(value, dict) and isinstance(value.get("_target_"), str) else None
        yield from ((*path, str(name), each) for each in (known.parameters if known else ()) if each not in value)
        yield from _addable(value, (*path, str(name)))
