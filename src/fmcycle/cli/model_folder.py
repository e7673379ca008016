"""Finds the folder of the model that a person names by one word: `fmcycle evaluate MODEL`, `chat MODEL`, `serve MODEL`."""

from pathlib import Path

from fmcycle.artifact import external
from fmcycle.artifact import folder as artifact
from fmcycle.cli import command_line
from fmcycle.config import groups, model_path
from fmcycle.config.compose import Composed, compose
from fmcycle.config.grammar import quoted
from fmcycle.engine import fit
from fmcycle.errors import ConfigError, InputError
from fmcycle.serving import deploy


def folder_of(model: str | Path) -> Path:
    """Return the folder of `model`: a folder or a run that has one, else what `convert` makes of a GGUF file, an adapter or an option.

    Raises ConfigError with the nearest path if there is no such model.
    """
    from fmcycle.runner.run import perform

    name = str(model)
    if name not in groups.options("model"):
        name = model_path.located(name)
        if external.form(Path(name)) == "folder":
            return Path(name)
    return perform(composed("convert", f"model={quoted(name)}"), needed_by="fmcycle") / "model"


def composed(stage: str, *words: str) -> Composed:
    """Return the checked config of a stage. Raises ConfigError for a flag among the words too."""
    flags, overrides = command_line.expand([f"stage={stage}", *words])
    if flags:
        raise ConfigError([f"{flags[0]}: is for the command line of a stage; here are group=option and key=value"])
    return compose(overrides)


def served(model: str | Path, *overrides: str) -> tuple[Path, dict]:
    """Return (the model's folder, {"engine", "guardrail"}) of a package, or of a model with the engine that serves its architecture.

    overrides: of the stage package, such as guardrail=none or engine.batch=2. Raises InputError if the folder is damaged or no engine
    serves it, and for overrides of a package, which names its own.
    """
    if (Path(model) / "package.json").is_file():
        if overrides:
            raise InputError(f"{model} is a package, which names its own engine and guards: take {overrides[0]} out")
        package = deploy.check_package(Path(model))
        return Path(model) / "model", {key: package[key] for key in deploy.PACKAGED}
    folder = folder_of(model)
    artifact.verify(folder)
    architecture, engine = fit.engine_of(folder)
    if engine is None:
        raise InputError(f"{folder} is a {architecture}, which no engine serves")
    chosen = [] if any(text.startswith("engine=") for text in overrides) else [f"engine={engine}"]
    section = composed("package", *chosen, *overrides).section
    fit.check(folder, section["engine"]["_target_"])
    return folder, {key: section[key] for key in deploy.PACKAGED}
