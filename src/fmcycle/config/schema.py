"""JSON schemas of the yamls that people write, made from the signatures of constructors: for an editor, which marks a wrong key at once.

fmcycle's own check (`fmcycle.config.check`) knows more: values that exclude each other, paths, the rules of third-party names.
"""

import ast
import functools
import re
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any, Literal

from annotated_types import Ge, Gt, Le

from fmcycle.config import build, comments, groups, near_key, nouns, signature
from fmcycle.ranges import Kind

DRAFT = "http://json-schema.org/draft-07/schema#"
TYPES = {int: "integer", float: "number", bool: "boolean", str: "string", list: "array", dict: "object"}
BOUNDS = {Gt: "exclusiveMinimum", Ge: "minimum", Le: "maximum"}
INTERPOLATED = {"type": "string", "pattern": r"\$\{|\?\?\?"}  # ${key} of another place, or ??? for a value that a person must give
PATHS = ("model", "data")  # groups that take a path or an address too
WHOLE = ("experiment", "search", "stage")  # groups whose yamls hold a whole section
NODE = {"$ref": "#/definitions/node"}
OWN = {  # keys of every section
    "base": {"enum": ["make", "require"]},
    "out": {"type": ["string", "null"]},
    "minutes": {"type": "number"},
    "inputs": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
}
GIVEN = {name for forms in nouns.CALLS.values() for form in forms for name in form}  # by the stage, not by a config


def of_type(kind: Any) -> dict:
    """Return the schema of a value of a type, as `fmcycle.config.signature` reads types."""
    base, *limits = typing.get_args(kind) if typing.get_origin(kind) is typing.Annotated else (kind,)
    origin, inner = typing.get_origin(base), typing.get_args(base)
    if Kind("node") in limits:
        return NODE
    if base is Any or base is Callable or origin is Callable:
        return {}
    if base is None or base is type(None):
        return {"type": "null"}
    if origin is Literal:
        return {"enum": [*inner]}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [of_type(each) for each in inner]}
    found: dict[str, Any] = {"type": TYPES[origin or base]}
    found |= {BOUNDS[type(limit)]: astuple(limit)[0] for limit in limits if type(limit) in BOUNDS}
    if origin is list:
        found["items"] = value(inner[0])
    elif origin is dict:
        found["additionalProperties"] = value(inner[1])
        found |= {"propertyNames": {"enum": [*typing.get_args(inner[0])]}} if typing.get_origin(inner[0]) is Literal else {}
    return found


def value(kind: Any) -> dict:
    """Return `of_type`, or an interpolation; a node may stand for any value but a number, a text or a truth."""
    found = of_type(kind)
    return found if found in ({}, NODE) or found.get("type") == "string" else {"anyOf": [found, INTERPOLATED]}


@functools.cache
def explained(target: str) -> str:
    """Return the first line of the docstring of a name of fmcycle or of a user's package; "" for any other."""
    module, _, name = target.rpartition(".")
    file = signature.source_file(module)
    body = ast.parse(file.read_text()).body if file else []
    found = next((node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name), None)
    return ((found and ast.get_docstring(found)) or "").partition("\n")[0]


def constructor(target: str, said: dict[str, str]) -> dict:
    """Return the schema of a node that builds `target`. said: {key: comment} of a yaml that builds it."""
    known = signature.read(target)
    assert known is not None, target
    given = GIVEN & {*known.positional} if known.function else set()
    keys = {name: value(each.type) | _text(said.get(name)) for name, each in known.parameters.items() if name not in given}
    beside = {"_target_": {"const": target}, "_partial_": {"type": "boolean"}, "defaults": {"type": "array"}}
    return {"type": "object", "properties": keys | beside, "additionalProperties": known.open} | _text(explained(target))


def _text(text: str | None) -> dict:
    return {"description": text} if text else {}


def targets(group: str) -> dict[str, dict[str, str]]:
    """Return {target: {key: comment}} of every name that a yaml of the group may build and that this folder knows: those of fmcycle's rooms
    and those that options name."""
    noun = nouns.NOUNS[group]
    found: dict[str, dict[str, str]] = {name: {} for room in {*noun.rooms, *noun.parts} for name in _in_room(room)}
    for option in groups.options(group):
        file = groups.option_file(group, option)
        assert file is not None
        for path, target in _built(groups.content(group, option)):
            said = {key.removeprefix(path): text for key, text in comments.keys(file).items() if key.startswith(path)}
            found[target] = said | found.get(target, {})
    return {target: said for target, said in sorted(found.items()) if signature.read(target)}


def _built(node: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Yield (dotted path with its last dot, target) of every node in plain data."""
    if isinstance(node, list):
        for item in node:
            yield from _built(item, path)
    elif isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield path, node["_target_"]
        for name, item in node.items():
            yield from _built(item, f"{path}{name}.")


@functools.cache
def _in_room(room: str) -> tuple[str, ...]:
    """Return the names in a module or package of fmcycle that a config may build."""
    base = Path(build.__file__).parents[1].joinpath(*room.split("."))
    files = sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]
    found = []
    for file in files:
        module = ".".join(("fmcycle", *file.relative_to(base.parents[room.count(".")]).with_suffix("").parts))
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_") and _plugs(f"{module}.{node.name}", room):
                found.append(f"{module}.{node.name}")
    return tuple(found)


def _plugs(target: str, room: str) -> bool:
    noun = nouns.Noun((room,))
    return any(nouns.problem(target, node, noun) is None for node in ({}, {"_partial_": True}))


def of_group(group: str) -> dict:
    """Return the schema of conf/GROUP/NAME.yaml."""
    known = targets(group)
    names = [{"enum": [*known]}, *({"pattern": f"^{re.escape(prefix)}"} for prefix in nouns.NOUNS[group].others)]
    names += [{"pattern": rf"^{package}\."} for package in build.user_packages()]
    definitions: dict[str, Any] = {target: constructor(target, said) for target, said in known.items()}
    choose = [{"if": {"properties": {"_target_": {"const": target}}}, "then": {"$ref": f"#/definitions/{target}"}} for target in known]
    definitions["node"] = {
        "anyOf": [{"type": "null"}, INTERPOLATED, {"type": "object", "required": ["_target_"]}],
        "if": {"required": ["_target_"], "type": "object"},
        "then": {"properties": {"_target_": {"anyOf": names}}, "allOf": choose},
    }
    several = {"type": "object", "properties": {"defaults": {"type": "array"}}, "additionalProperties": {"anyOf": [NODE, _list(NODE)]}}
    whole = {"if": {"required": ["_target_"]}, "then": NODE, "else": several}
    return {"$schema": DRAFT, "title": f"conf/{group}", "definitions": definitions} | _text(nouns.NOUNS[group].what) | whole


def _list(item: dict) -> dict:
    return {"type": "array", "items": item}


def choice(group: str) -> dict:
    """Return the schema of a choice in a group: an option, a list of options, null; for PATHS a path or an address."""
    options: dict[str, Any] = {"enum": groups.options(group)}
    paths = [{"type": "string", "pattern": "[/.:]"}] if group in PATHS else []
    return {"anyOf": [options, _list(options), {"type": "null"}, *paths]} | _text(nouns.NOUNS[group].what if group in nouns.NOUNS else "")


def keys(group: str) -> dict:
    """Return the schema of values below a group's key: the keys of any of its options."""
    found: dict[str, Any] = {}
    for option in groups.options(group):
        content, file = groups.content(group, option), groups.option_file(group, option)
        assert file is not None
        if "_target_" not in content:  # nodes by name
            return {"type": ["object", "null"]}
        known, said = signature.read(content["_target_"]), comments.keys(file)
        if known is None or known.open:
            return {"type": ["object", "null"]}
        for name, each in known.parameters.items():
            shape = value(each.type)
            shape = {"type": ["object", "null"]} if NODE in (shape, *shape.get("anyOf", ())) or shape.get("type") == "object" else shape
            one = found.setdefault(name, {"anyOf": []} | _text(said.get(name)))
            one["anyOf"] += [shape] if shape not in one["anyOf"] else []
    return {"type": ["object", "null"], "properties": found | {"_target_": {"type": "string"}}, "additionalProperties": False}


def section(stages: Iterable[str]) -> dict:
    """Return the properties of a section: the keys of these stages, and their groups."""
    found: dict[str, Any] = dict(OWN)
    for stage in stages:
        file = groups.option_file("stage", stage)
        assert file is not None
        known, said = signature.read(groups.content("stage", stage)["_target_"]), comments.keys(file)
        for name, each in known.parameters.items() if known else ():
            shape = value(each.type)
            shape = {} if "definitions" in str(shape) or shape.get("type") == "object" else shape
            found.setdefault(name, shape | _text(said.get(name)))
        for package, group in groups.places(stage).items():
            if "." not in package and group in nouns.NOUNS:
                found[package] = keys(group)
    return found


def params() -> dict:
    """Return the schema of params.yaml."""
    stages, overrides = {}, {}
    for stage in groups.stages():
        file = groups.option_file("stage", stage)
        assert file is not None
        said = _text(comments.head(file))
        chosen = {package if package == group else f"{group}@{package}": choice(group) for package, group in groups.places(stage).items()}
        chosen |= {group: choice(group) for group in groups.stage_groups(stage)}
        stages[stage] = {
            "patternProperties": {"@|^[+~]": {}},
            "type": ["object", "null"],
            "properties": chosen,
            "additionalProperties": False,
        } | said
        overrides[stage] = {"type": ["object", "null"], "properties": section([stage]), "additionalProperties": False} | said
        overrides[stage]["patternProperties"] = {r"\.": {}}  # a dotted key
    parts = {"stages": ("options of one stage", stages), "overrides": ("values of one stage", overrides)}
    whole = {group: choice(group) for group in groups.names() if group not in ("stage", "experiment")}
    whole |= {
        name: {"type": ["object", "null"], "properties": each, "additionalProperties": False, "description": text}
        for name, (text, each) in parts.items()
    }
    return {"$schema": DRAFT, "title": "params.yaml", "type": "object", "properties": whole, "additionalProperties": False}


def local() -> dict:
    """Return the schema of local.yaml."""
    found = {}
    for group in near_key.LOCAL:
        below = keys(group)
        found[group] = {"anyOf": [choice(group), below]}
        found |= {f"{group}.{name}": each for name, each in below.get("properties", {}).items() if name != "_target_"}
    dotted: dict[str, dict] = {rf"^({'|'.join(near_key.LOCAL)})\.\w+\.": {}, r"^logger\.": {}}
    whole = {"properties": found, "patternProperties": dotted, "additionalProperties": False}
    return {"$schema": DRAFT, "title": "local.yaml", "type": "object"} | whole


def of_stage() -> dict:
    """Return the schema of the yamls of WHOLE."""
    own = {"defaults": {"type": "array"}, "_target_": {"type": "string"}, "collection": {}, "hydra": {"type": "object"}}
    whole = {"properties": section(groups.stages()) | own, "additionalProperties": False}
    return {"$schema": DRAFT, "title": "a section of a stage", "type": "object"} | whole


def patterns() -> dict[str, str]:
    """Return {file name of a schema: the yamls that it describes}."""
    found = {"params.json": "params.yaml", "local.json": "local.yaml"}
    described = [group for group in groups.names() if group in nouns.NOUNS or group in WHOLE]
    return found | {f"{group}.json": f"conf/{group}/*.yaml" for group in described}


def every() -> dict[str, tuple[str, dict]]:
    """Return {file name: (the yamls that it describes, the schema)}."""
    special = {"params": params, "local": local} | dict.fromkeys(WHOLE, of_stage)
    found = {}
    for name, pattern in patterns().items():
        group = name.removesuffix(".json")
        found[name] = (pattern, special[group]() if group in special else of_group(group))
    return found
