"""Overrides in, a checked plain config out. The only place that knows Hydra's insides."""

import copy
import functools
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from fmcycle import build, code_digest
from fmcycle.build import conf_dir, package_folders
from fmcycle.door import environment, group, hydra_keys
from fmcycle.door.check import check, suggest
from fmcycle.error import ConfigError, InputError

MACHINE = (
    "trainer",
    "executor",
    "price",
    "limit",
    "logger",
    "inputs",
    "out",
    "runs",
    "base",
    "minutes",
)  # how it runs: never part of identity
PLAIN = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z_/][\w./-]*", re.ASCII)  # a text that needs no quotes in Hydra's grammar
QUOTED = re.compile(r"(\\*)('|$)")  # what needs a backslash between quotes: a quote, and every backslash right before one
RAW = "collection"  # the raw data: of identity where it is collected, elsewhere by the content that was made of it
SHARED = ("model", "processor", RAW)  # groups that a stage's inputs are made with, on the machine that it has itself


@dataclass
class Composed:
    """One stage's config: `section` is its identity, `machine` where it runs, `inputs` what it reads."""

    stage: str
    section: dict
    machine: dict
    inputs: dict
    out: str | None
    base: str
    minutes: float
    choices: dict
    overrides: list[str]
    supplied: list[str]  # inputs that the stage's yaml does not name, and an evaluation reads
    raw: Any = field(repr=False, default=None)  # OmegaConf, unresolved

    def config(self, **settled) -> dict:
        """The plain config that the stage's run sees, with inputs and out as settled."""
        raw = copy.deepcopy(self.raw)
        for key, value in settled.items():
            raw[key] = value
        return _plain(raw)

    @property
    def tracked(self) -> dict:
        """The section as the pipeline knows it: no trainer was chosen, and so no precision that a budget takes over from one."""
        own = [text for text in self.overrides if text.lstrip("+~").split("=")[0].split(".")[0] != "trainer"]
        return self.section if own == self.overrides else compose(own).section

    @property
    def written(self) -> dict:
        """The section with its interpolations as they are written: what is chosen once stands in it once."""
        from omegaconf import OmegaConf

        whole = cast(dict, OmegaConf.to_container(self.raw, resolve=False))
        return {key: value for key, value in whole.items() if key in self.section}


def _plain(raw) -> dict:
    from omegaconf import OmegaConf

    return cast(dict, OmegaConf.to_container(raw, resolve=True, throw_on_missing=False))


def _hydra_compose(overrides: list[str]):
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    running, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None  # hydra.main's own, where we are inside a job
    try:
        with warnings.catch_warnings(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
            warnings.simplefilter("ignore")
            return compose("config", overrides=[group.search_path(), *overrides], return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = running


def compose(overrides: list[str]) -> Composed:
    """The checked config of one stage. overrides: Hydra's grammar. Raises ConfigError with every problem of a layer."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    overrides = group.spread(overrides)
    if doubled := group.doubled(overrides):
        raise ConfigError(doubled)
    try:
        cfg = _hydra_compose(overrides)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        from fmcycle.door.override import explain

        wrong = hydra_keys.asked(overrides)
        raise ConfigError(wrong + explain(overrides, error, _hydra_compose, conf_dir())) from error
    hydra = cast(dict, OmegaConf.to_container(cfg.hydra, resolve=False))
    choices = {key: value for key, value in cfg.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    _contain(hydra["run"]["dir"], "hydra.run.dir")
    _contain(hydra["sweep"]["dir"], "hydra.sweep.dir")
    _contain(hydra["launcher"].get("submitit_folder"), "hydra.launcher.submitit_folder")
    if problems := hydra_keys.asked(overrides) or hydra_keys.composed(hydra, [f"file://{folder}" for folder in package_folders()]):
        raise ConfigError(problems)
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    group.drop_unchosen(cfg, choices["stage"], overrides)
    supplied = group.supply(cfg)
    symbolic = copy.deepcopy(cfg)
    if OmegaConf.is_dict(cfg.get("inputs")):
        symbolic.inputs = {name: f"<{name}>" for name in cfg.inputs}
    if problems := environment.close(OmegaConf.to_container(cfg, resolve=False)):
        raise ConfigError(problems)
    try:
        plain = _plain(symbolic)
        given = _plain(cfg)
    except OmegaConfBaseException as error:
        from fmcycle.door.override import unresolved

        raise ConfigError([unresolved(error, choices)]) from error
    own = {name: given[name] for name in ("inputs", "out", "base", "minutes") if name in given}
    if problems := check(plain | own, functools.partial(where, choices=choices)):
        raise ConfigError(problems)
    _contain(given["out"], "out")
    section = {key: value for key, value in plain.items() if key not in MACHINE and (key != RAW or choices["stage"] == "collect")}
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


def where(key: str, choices: dict) -> str:
    """The file that a dotted key stands in, by the longest group that holds it."""
    stage = str(choices.get("stage"))
    best = ("", f"conf/stage/{stage}.yaml")
    place, _, node = key.partition(".")
    listed = group.places(stage).get(place, "")
    if (option := group.members(listed).get(node.partition(".")[0])) and place not in choices:  # an option of a list
        best = (place, f"conf/{listed}/{option}.yaml")
    for each, option in choices.items():
        name, _, package = each.partition("@")
        package = package or name.replace("/", ".")
        if option and (key == package or key.startswith(package + ".")) and len(package) > len(best[0]):
            best = (package, f"conf/{name}/{option}.yaml")
    return best[1]


def _contain(path: str | None, key: str) -> None:
    if path is not None and not str(path).strip():
        raise ConfigError([f"{key}: must be a path, not {path!r}"])
    if path and not Path(path).resolve().is_relative_to(Path.cwd()):
        raise ConfigError([f"{key}: {path} lies outside the project folder; choose a path inside it (a link inside it may lead elsewhere)"])


def selection(stage: str, file: str | Path = "params.yaml", model: str | None = None) -> list[str]:
    """The overrides that params.yaml holds for `stage`: shared choices where the stage has the group, then its own.

    What its model brings comes before them; `model`: another one than the file's.
    """
    if not Path(file).is_file():
        raise InputError(f"{file}: not there; `selection` names the file that holds the pipeline's choices, params.yaml")
    chosen = yaml.safe_load(Path(file).read_text()) or {}
    groups = {key: value for key, value in chosen.items() if key not in ("stages", "overrides")}
    if unknown := [key for key in groups if key not in group.names()]:
        raise ConfigError([f"{key}: no such group in {file}{suggest(key, group.names())}" for key in unknown])
    for part in ("stages", "overrides"):
        if unknown := [key for key in chosen.get(part) or {} if not (conf_dir() / "stage" / f"{key}.yaml").is_file()]:
            raise ConfigError([f"{part}.{key}: no such stage in {file}{suggest(key, stages())}" for key in unknown])
    own = (chosen.get("stages") or {}).get(stage) or {}
    has = stage_groups(stage)
    result = [f"{key}={value}" for key, value in groups.items() if key in has and key not in own]
    result += flatten(own) + flatten((chosen.get("overrides") or {}).get(stage) or {})
    result = [*group.fitting([*brought(model or groups.get("model"), stage)], result), *result]
    return list({text.split("=")[0]: text for text in result}.values())


@functools.cache
def brought(model: str | None, stage: str) -> tuple[str, ...]:
    """The overrides that a choice of `model` brings into `stage`: the processor that its yaml overrides, then what conf/start/MODEL.yaml
    holds in the form of params.yaml."""
    own, start = (group.content(name, str(model)) for name in ("model", group.START))
    chosen = {key: name for item in own.get("defaults", []) if isinstance(item, dict) for key, name in item.items()}
    groups = {key.removeprefix("override /").split("@")[0]: name for key, name in chosen.items() if key.startswith("override ")}
    found = [f"{key}={name}" for key, name in groups.items() if key in stage_groups(stage)]
    return (*found, *(text for part in ("stages", "overrides") for text in flatten((start.get(part) or {}).get(stage) or {})))


def flatten(node: dict, prefix: str = "") -> list[str]:
    """{"objective": {"lr": 0.1}} -> ["objective.lr=0.1"], in Hydra's grammar."""
    found = []
    for key, value in node.items():
        if isinstance(value, dict) and value:
            found += flatten(value, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key}={_quoted(value)}")
    return found


def _quoted(value) -> str:
    """A plain value in Hydra's grammar, to which it is parsed back."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_quoted, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_quoted(item)}' for key, item in value.items())}}}"
    if not isinstance(value, str) or PLAIN.fullmatch(value):
        return str(value)
    return "'" + QUOTED.sub(lambda found: 2 * found[1] + (found[2] and rf"\{found[2]}"), value) + "'"


@functools.cache
def stage_groups(stage: str) -> frozenset[str]:
    """The groups in the defaults list of conf/stage/<stage>.yaml, and the one that every stage has."""
    file = conf_dir() / "stage" / f"{stage}.yaml"
    defaults = (yaml.safe_load(file.read_text()) or {}).get("defaults", []) if file.is_file() else []
    own = (key.removeprefix("override ").lstrip("/").split("@")[0] for item in defaults if isinstance(item, dict) for key in item)
    return frozenset((*own, RAW))


def stages() -> list[str]:
    """Every stage that conf/stage names."""
    return sorted(file.stem for file in (conf_dir() / "stage").glob("*.yaml"))


def local() -> list[str]:
    """Machine settings of the git-ignored local.yaml: trainer, executor, logger and what is below them, nothing that decides a result."""
    settings = build.local()
    if wrong := [key for key in settings if key.split(".")[0] not in ("trainer", "executor", "logger")]:
        raise ConfigError(
            [
                f"local.yaml: {key} is not a machine setting; it may hold trainer, executor, logger and their keys, "
                "the rest belongs into params.yaml"
                for key in wrong
            ]
        )
    return flatten(settings)


def pipeline(file: str | Path = "params.yaml") -> dict[str, dict]:
    """{stage: section} of every stage, and {"code": {stage: digest}}: what artifacts/config.yaml holds."""
    from fmcycle.door import path

    sections: dict[str, dict] = {}
    problems: dict[str, list[str]] = {}
    for stage in stages():
        try:
            composed = compose([f"stage={stage}", *selection(stage, file)])
            sections[stage], wrong = composed.tracked, [*_unknown_to_dvc(composed), *path.in_pipeline(composed)]
        except ConfigError as error:
            wrong = error.problems
        for problem in wrong:
            problems.setdefault(problem, []).append(stage)
    if problems:
        every = [problem if len(where) == len(stages()) else f"{problem} (stage {', '.join(where)})" for problem, where in problems.items()]
        raise ConfigError(every)
    return sections | {"code": {stage: code_digest.digest(section) for stage, section in sections.items()}}


def _unknown_to_dvc(composed: Composed) -> list[str]:
    """One line for each input that an evaluation reads and the graph does not give its stage: DVC would not see it change."""
    graph = yaml.safe_load(Path("dvc.yaml").read_text())["stages"] if composed.supplied and Path("dvc.yaml").is_file() else {}
    command = graph.get(composed.stage, {}).get("cmd", "")
    return [
        f"inputs.{name}: an evaluation reads it and dvc.yaml does not give it: add +inputs.{name}=PATH to the cmd, and PATH to the deps"
        for name in composed.supplied
        if command and f"inputs.{name}=" not in command
    ]
