"""From a config node to the thing it names: the only place where `_target_` is resolved."""

import functools
import importlib
import tomllib
from pathlib import Path

import yaml

from fmcycle.config import library, library_source
from fmcycle.errors import ConfigError, InputError


def conf_dir() -> Path:
    """conf/ of the working folder, else the one that came with the package."""
    own = Path("conf").resolve()
    if (own / "config.yaml").is_file():
        return own
    shipped = Path(__file__).parents[1] / "conf"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "conf"


@functools.cache
def user_packages() -> tuple[str, ...]:
    """Packages that configs may name besides fmcycle: `[tool.fmcycle] packages` of the pyproject.toml in the working folder.

    A Bento, which serves from any folder, has it beside its src/.
    """
    file = next((file for file in (Path("pyproject.toml"), Path(__file__).parents[3] / "pyproject.toml") if file.is_file()), None)
    if file is None:
        return ()
    return tuple(tomllib.loads(file.read_text()).get("tool", {}).get("fmcycle", {}).get("packages", ()))


def package_folders() -> list[Path]:
    """conf/ of each of the user's packages that has one."""
    folders = []
    for package in user_packages():
        found = library_source.package_folder(package)
        if found is None:
            raise InputError(
                f"pyproject.toml: [tool.fmcycle] packages names {package}, which can't be imported: install it, or take it out"
            )
        if (folder := found / "conf").is_dir():
            folders.append(folder)
    return folders


def local() -> dict:
    """What local.yaml of the working folder says of this machine; empty where there is none."""
    file = Path("local.yaml")
    try:
        found = (yaml.safe_load(file.read_text()) or {}) if file.is_file() else {}
    except yaml.YAMLError as error:
        raise ConfigError([f"local.yaml: no YAML ({' '.join(str(error).split())[:200]}); correct it"]) from error
    if not isinstance(found, dict):
        raise ConfigError(["local.yaml: must hold key: value, as `trainer: gpu`"])
    return {str(key): value for key, value in found.items()}


def allowed(target: str) -> bool:
    """May a config name `target`?"""
    return target.split(".")[0] in ("fmcycle", *user_packages()) or library.parameters(target) is not None


def resolve(target: str):
    """The callable behind a dotted name. Raises ConfigError where the name is not allowed or does not exist."""
    if not allowed(target):
        raise ConfigError(
            [f"_target_ {target}: not a name that a config may build; fmcycle.*, [tool.fmcycle] packages, or what docs/nouns.md lists"]
        )
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError([f"_target_ {target}: {error}"]) from error
    if library.rules(target) and not library.permits(target, found):
        raise ConfigError([f"_target_ {target}: is a {type(found).__name__} of {found.__module__}, which a config may not build"])
    return found


def build(node, **extra):
    """Build a config node: {"_target_": name, "_partial_": bool, parameter: value or node}, depth first.

    Lists and dicts without `_target_` are built item by item, everything else is returned as it is.
    `extra` are further arguments of the outermost constructor. A transformers model class is made from its config's fields.
    """
    if isinstance(node, list):
        return [build(item) for item in node]
    if not isinstance(node, dict):
        return node
    arguments = {key: build(value) for key, value in node.items() if key not in ("_target_", "_partial_")} | extra
    if "_target_" not in node:
        return arguments
    constructor = resolve(node["_target_"])
    if library.rules(node["_target_"]) and (loads := library.closed(node)):
        raise ConfigError([f"{node['_target_']}: {loads[0]} {library.CLOSED_WHY}"])
    if hasattr(constructor, "config_class") and not node.get("_partial_"):
        return constructor(constructor.config_class(**arguments))
    return functools.partial(constructor, **arguments) if node.get("_partial_") else constructor(**arguments)
