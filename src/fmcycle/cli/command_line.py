"""Splits a command line into flags and overrides; refuses a flag that is not listed here, which Hydra would otherwise guess."""

from fmcycle.cli.arguments import FLAGS as KNOWN
from fmcycle.config import groups, model_path, own_rows, selection
from fmcycle.errors import ConfigError, suggest

VALUES = {names[-1]: settings.get("choices", ()) for names, settings in KNOWN.items() if "action" not in settings}
SHORT = {names[0]: names[-1] for names in KNOWN if len(names) > 1}
FLAGS = ("--help", "--version", *(names[-1] for names in KNOWN))
CONFIGS = ("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--experimental-rerun")


def expand(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return (flags, overrides): `selection=FILE` becomes that file's overrides, `model=PATH` the keys that name these weights.

    local.yaml's overrides come first; `plan=` is a flag.

    Raises ConfigError for every flag that is not in FLAGS, in full or in its short form, and for every value that a flag does not take.
    """
    flags, overrides = sort(arguments)
    overrides = own_rows.named(overrides)
    if problems := groups.twice(overrides):
        raise ConfigError(problems)
    overrides = model_path.named(overrides, sweep="--multirun" in flags)
    stage = groups.stage_of(overrides)
    chosen = [text for text in overrides if text.startswith("selection=")]
    own = [text for text in overrides if not text.startswith("selection=")]
    model = next((text.split("=", 1)[1] for text in reversed(overrides) if text.startswith("model=")), None)
    before = selection.selection(stage, chosen[-1].split("=", 1)[1], model) if chosen else [*selection.brought(model, stage)]
    machine = [text for text in selection.local() if text.split("=")[0].split(".")[0] in groups.stage_groups(stage)]
    mentioned = {text.split("=")[0] for text in own}
    return flags, groups.spread([text for text in machine + groups.fitting(before, own) if text.split("=")[0] not in mentioned] + own)


def sort(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return (flags with their values, other words). Raises ConfigError for a flag that no stage has."""
    flags: list[str] = []
    rest: list[str] = []
    problems: list[str] = []
    waiting = list(reversed(arguments))
    while waiting:
        word = waiting.pop()
        if not word.startswith("-"):
            (flags if word.startswith("plan=") else rest).append(word)
            continue
        name, given, value = word.partition("=")
        name = SHORT.get(name, name)
        if name not in FLAGS or (given and name not in VALUES):
            problems.append(_no_flag(word, name))
            continue
        flags.append(name)
        if name in VALUES:
            optional = name == "--info" and not given and (not waiting or waiting[-1] not in VALUES[name])
            value = value if given else "all" if optional else waiting.pop() if waiting else ""
            if not value or (VALUES[name] and value not in VALUES[name]):
                problems.append(f"{name} {value}: takes {' or '.join(VALUES[name]) or 'the key of a part of the config'}")
            flags.append(value)
    if problems:
        raise ConfigError(problems)
    return flags, rest


def _no_flag(word: str, name: str) -> str:
    if name in CONFIGS or (len(name) > 4 and any(known.startswith(name) for known in CONFIGS)):
        return f"{word}: configs come from conf/ and from [tool.fmcycle] packages in pyproject.toml, never from the command line"
    return f"{word}: no such flag{suggest(name, FLAGS)}"
