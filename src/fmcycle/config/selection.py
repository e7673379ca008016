"""Overrides for a stage from params.yaml, local.yaml and the defaults that its model brings."""

import functools
from pathlib import Path

import yaml

from fmcycle.artifact import hub
from fmcycle.config import build, code_digest, model_path, near_key, paths, user_yaml
from fmcycle.config import groups as group
from fmcycle.config.compose import Composed, compose
from fmcycle.config.grammar import flatten, quoted
from fmcycle.config.groups import stage_groups, stages
from fmcycle.errors import ConfigError, InputError, suggest


def selection(stage: str, file: str | Path = "params.yaml", model: str | None = None) -> list[str]:
    """Return the overrides that params.yaml holds for `stage`: shared choices of groups that the stage has, then its own.

    The overrides that its model brings come first. model: replaces the file's model.
    """
    if not Path(file).is_file():
        raise InputError(f"{file}: does not exist; selection=FILE names the file of the pipeline's choices, usually params.yaml")
    chosen = _choices(Path(file))
    groups = {key: value for key, value in chosen.items() if key not in ("stages", "overrides")}
    if unknown := [key for key in groups if key not in group.names()]:
        raise ConfigError([f"{key}: no such group in {file}{near_key.in_params(key) or suggest(key, group.names())}" for key in unknown])
    for part in ("stages", "overrides"):
        _mapping(part, chosen.get(part), file)
        if unknown := [key for key in chosen.get(part) or {} if key not in stages()]:
            raise ConfigError(
                [f"{part}.{key}: no such stage in {file}{near_key.in_params(key) or suggest(key, stages())}" for key in unknown]
            )
        _mapping(f"{part}.{stage}", (chosen.get(part) or {}).get(stage), file)
    own = (chosen.get("stages") or {}).get(stage) or {}
    has = stage_groups(stage)
    if hub.is_reference(rows := str(own.get("data", groups.get("data")))):
        way = f"stages: {{collect: {{+source@source.mine: hub, source.mine.name: {rows.partition('@')[0]}@COMMIT}}}}"
        raise ConfigError([f"{file}: data: {rows}: the rows of the pipeline come from its sources; choose {way}"])
    if moving := paths.unpinned({"model": own.get("model", groups.get("model"))}):
        raise ConfigError([f"{file}: {line}" for line in moving])
    if model_path.is_path(str(groups.get("model") or "")):
        place, groups["model"] = model_path.located(str(groups["model"])), "pretrained"
        groups |= {"model.path": quoted(place)} if model is None else {}
    result = [f"{key}={value}" for key, value in groups.items() if key.split(".")[0] in has and key.split(".")[0] not in own]
    result += flatten(own) + flatten((chosen.get("overrides") or {}).get(stage) or {})
    result = [*group.fitting([*brought(model or groups.get("model"), stage)], result), *result]
    return list({text.split("=")[0]: text for text in result}.values())


def _choices(file: Path) -> dict:
    """Return the content of a file like params.yaml. Raises ConfigError if it is no YAML, or has another form."""
    chosen = user_yaml.content(file)
    _mapping("it", chosen, file)
    return {str(key): value for key, value in chosen.items()}


def _mapping(key: str, value, file: str | Path) -> None:
    """Raise ConfigError if the value of a key is neither null nor a mapping."""
    if value is not None and not isinstance(value, dict):
        raise ConfigError([f"{file}: {key} must hold `key: value` lines, such as `model: llama_small`, not {value!r}"])


@functools.cache
def brought(model: str | None, stage: str) -> tuple[str, ...]:
    """Return the overrides that a choice of `model` brings into `stage`: the processor that its yaml overrides, then the overrides in
    conf/start/MODEL.yaml, which has the form of params.yaml."""
    own, start = (group.content(name, str(model)) for name in ("model", group.START))
    chosen = {key: name for item in own.get("defaults", []) if isinstance(item, dict) for key, name in item.items()}
    groups = {key.removeprefix("override /").split("@")[0]: name for key, name in chosen.items() if key.startswith("override ")}
    found = [f"{key}={name}" for key, name in groups.items() if key in stage_groups(stage)]
    return (*found, *(text for part in ("stages", "overrides") for text in flatten((start.get(part) or {}).get(stage) or {})))


def local() -> list[str]:
    """Return the machine settings of the git-ignored local.yaml: trainer, executor, logger and their keys; none decides a result."""
    settings = build.local()
    if wrong := [key for key in settings if key.split(".")[0] not in near_key.LOCAL]:
        raise ConfigError(
            [
                f"local.yaml: {key} is not a machine setting; it may hold trainer, executor, logger and their keys, "
                f"put other keys into params.yaml{near_key.in_local(key) or near_key.in_params(key)}"
                for key in wrong
            ]
        )
    return flatten(settings)


def pipeline(file: str | Path = "params.yaml") -> dict[str, dict]:
    """Return {stage: section} of every stage, and {"code": {stage: digest}}: the content of artifacts/config.yaml."""
    sections: dict[str, dict] = {}
    problems: dict[str, list[str]] = {}
    for stage in stages():
        try:
            composed = compose([f"stage={stage}", *selection(stage, file)])
            sections[stage] = composed.tracked
            wrong = [*_unknown_to_dvc(composed), *_of_a_run(composed), *_unwatched(composed, file)]
            wrong += [*paths.in_pipeline(composed), *paths.unpinned(composed.section)]
        except ConfigError as error:
            wrong = error.problems
        for problem in wrong:
            problems.setdefault(problem, []).append(stage)
    for problem in _other_guards(sections):
        problems[problem] = ["evaluate", "package"]
    if problems:
        every = [problem if len(where) == len(stages()) else f"{problem} (stage {', '.join(where)})" for problem, where in problems.items()]
        raise ConfigError(every)
    return sections | {"code": {stage: code_digest.digest(section) for stage, section in sections.items()}}


def _of_a_run(composed: Composed) -> list[str]:
    """Return one line if a stage of the pipeline would begin from a run: no other clone has runs/."""
    line = f"init_from: the pipeline can't begin from a run, which other clones lack: `fmcycle {composed.stage} init_from=RUN` does by hand"
    return [line] if composed.section.get("init_from") else []


def _unwatched(composed: Composed, file: str | Path) -> list[str]:
    """Return a line if dvc.yaml does not name the model's folder or file that params.yaml has: DVC would not see it change."""
    path = str(_choices(Path(file)).get("model") or "")
    graph = yaml.safe_load(Path("dvc.yaml").read_text())["stages"] if Path("dvc.yaml").is_file() and model_path.is_path(path) else {}
    deps = graph.get(composed.stage, {}).get("deps")
    read = (
        not hub.is_reference(path)
        and composed.stage in ("processor", "pretrain")
        and deps is not None
        and not {path, path.rstrip("/")} & {*map(str, deps)}
    )
    return [f"model: {path} is not among the deps of {composed.stage} in dvc.yaml: add it, so that DVC sees it change"] if read else []


def _other_guards(sections: dict[str, dict]) -> list[str]:
    """One line if an evaluation judges answers behind other guards than the package has: `package` would refuse its figures."""
    packaged, nodes = (sections.get(stage, {}).get(key) or {} for stage, key in (("package", "guardrail"), ("evaluate", "evaluation")))
    other = [name for name, node in nodes.items() if "guardrail" in node and (node["guardrail"] or {}) != packaged]
    return (
        [f"guardrail: evaluation.{other[0]} has other guards than the package: choose once, `guardrail: NAME` in params.yaml"]
        if other
        else []
    )


def _unknown_to_dvc(composed: Composed) -> list[str]:
    """Return one line for each input that an evaluation reads and dvc.yaml does not pass to its stage: DVC would not see it change."""
    graph = yaml.safe_load(Path("dvc.yaml").read_text())["stages"] if composed.supplied and Path("dvc.yaml").is_file() else {}
    command = graph.get(composed.stage, {}).get("cmd", "")
    return [
        f"inputs.{name}: an evaluation reads it and dvc.yaml does not pass it: add +inputs.{name}=PATH to the cmd, and PATH to the deps"
        for name in composed.supplied
        if command and f"inputs.{name}=" not in command
    ]
