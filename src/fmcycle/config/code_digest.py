"""Which code a stage reaches: a digest over the source files behind its imports and its `_target_`s."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from fmcycle.config import build, signature


def targets(node) -> set[str]:
    """Every `_target_` in plain config data."""
    if isinstance(node, list):
        return set().union(*map(targets, node))
    if not isinstance(node, dict):
        return set()
    own = {node["_target_"]} if isinstance(node.get("_target_"), str) else set()
    return own.union(*map(targets, node.values()))


def _without_samples(tree: ast.AST) -> Iterator[ast.AST]:
    """All that stands in `tree` but the functions named `example`, which make samples: no stage calls them."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [each for each in ast.iter_child_nodes(node) if not (isinstance(each, ast.FunctionDef) and each.name == "example")]


@functools.cache
def _reached_from(module: str) -> tuple[frozenset[str], frozenset[Path]]:
    """(modules that `module` imports anywhere in its text, files it is made of: its source and the data files it names)."""
    file = signature.source_file(module)
    if file is None:
        return frozenset(), frozenset()
    packages = ("fmcycle", *build.user_packages())
    names: set[str] = set()
    files = {file}
    for node in _without_samples(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value and len(node.value) < 80:
            data = file.parent / node.value
            if "/" not in node.value and data.suffix != ".py" and data.is_file():  # source counts when it is imported
                files.add(data)
    return frozenset(name for name in names if name.split(".")[0] in packages), frozenset(files)


def digest(section: dict) -> str:
    """sha256 over the bytes of all source files that `section` (its `_target_`s) reaches inside fmcycle and the user's packages."""
    total = hashlib.sha256()
    for file, module in _reached(section):
        total.update(f"{module}/{file.name}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()


def files(section: dict) -> dict[str, str]:
    """{module/file: sha256} of the files behind `digest`: which of them differ between two runs."""
    return {f"{module}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file, module in _reached(section)}


def _reached(section: dict) -> list[tuple[Path, str]]:
    """(file, module that it belongs to), in the order of those names."""
    waiting = {target.rpartition(".")[0] for target in targets(section)}
    seen: set[str] = set()
    files: dict[Path, str] = {}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        imported, own = _reached_from(module)
        files |= {file: min(module, files.get(file, module)) for file in own}  # the same, whichever of two modules comes first
        waiting |= imported - seen
    return sorted(files.items(), key=lambda item: (item[1], item[0].name))


def own(section: dict) -> dict[str, str]:
    """`files` without those of fmcycle: the code of the user's packages."""
    return {name: digest for name, digest in files(section).items() if name.split("/")[0].split(".")[0] != "fmcycle"}
