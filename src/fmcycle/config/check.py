"""Checks a config against the constructors that it names: reports every wrong name, else every wrong value, with key and file."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fmcycle.config import build, library, near_key, nouns, signature
from fmcycle.config.conflicts import conflicts
from fmcycle.config.nodes import misplaced
from fmcycle.errors import suggest


def check(config: dict, where) -> list[str]:
    """Return the problems of a resolved config; its values are checked only if all names are right.

    config: plain data; where: (dotted key) -> the file that holds the key.
    """
    found = Found(config, where, values=own(config))
    _walk(config, Place(), found)
    return [*found.names, *misplaced(config, where)] or found.values or conflicts(config)


@dataclass
class Found:
    """The problems of names and of values in `config`; where: (dotted key) -> the file that holds the key."""

    config: dict
    where: Callable[[str], str]
    names: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Position of a node in a config: its dotted key, its noun, and whether it lies inside another node of that noun."""

    key: str = ""
    of: nouns.Noun | None = None
    inside: bool = False
    in_sections: bool = False  # its children are named sections of another stage

    @property
    def prefix(self) -> str:
        return f"{self.key}." if self.key else ""

    def below(self, name: str, node: dict | list) -> "Place":
        """Return the place of the child `name` of `node`, if `node` is at this place."""
        key = f"{self.prefix}{name}"
        if self.of is None and not self.in_sections:
            return Place(key, nouns.NOUNS.get(name), in_sections=name == nouns.SECTIONS)
        return Place(key, self.of, self.inside or (self.of is not None and "_target_" in node))


def _walk(node, at: Place, found: Found) -> None:
    if isinstance(node, list):
        for index, item in enumerate(node):
            _walk(item, at.below(str(index), node), found)
    if not isinstance(node, dict):
        if node == "???":
            found.values.append(f"{at.key}: needs a value: give {at.key}=VALUE")
        return
    if "_target_" in node:
        _check_node(node, at, found)
    for name, value in node.items():
        _walk(value, at.below(str(name), node), found)


COMMON = ("_target_", "_partial_")


def _check_node(node, at: Place, found: Found) -> None:
    target, prefix, where = node["_target_"], at.prefix, found.where
    file = where(f"{prefix}_target_")
    if not isinstance(target, str) or not build.allowed(target):
        found.names.append(f"{prefix}_target_: a config may not build {target} ({file}){suggest(str(target), library.names(str(target)))}")
        return
    if wrong := nouns.problem(target, node, at.of, at.inside):
        found.names.append(f"{prefix}_target_: {wrong} ({file})")
        return
    known = signature.read(target)
    if known is None:
        found.names.append(f"{prefix}_target_: there is no {target} ({file}); correct the name, or add the constructor")
        return
    root = not at.key
    loads = library.closed(node) if library.rules(target) else []
    found.names.extend(f"{prefix}{name}: {library.CLOSED_WHY} ({where(prefix + name)})" for name in loads)
    if not isinstance(node.get("_partial_", False), bool):
        found.values.append(f"{prefix}_partial_: must be true or false, not {node['_partial_']!r} ({file})")
    for name, value in node.items():
        if name in (*COMMON, *loads) or (root and name in ROOT):
            continue
        if name not in known.parameters:
            if not known.open:
                near = near_key.key(f"{prefix}{name}", found.config, known.parameters, str(value))
                found.names.append(f"{prefix}{name}: no such key in {where(prefix + name)}{near}")
            continue
        wrong = signature.fault(value, known.parameters[name].type)
        if wrong and value != "???":
            found.values.append(f"{prefix}{name}: {wrong} ({where(prefix + name)})")
    if not node.get("_partial_"):
        found.values.extend(
            f"{prefix}{name}: {target} needs it; add it to {where(prefix + name)}"
            for name, parameter in known.parameters.items()
            if parameter.required and name not in node and not (root and name in ROOT)
        )


def own(config: dict) -> list[str]:
    """Return the problems of the keys that every stage has besides those of its constructor."""
    inputs, out, base = config.get("inputs", {}), config.get("out"), config.get("base")
    if not isinstance(inputs, dict):
        return [f"inputs: must be a mapping of names to paths, not {inputs!r}"]
    paths = {f"inputs.{name}": path for name, path in inputs.items()} | {"out": out}
    problems = [
        f"{key}: must be a path, not {path!r}; null leaves it out; put a name that is a number in quotes: {key}=\"'2024'\""
        for key, path in paths.items()
        if path is not None and (not isinstance(path, str) or not path.strip() or "\0" in path)
    ]
    problems += [] if base in ("make", "require") else [f"base: must be make or require, not {base!r}"]
    wrong = signature.fault(config.get("minutes", 0), float)
    return [*problems, f"minutes: {wrong}"] if wrong else problems


ROOT = ("inputs", "out", "runs", "base", "minutes", "collection")  # keys that every stage has besides those of its constructor
