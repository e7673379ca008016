"""Signatures of constructors, read from source without importing it."""

import ast
import functools
import math
import operator
import types
import typing
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Literal

from annotated_types import Ge, Gt, Le

from fmcycle import ranges
from fmcycle.artifact import hub
from fmcycle.config import address, library, library_source

NAMES = {name: kind for name, kind in vars(ranges).items() if typing.get_origin(kind) is typing.Annotated}
NAMES |= {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "list": list,
    "dict": dict,
    "Literal": Literal,
    "any": Any,
    "Callable": Callable,
}


@dataclass
class Parameter:
    """One parameter: its type as a typing object, whether a value must be given, and its annotation as it is written."""

    type: Any = Any
    required: bool = False
    kind: str = ""


@dataclass
class Signature:
    """The parameters of a constructor; `open` if it takes any further name.

    function: True for a function; positional: the parameters that can be passed by position; returns: the return annotation; plugs: True
    for a class that is a dataclass, callable or an engine, and no Protocol; methods: {method: its parameters by position}.
    """

    parameters: dict[str, Parameter]
    open: bool = False
    function: bool = False
    positional: dict[str, Parameter] = field(default_factory=dict)
    returns: str = ""
    plugs: bool = False
    methods: dict[str, tuple[str, ...]] = field(default_factory=dict)


def parse(annotation: str) -> Any:
    """The typing object of an annotation's text; Any if it is more than plain types and fmcycle.ranges. Runs no code of it."""
    try:
        return _type_of(ast.parse(annotation, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):  # a class of another library: not checked here
        return Any


def _type_of(node: ast.expr) -> Any:
    """Raises ValueError for anything but names of NAMES, None, unions, and list, dict and Literal of these."""
    if isinstance(node, ast.Name) and node.id in NAMES:
        return NAMES[node.id]
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _type_of(node.left) | _type_of(node.right)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in ("list", "dict", "Literal"):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if node.value.id == "Literal":
            return Literal[tuple(ast.literal_eval(item) for item in items)]
        return NAMES[node.value.id][tuple(map(_type_of, items))]
    raise ValueError(ast.unparse(node))


def source_file(module: str) -> Path | None:
    """Return the file of a module of fmcycle or a user's package without importing it; None if there is none."""
    package, *rest = module.split(".")
    if not all(name.isidentifier() for name in (package, *rest)):
        return None
    folder = library_source.package_folder(package)
    return library_source.module_file(folder.joinpath(*rest)) if folder else None


@functools.cache
def read(target: str) -> Signature | None:
    """Return the signature of a dotted name; None if there is no such name."""
    if (known := library.parameters(target)) is not None:
        parameters = {name: Parameter(parse(kind)) for name, kind in known.items() if name != "**"}
        return Signature(parameters, open="**" in known)
    module, _, name = target.rpartition(".")
    file = source_file(module) if module else None
    if file is None:
        return None
    body = ast.parse(file.read_text()).body
    definitions = {node.name: node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return _of_node(definitions.get(name), definitions)


def _of_node(node, definitions) -> Signature | None:
    if isinstance(node, ast.FunctionDef):
        signature = _of_function(node)
        annotated = node.args.args and node.args.args[0].annotation
        if isinstance(annotated, ast.Name) and annotated.id == "Config" and "Config" in definitions:
            return _of_node(definitions["Config"], definitions)  # a stage: its section is its schema
        return signature
    if not isinstance(node, ast.ClassDef):
        return None
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    names = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
    is_dataclass = any(ast.unparse(each).startswith("dataclass") for each in node.decorator_list)
    plugs = is_dataclass or bool({"__call__", "forward", "warm_up", "submit"} & names)
    plugs = plugs and "Protocol" not in map(ast.unparse, node.bases)
    called = {name: tuple(_of_function(method, skip=1).positional) for name, method in methods.items()}
    if "__init__" in methods:
        taken = _of_function(methods["__init__"], skip=1)
        return Signature(taken.parameters, taken.open, plugs=plugs, methods=called)
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
    fields = [item for item in fields if "init=False" not in (ast.unparse(item.value) if item.value else "")]
    found = {ast.unparse(item.target): _parameter(item.annotation, item.value is None) for item in fields}
    return Signature(found, plugs=plugs, methods=called)


def _of_function(node: ast.FunctionDef, skip: int = 0) -> Signature:
    places = node.args.posonlyargs + node.args.args
    without_default = len(places) - len(node.args.defaults)
    positional = {arg.arg: _parameter(arg.annotation, index < without_default) for index, arg in enumerate(places) if index >= skip}
    keywords = {
        arg.arg: _parameter(arg.annotation, default is None)
        for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }
    returns = ast.unparse(node.returns) if node.returns else ""
    return Signature(positional | keywords, node.args.kwarg is not None, True, positional, returns)


def _parameter(annotation: ast.expr | None, required: bool) -> Parameter:
    text = ast.unparse(annotation) if annotation else ""
    return Parameter(parse(text) if text else Any, required, text)


def fault(value, kind) -> str | None:
    """Return why `value` is not of the type `kind`: "must be a whole number of at least 1, not -5"; None if it is."""
    if kind is Callable or typing.get_origin(kind) is Callable:
        return None if isinstance(value, dict) and "_target_" in value else f"must be a node with a _target_, not {value!r}"
    if kind is Any or (isinstance(value, dict) and "_target_" in value and kind not in (int, float, bool, str)):
        return None
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _plain_fault(value, *typing.get_args(kind))
    if origin is Literal:
        options = typing.get_args(kind)
        return None if value in options else f"must be one of {', '.join(map(str, options))}, not {value!r}"
    if origin in (types.UnionType, typing.Union):
        faults = [fault(value, option) for option in typing.get_args(kind)]
        return None if None in faults else faults[0]
    if origin in (list, dict) and typing.get_args(kind):
        if not isinstance(value, origin):
            return _plain_fault(value, origin)
        items = value.items() if origin is dict else [("", item) for item in value]
        return next((f"{name} {found}".strip() for name, item in items if (found := fault(item, typing.get_args(kind)[-1]))), None)
    if kind is None or kind is type(None):
        return None if value is None else "must be null"
    return _plain_fault(value, kind)


PATH, REFERENCE = ranges.Kind("path"), ranges.Kind("reference")
ADDRESSES = {ranges.Kind("address"): address.FILES, ranges.Kind("web address"): address.WEB}
BOUNDS = {Gt: (operator.gt, "above"), Ge: (operator.ge, "of at least"), Le: (operator.le, "at most")}
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", list: "a list", dict: "a mapping"}


def _plain_fault(value, base, *limits) -> str | None:
    """limits: a ranges.Kind, or bounds of annotated_types."""
    if limits and limits[0] in ADDRESSES:
        return address.fault(value, ADDRESSES[limits[0]])
    if REFERENCE in limits:
        return hub.fault(value)
    accepted = (int, float) if base is float else base
    right = isinstance(value, accepted) and not (isinstance(value, bool) and base is not bool)
    right = right and not (isinstance(value, float) and not math.isfinite(value))
    if PATH in limits and not (right and value.strip()):
        return f"must be a path, not {value!r}"
    bounds = [(*BOUNDS[type(limit)], *astuple(limit)) for limit in limits if type(limit) in BOUNDS]
    if right and all(holds(value, bound) for holds, _, bound in bounds):
        return None
    text = " and ".join(f"{word} {bound:g}" for _, word, bound in bounds)
    return f"must be {f'{WORDS.get(base, base)} {text}'.strip()}, not {value!r}"
