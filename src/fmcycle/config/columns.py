"""Columns that an objective declares; the reference model computes each once for the rows of a run."""

import ast
import inspect
from collections.abc import Callable

from fmcycle.config import build, signature
from fmcycle.errors import InputError


def declared(objective: Callable) -> dict[str, Callable]:
    """Return {column: (reference model, batch) -> (B,)} of a built objective: a static method for each name in its `columns`.

    The reference model is the one in inputs.model. Raises InputError if a column has no such method.
    """
    names = getattr(objective, "columns", ())
    methods = {name: inspect.getattr_static(objective, name, None) for name in names} if _is_names(names) else {}
    lacking = [name for name, method in methods.items() if not isinstance(method, staticmethod)]
    if wrong := _fault(type(objective).__qualname__, names, lacking):
        raise InputError(f"objective: {wrong}")
    return {name: getattr(objective, name) for name in names}


def problem(config: dict) -> str | None:
    """Return why the columns of config["objective"] can't be computed; None if they can, or if only the built objective knows them.

    config: a stage's config, or a candidate's section. Reads the objective's source without importing it.
    """
    target = (config.get("objective") or {}).get("_target_")
    members = _members(str(target)) if target else {}
    try:
        names = ast.literal_eval(_value(members.get("columns")) or ast.Tuple([]))
    except ValueError:
        return None
    lacking = [name for name in names if not _is_static(members.get(name))] if _is_names(names) else []
    if wrong := _fault(str(target), names, lacking):
        return f"objective: {wrong}"
    if names and not (config.get("inputs") or {}).get("model"):
        return (
            f"objective: {target} needs {', '.join(names)}, computed by the model in inputs.model, which is not set: "
            "give inputs.model=FOLDER, or align a model that is trained (stage=align)"
        )
    return None


def _is_names(names) -> bool:
    return isinstance(names, tuple | list) and all(isinstance(name, str) and name.isidentifier() for name in names)


def _fault(target: str, names, lacking: list[str]) -> str | None:
    if not _is_names(names):
        return f'columns of {target} must be a tuple of names, such as ("reference_chosen",), not {names!r}'
    if lacking:
        return (
            f"{target} needs the column {lacking[0]}, which nothing computes: give the class a static method "
            f"{lacking[0]}(model, batch), or take {lacking[0]} out of its columns if the rows have it"
        )
    return None


def _members(target: str) -> dict[str, ast.stmt]:
    """Return {name: statement} of a class and of its bases that are defined in fmcycle or the user's packages."""
    module, _, name = target.rpartition(".")
    file = signature.source_file(module) if build.allowed(target) and module else None
    if file is None:
        return {}
    body = ast.parse(file.read_text()).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    imported = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    found = next((node for node in body if isinstance(node, ast.ClassDef) and node.name == name), None)
    members: dict[str, ast.stmt] = {}
    for base in reversed(found.bases if found else []):
        text = ast.unparse(base)
        members |= _members(imported.get(text, f"{module}.{text}"))
    for node in found.body if found else []:
        members |= dict.fromkeys(_names(node), node)
    return members


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _value(node: ast.stmt | None) -> ast.expr | None:
    """Return the expression that a statement assigns. Raises ValueError if it assigns none."""
    if node is None:
        return None
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        raise ValueError("no value")
    return node.value


def _is_static(node: ast.stmt | None) -> bool:
    if isinstance(node, ast.FunctionDef):
        return any(ast.unparse(each) == "staticmethod" for each in node.decorator_list)
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return isinstance(value, ast.Call) and ast.unparse(value.func) == "staticmethod"
