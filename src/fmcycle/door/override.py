"""Which overrides Hydra could not take, all at once, each with the nearest right name."""

from pathlib import Path

from fmcycle.door.check import suggest


def explain(overrides: list[str], error: Exception, hydra_compose, conf: Path) -> list[str]:
    """One line for each wrong override; Hydra's own words where the fault is in a file of conf/."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser, parsed, problems = OverridesParser.create(), [], []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except Exception as fault:  # the grammar's own exceptions have no common base
            problems.append(f"{text}: not an override: {str(fault).splitlines()[0]}; write key=value")
    groups = [item for item in parsed if _is_group(item, conf)]
    values = [item for item in parsed if item not in groups]
    right: list[str] = []
    for item in sorted(groups, key=lambda item: item.key_or_group != "stage"):
        problem = _group_problem(item, right, hydra_compose, conf)
        if problem:
            problems.append(problem)
        else:
            right.append(str(item.input_line))
    try:
        base = hydra_compose(right)
    except Exception as fault:
        return problems or [_first_lines(fault)]
    for item in values:
        if problem := _value_problem(item, base, right, hydra_compose, conf):
            problems.append(problem)
    return problems or [_first_lines(error)]


def _is_group(item, conf: Path) -> bool:
    return (conf / item.key_or_group).is_dir() and not isinstance(item.value(), dict)


def _group_problem(item, right, hydra_compose, conf: Path) -> str | None:
    from fmcycle.door.compose import stage_groups, stages

    group, option = item.key_or_group, item.value()
    options = [file.stem for file in (conf / group).glob("*.yaml")]
    if isinstance(option, str) and option not in options:
        try:
            hydra_compose([*right, item.input_line])  # a user's package may hold it
        except Exception:
            return f"{group}={option}: no such option in conf/{group}{suggest(option, options)}"
        return None
    try:
        hydra_compose([*right, item.input_line])
    except Exception as fault:
        if "No match in the defaults list" in str(fault):
            stage = next((line.split("=")[1] for line in right if line.startswith("stage=")), "finetune")
            having = [other for other in stages() if group in stage_groups(other)]
            elsewhere = f"; the stages that have it: {', '.join(having)}" if having else ""
            return f"{item.input_line}: stage {stage} has no group {group}{elsewhere}"
        return f"{item.input_line}: {_first_lines(fault)}"
    return None


def _value_problem(item, base, right, hydra_compose, conf: Path) -> str | None:
    from omegaconf import OmegaConf

    from fmcycle.door.compose import where

    try:
        hydra_compose([*right, item.input_line])
        return None
    except Exception as fault:
        parts = item.key_or_group.split(".")
        node, depth = base, 0
        while depth < len(parts) and OmegaConf.is_dict(node) and parts[depth] in node:
            node, depth = node[parts[depth]], depth + 1
        if depth == len(parts):
            return f"{item.input_line}: {_first_lines(fault)}"
        file = where(item.key_or_group, dict(base.hydra.runtime.choices))
        names = list(node) if OmegaConf.is_dict(node) else []
        groups = [folder.name for folder in conf.iterdir() if folder.is_dir()] if depth == 0 else []
        return f"{item.key_or_group}: no such key in {file}{suggest(parts[depth], [name for name in names if name != 'hydra'] + groups)}"


def _first_lines(fault: Exception) -> str:
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return " ".join(lines[:3])
