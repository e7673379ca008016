"""Writes plain data as overrides in Hydra's grammar."""

import re

PLAIN = re.compile(r"(?!(?i:null|true|false|nan|inf)$)[A-Za-z_/][\w./-]*", re.ASCII)  # a text that needs no quotes


QUOTED = re.compile(r"(\\*)('|$)")  # between quotes, a quote and the backslashes right before one need a backslash each


def flatten(node: dict, prefix: str = "") -> list[str]:
    """{"objective": {"lr": 0.1}} -> ["objective.lr=0.1"]."""
    found = []
    for key, value in node.items():
        if isinstance(value, dict) and value:
            found += flatten(value, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key}={quoted(value)}")
    return found


def quoted(value) -> str:
    """Return a plain value as Hydra parses it back."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(quoted, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{quoted(item)}' for key, item in value.items())}}}"
    if not isinstance(value, str) or PLAIN.fullmatch(value):
        return str(value)
    return "'" + QUOTED.sub(lambda found: 2 * found[1] + (found[2] and rf"\{found[2]}"), value) + "'"
