"""The help of a stage: what it does, reads and writes, and its keys with the comments of the yamls that set them."""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmcycle.config import comments, groups, signature
from fmcycle.config.paths import MADE

WIDE = 100  # characters of a line of prose
KEY = 44  # characters before a comment


def paragraph(stage: str, first: str) -> str:
    """Return what a stage does, reads and writes. first: the sentence that says what it does."""
    content = groups.content("stage", stage)
    given = {f"inputs.{name}": str(value) for name, value in (content.get("inputs") or {}).items() if value is not None}
    beside = [name for name, value in given.items() if value.startswith(MADE)]
    inputs = [name for name in given if name not in beside]
    reads = f" It reads {_listed(inputs)}; what is missing of them is made first." if inputs else ""
    reads += f" It also reads {len(beside)} files of other stages if they are up to date." if beside else ""
    written = _constant(str(content.get("_target_")), "WRITES")
    files = f" with {_listed([*written])}" if written else ""
    text = f"{first}{reads} It writes one folder{files}, out=FOLDER, by default runs/{stage}/IDENTITY/out."
    return textwrap.fill(text, WIDE, break_on_hyphens=False, break_long_words=False)


def keys(stage: str) -> list[str]:
    """Return a line for each key of a stage and of the options that it chooses by itself: key=value, then the comment of the yaml."""
    file, chosen = groups.option_file("stage", stage), _chosen(stage)
    assert file is not None
    nodes = {
        place: {name for option in options for name in groups.content(group, option)}
        for place, (group, options) in chosen.items()
        if not any(groups.single(group, option) for option in options)
    }
    lines = [
        line
        for line in _lines(file, groups.content("stage", stage), "")
        if not groups.left_out(line.partition("=")[0].split("."), nodes)  # of a node that is not chosen
    ]
    given = {line.partition("=")[0] for line in lines}
    for place, (group, options) in chosen.items():
        for option in options:
            file = groups.option_file(group, option)
            at_root = file is not None and file.read_text().startswith("# @package _global_")
            found = _lines(file, groups.content(group, option), "" if at_root else f"{place}.") if file else []
            lines += [line for line in found if line.partition("=")[0] not in given]
    return lines


def _chosen(stage: str) -> dict[str, tuple[str, list[str]]]:
    """Return {package: (its group, the options of it that the stage chooses by itself)}."""
    found = {}
    for place, group in groups.places(stage).items():
        options = groups.defaults("stage", stage).get(place if place == group else f"{group}@{place}")
        found[place] = (group, [str(each) for each in (options if isinstance(options, list) else [options])])
    return found


def _lines(file: Path, content: dict, prefix: str) -> list[str]:
    said, taken, lines = comments.keys(file), set[str](), []
    for key, value in _leaves(content):
        parts = key.split(".")
        above = next((name for name in (".".join(parts[:length]) for length in range(1, len(parts) + 1)) if name in said), None)
        comment = said[above] if above and above not in taken else ""
        taken |= {above} if above else set()
        written = f"{prefix}{key}={_shown(value)}"
        lines.append(f"{written:<{KEY}}  # {comment}" if comment else written)
    return lines


def _leaves(node: dict, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every plain value of a yaml that a person may set."""
    for name, value in node.items():
        if str(name) in ("_target_", "_partial_", "defaults", "_self_"):
            continue
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{name}.")
        elif not (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
            yield f"{path}{name}", value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[:-1] else "") + names[-1]


def _constant(target: str, name: str) -> tuple[str, ...]:
    """Return a constant of the module of a stage, read from its source; () if it has none."""
    file = signature.source_file(target.rpartition(".")[0])
    for node in ast.parse(file.read_text()).body if file else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    return ()
