"""Digest of the source files that a stage reaches through its `_target_`s and their imports."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from fmcycle.config import build, signature


def targets(node) -> set[str]:
    """Return every `_target_` in plain config data."""
    if isinstance(node, list):
        return set().union(*map(targets, node))
    if not isinstance(node, dict):
        return set()
    own = {node["_target_"]} if isinstance(node.get("_target_"), str) else set()
    return own.union(*map(targets, node.values()))


def _without_samples(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of `tree` except functions named `example`: they make test samples, and no stage calls them."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [each for each in ast.iter_child_nodes(node) if not (isinstance(each, ast.FunctionDef) and each.name == "example")]


@functools.cache
def _reached_from(module: str) -> tuple[frozenset[str], frozenset[Path]]:
    """Return (modules that `module` imports anywhere in its source, its own files: the source and the data files that it names)."""
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
    """Return the sha256 of all source files of fmcycle and the user's packages that the `_target_`s of `section` reach."""
    total = hashlib.sha256()
    for file, module in _reached(section):
        total.update(f"{module}/{file.name}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()


def files(section: dict) -> dict[str, str]:
    """Return {module/file: sha256} of the files behind `digest`, to find those that differ between two runs."""
    return {f"{module}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file, module in _reached(section)}


def _reached(section: dict) -> list[tuple[Path, str]]:
    """Return (file, its module), sorted by module and file name."""
    waiting = {target.rpartition(".")[0] for target in targets(section)}
    seen: set[str] = set()
    files: dict[Path, str] = {}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        imported, own = _reached_from(module)
        files |= {file: min(module, files.get(file, module)) for file in own}  # independent of the order of modules
        waiting |= imported - seen
    return sorted(files.items(), key=lambda item: (item[1], item[0].name))


def own(section: dict) -> dict[str, str]:
    """Return `files` of the user's packages alone."""
    return {name: digest for name, digest in files(section).items() if name.split("/")[0].split(".")[0] != "fmcycle"}
