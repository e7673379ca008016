"""The comments of an option's yaml: what it is for, and what each key does."""

import functools
import re
from pathlib import Path

import yaml


@functools.cache
def _read(file: Path, _written: float) -> tuple[str, dict[str, str]]:
    text = file.read_text()
    lines = text.splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        if not line.startswith(("# @", "# yaml-language-server")):
            head.append(line.lstrip("# "))
    found: dict[str, str] = {}
    taken: set[int] = set()
    for key, number in _keys(yaml.compose(text, yaml.SafeLoader)):
        comment = re.search(r"(?:^|\s)#\s+(.+)$", lines[number])
        if comment and number not in taken:  # the outermost key of a line has its comment
            taken.add(number)
            found[key] = comment[1].strip()
    return " ".join(head), found


def _keys(node, path: str = ""):
    """Yield (dotted key, its line) of a composed yaml, from the outside to the inside."""
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            yield f"{path}{key.value}", key.start_mark.line
        for key, value in node.value:
            yield from _keys(value, f"{path}{key.value}.")


def head(file: Path) -> str:
    """Return the comment in the first lines of a yaml, as one line; "" if there is none."""
    return _read(file, file.stat().st_mtime)[0]


def keys(file: Path) -> dict[str, str]:
    """Return {dotted key: the comment on its line}; a line with several keys explains the outermost and first."""
    return _read(file, file.stat().st_mtime)[1]
