"""Reads the parameters of classes of installed libraries from their source, without importing them."""

import ast
import fnmatch
import functools
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Annotations give types at most; these ranges follow from the names of parameters.
RANGES = {
    "num_*_layers|num_*_heads|num_nodes|*_size|n_embd|n_layer|n_head|n_positions": "Positive",
    "max_position_embeddings|r|lora_alpha|rope_theta|max_steps": "Positive",
    "*_dropout|*_pdrop|dropout": "Fraction",
    "lr|eps|*_eps|*_epsilon": "Positive",
    "weight_decay": "NonNegative",
}


def package_folder(package: str) -> Path | None:
    """Return the folder of an installed package without importing it; None if there is none."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def module_file(base: Path) -> Path | None:
    """Return the source file of the module or package at `base`, a path without suffix; None if there is none."""
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


@dataclass(frozen=True)
class Rule:
    """Allows PACKAGE.NAME if one of `files` defines it, it or an ancestor is named `base` ("": any name), and PACKAGE exports it.
    but: excluded names, whose constructors fetch kernels or weights that their arguments name.
    """

    package: str
    files: str
    base: str
    but: str = "-"

    @property
    def folder(self) -> Path:
        top, _, rest = self.package.partition(".")
        found = package_folder(top)
        assert found, top
        return found.joinpath(*rest.split(".") if rest else ())

    @property
    def module(self) -> str:
        """Regular expression of the modules in `files`; torch's optimizers report the package as their module."""
        inner = fnmatch.translate(self.files.removesuffix(".py").replace("**/", "*").replace("/", "."))
        return rf"{re.escape(self.package)}(\.{inner})?"

    def exports(self, name: str, text: str) -> bool:
        """True if the package exports `name`; text: content of the file that defines it."""
        if self.package != "transformers":
            text = (self.folder / "__init__.py").read_text()
        return bool(re.search(rf"\b{name}\b", text.rpartition("__all__ =")[2] if self.package == "transformers" else text))


def read(rule: Rule, name: str) -> dict[str, str] | None:
    """Return {parameter: type} of `name` in the rule's files; None if the rule allows no such name."""
    likely = sorted(rule.folder.glob(rule.files), key=lambda file: not name.lower().startswith(file.parent.name.replace("_", "")))
    for file in likely:
        text = file.read_text()
        if not re.search(rf"^(class|def) {name}\b", text, re.M) or not rule.exports(name, text):
            continue
        lineage = _lineage(file, name)
        if rule.base and rule.base not in {node.name for _, node in lineage}:
            continue
        if rule.base == "PreTrainedModel":
            lineage = next((_lineage(file, config) for file, node in lineage if (config := _config(node))), [])
        if not lineage:
            return None
        found = _taken(lineage)
        if rule.base != "Logger":  # a logger passes unknown arguments on to its service: entity, tags ...
            found.pop("**", None)
        if name.endswith("Classification"):
            found["num_labels"] = "PositiveInt"  # not a field: transformers derives the class names from it
        return dict(sorted(found.items()))
    return None


@functools.cache
def _definitions(file: Path) -> dict[str, ast.stmt]:
    """Return {name: its class, function or import} of a file's top level, including statements under `if` and `try`."""
    waiting = [*ast.parse(file.read_text()).body]
    found: dict[str, ast.stmt] = {}
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.If | ast.Try):
            waiting = [*node.body, *node.orelse, *waiting]
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: node for alias in node.names}
    return found


def _lineage(file: Path | None, name: str) -> list[tuple[Path, ast.ClassDef | ast.FunctionDef]]:
    """Return (file, definition) of a name and of its ancestors, the nearest first, following imports between library files."""
    node = _definitions(file).get(name) if file else None
    if file is None or node is None:
        return []
    if isinstance(node, ast.ImportFrom):
        original = next(alias.name for alias in node.names if name in (alias.asname, alias.name))
        return _lineage(_imported(file, node), original)
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
    return [(file, node), *(each for base in bases for each in _lineage(file, base))]


def _imported(file: Path, node: ast.ImportFrom) -> Path | None:
    parts = node.module.split(".") if node.module else []
    base = file.parents[node.level - 1] if node.level else package_folder(parts.pop(0))
    return module_file(base.joinpath(*parts)) if base else None


def _config(node) -> str | None:
    """Return the config class that a transformers model names in its own body."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and ast.unparse(item.target) == "config":
            return ast.unparse(item.annotation).strip("'\"")
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "config_class":
            return ast.unparse(item.value)
    return None


def _taken(lineage) -> dict[str, str]:
    """Return {parameter: type} of a constructor: the nearest __init__'s, or the dataclass fields; transformers' configs have both."""
    found: dict[str, str] = {}
    if isinstance(lineage[0][1], ast.FunctionDef):
        return dict(_arguments(lineage[0][1], 0))
    configs = "PreTrainedConfig" in {node.name for _, node in lineage}
    for _, node in reversed(lineage):
        init = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
        kinds = [ast.unparse(each) for each in node.decorator_list]
        if init:
            found = {name: kind for name, kind in found.items() if configs} | dict(_arguments(init, 1))
        elif any(re.match(r"(dataclasses\.)?dataclass|strict", kind) for kind in kinds) or (configs and not node.name.endswith("Mixin")):
            found |= dict(_fields(node))
    return {name: kind for name, kind in found.items() if name not in ("self", "kwargs", "args")}


def _arguments(node: ast.FunctionDef, skip: int) -> Iterator[tuple[str, str]]:
    places = node.args.posonlyargs + node.args.args
    defaults = [*[None] * (len(places) - len(node.args.defaults)), *node.args.defaults]
    pairs = zip([*places[skip:], *node.args.kwonlyargs], [*defaults[skip:], *node.args.kw_defaults], strict=True)
    yield from ((arg.arg, _kind(arg.arg, arg.annotation, default)) for arg, default in pairs)
    if node.args.kwarg and node.name == "__init__":
        yield "**", "any"


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and "ClassVar" not in ast.unparse(item.annotation):
            given = {word.arg: word.value for word in item.value.keywords} if isinstance(item.value, ast.Call) else {}
            if ast.unparse(given.get("init", ast.Constant(True))) == "True":
                yield item.target.id, _kind(item.target.id, item.annotation, given.get("default", item.value))


def _kind(name: str, annotation: ast.expr | None, default: ast.expr | None) -> str:
    """Return the type of a parameter as text for `signature.parse`, with the range that its name implies; "any" for other types."""
    text = ast.unparse(annotation).strip("'\"") if annotation else ""
    text = re.sub(r"(?:typing\.)?(?:Optional|Union)\[(.*)\]", r"\1|None", text)
    kinds = {kind.strip() for kind in text.replace(",", "|").split("|")}
    optional = "None" in kinds or (isinstance(default, ast.Constant) and default.value is None)
    plain = kinds - {"None"}
    plain = {"float"} if plain == {"int", "float"} else plain
    if len(plain) != 1 or not plain <= {"int", "float", "bool", "str"}:
        return "any"
    kind = plain.pop()
    for patterns, word in RANGES.items():
        if kind in ("int", "float") and any(fnmatch.fnmatch(name, pattern) for pattern in patterns.split("|")):
            kind = word if word == "Fraction" else word + kind.title()
            break
    return f"{kind} | None" if optional else kind
