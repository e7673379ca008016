"""Composes overrides with Hydra into a checked plain config."""

import copy
import functools
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from fmcycle.config import environment, hydra_keys, library, model_path, own_rows
from fmcycle.config import groups as group
from fmcycle.config.build import added_folders, conf_dir
from fmcycle.config.check import check
from fmcycle.config.explain import explain, unresolved
from fmcycle.config.groups import MACHINE, RAW, where
from fmcycle.errors import ConfigError


@dataclass
class Composed:
    """Config of one stage: `section` decides its identity, `machine` where it runs, `inputs` the paths that it reads."""

    stage: str
    section: dict
    machine: dict
    inputs: dict
    out: str | None
    base: str
    minutes: float
    choices: dict
    overrides: list[str]
    supplied: list[str]  # inputs that an evaluation reads and the stage's yaml does not name
    raw: Any = field(repr=False, default=None)  # OmegaConf, unresolved

    def config(self, **settled) -> dict:
        """Return the plain config for the stage's run, with the keys of `settled` (inputs, out) replaced."""
        raw = copy.deepcopy(self.raw)
        for key, value in settled.items():
            raw[key] = value
        return _plain(raw)

    @property
    def tracked(self) -> dict:
        """The section that the pipeline composes: without a chosen trainer, so a budget can't follow the trainer's precision."""
        own = [text for text in self.overrides if text.lstrip("+~").split("=")[0].split(".")[0] != "trainer"]
        return self.section if own == self.overrides else compose(own).section

    @property
    def written(self) -> dict:
        """The section with its interpolations unresolved, so that a value which is chosen once appears once."""
        from omegaconf import OmegaConf

        whole = cast(dict, OmegaConf.to_container(self.raw, resolve=False))
        return {key: value for key, value in whole.items() if key in self.section}


def _plain(raw) -> dict:
    from omegaconf import OmegaConf

    return cast(dict, OmegaConf.to_container(raw, resolve=True, throw_on_missing=False))


def _hydra_compose(overrides: list[str]):
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    running, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None  # hydra.main's instance, inside a job
    try:
        with warnings.catch_warnings(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
            warnings.simplefilter("ignore")
            return compose("config", overrides=[group.search_path(), *overrides], return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = running


def compose(overrides: list[str]) -> Composed:
    """Return one stage's checked config. overrides: Hydra's grammar. Raises ConfigError with all problems of the first check to fail."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    overrides = group.spread(model_path.named(own_rows.named(overrides)))
    if doubled := group.doubled(overrides):
        raise ConfigError(doubled)
    try:
        cfg = _hydra_compose(overrides)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError) as error:  # such as limit=5, evaluation=[1]
        wrong = hydra_keys.asked(overrides)
        raise ConfigError(wrong + explain(overrides, error, _hydra_compose)) from error
    hydra = cast(dict, OmegaConf.to_container(cfg.hydra, resolve=False))
    choices = {key: value for key, value in cfg.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    _contain(hydra["run"]["dir"], "hydra.run.dir")
    _contain(hydra["sweep"]["dir"], "hydra.sweep.dir")
    _contain(hydra["launcher"].get("submitit_folder"), "hydra.launcher.submitit_folder")
    if problems := hydra_keys.asked(overrides) or hydra_keys.composed(hydra, [f"file://{folder}" for folder in added_folders()]):
        raise ConfigError(problems)
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    group.drop_unchosen(cfg, choices["stage"], overrides)
    group.chain(cfg, choices["stage"], overrides)
    supplied = group.supply(cfg)
    symbolic = copy.deepcopy(cfg)
    if OmegaConf.is_dict(cfg.get("inputs")):
        symbolic.inputs = {name: f"<{name}>" for name in cfg.inputs}
    if cfg.get("init_from"):
        symbolic.init_from = "<init_from>"  # what the checkpoint holds is part of the identity, not where it lies
    if problems := environment.close(OmegaConf.to_container(cfg, resolve=False)):
        raise ConfigError(problems)
    try:
        plain = _plain(symbolic)
        given = _plain(cfg)
    except OmegaConfBaseException as error:
        raise ConfigError([unresolved(error, choices)]) from error
    own = {name: given[name] for name in ("inputs", "out", "base", "minutes") if name in given}
    if problems := check(plain | own, functools.partial(where, choices=choices)):
        raise ConfigError(problems)
    library.keep()
    _contain(given["out"], "out")
    beside = (*MACHINE, "init_from") if plain.get("init_from", "") is None else MACHINE
    section = {key: value for key, value in plain.items() if key not in beside and (key != RAW or choices["stage"] == "collect")}
    return Composed(
        stage=choices["stage"],
        section=section,
        machine={key: plain[key] for key in plain if key in ("trainer", "executor")},
        inputs=given.get("inputs") or {},
        out=given["out"],
        base=given["base"],
        minutes=given.get("minutes", 1),
        choices=choices,
        overrides=list(overrides),
        supplied=supplied,
        raw=cfg,
    )


def _contain(path: str | None, key: str) -> None:
    if path is not None and not str(path).strip():
        raise ConfigError([f"{key}: must be a path, not {path!r}"])
    if path and not Path(path).resolve().is_relative_to(Path.cwd()):
        raise ConfigError([f"{key}: {path} lies outside the project folder, links followed; choose a path inside it"])
