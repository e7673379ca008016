"""Builds the objects that config nodes name; `_target_` is resolved only here."""

import functools
import importlib
import tomllib
from pathlib import Path

from fmcycle.config import library, library_source, user_yaml
from fmcycle.errors import ConfigError, InputError


def conf_dir() -> Path:
    """Return conf/ of the working folder, else the one shipped with the package."""
    own = Path("conf").resolve()
    if (own / "config.yaml").is_file():
        return own
    shipped = Path(__file__).parents[1] / "conf"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "conf"


@functools.cache
def user_packages() -> tuple[str, ...]:
    """Return the packages that configs may name besides fmcycle: `[tool.fmcycle] packages` of the working folder's pyproject.toml.

    A Bento serves from any folder; its pyproject.toml lies beside its src/.
    """
    file = next((file for file in (Path("pyproject.toml"), Path(__file__).parents[3] / "pyproject.toml") if file.is_file()), None)
    if file is None:
        return ()
    return tuple(tomllib.loads(file.read_text()).get("tool", {}).get("fmcycle", {}).get("packages", ()))


def added_folders() -> list[Path]:
    """Return the folders that add options to `conf_dir`: conf/ of the working folder, and that of each user package that has one.

    Raises InputError if a package can't be imported, or if an option of the working folder has the name of a shipped one.
    """
    folders, own, shipped = [], Path("conf").resolve(), conf_dir()
    if own.is_dir() and own != shipped:
        if twice := sorted(file for file in own.glob("*/*.yaml") if (shipped / file.relative_to(own)).is_file()):
            raise InputError(f"{twice[0].relative_to(own.parent)}: fmcycle has an option of this name already; give yours another name")
        folders.append(own)
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
    """Return the settings in local.yaml of the working folder; {} if there is no such file."""
    file = Path("local.yaml")
    found = user_yaml.content(file) if file.is_file() else {}
    if not isinstance(found, dict):
        raise ConfigError(["local.yaml: must hold key: value lines, such as `trainer: gpu`"])
    return {str(key): value for key, value in found.items()}


def allowed(target: str) -> bool:
    """True if a config may name `target`."""
    return target.split(".")[0] in ("fmcycle", *user_packages()) or library.parameters(target) is not None


def resolve(target: str):
    """Return the object with a dotted name. Raises ConfigError if the name is not allowed or does not exist."""
    if not allowed(target):
        raise ConfigError(
            [f"_target_ {target}: a config may not build this; name fmcycle.*, a package of [tool.fmcycle], or what docs/nouns.md lists"]
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

    Lists and dicts without `_target_` are built item by item; any other value is returned unchanged.
    `extra` are further arguments of the outermost constructor. A transformers model class is built from the fields of its config.
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
