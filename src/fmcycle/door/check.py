"""The closed config: every wrong name, then every wrong value, each with its key, its file and the nearest right name."""

import difflib

from fmcycle import build
from fmcycle.door import signature
from fmcycle.door.conflict import conflicts


def suggest(name: str, names) -> str:
    """`; did you mean X?`, or the list of what there is."""
    names = sorted(map(str, names))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there is {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}" if names else ""


def check(config: dict, where) -> list[str]:
    """Problems of a resolved config, names first: where there are wrong names, values are not looked at.

    config: plain data; where: (dotted key) -> the file that the key stands in.
    """
    names: list[str] = []
    values: list[str] = []
    _walk(config, "", where, names, values)
    if names:
        return names
    return values or conflicts(config)


def _walk(node, key, where, names, values) -> None:
    if isinstance(node, list):
        for index, item in enumerate(node):
            _walk(item, f"{key}.{index}", where, names, values)
    if not isinstance(node, dict):
        if node == "???":
            values.append(f"{key}: needs a value: give {key}=VALUE")
        return
    if "_target_" in node:
        _check_node(node, key, where, names, values)
    for name, value in node.items():
        _walk(value, f"{key}.{name}" if key else str(name), where, names, values)


COMMON = ("_target_", "_partial_")


def _check_node(node, key, where, names, values) -> None:
    target, prefix = node["_target_"], f"{key}." if key else ""
    if not isinstance(target, str) or not build.allowed(target):
        names.append(
            f"{prefix}_target_: a config may not build {target} ({where(prefix + '_target_')}){suggest(str(target), build.third_party())}"
        )
        return
    known = signature.read(target)
    if known is None:
        names.append(f"{prefix}_target_: there is no {target} ({where(prefix + '_target_')}); correct the name, or add the constructor")
        return
    for name, value in node.items():
        if name in COMMON or (not key and name in ROOT):
            continue
        if name not in known.parameters:
            if not known.open:
                names.append(f"{prefix}{name}: no such key in {where(prefix + name)}{suggest(str(name), known.parameters)}")
            continue
        wrong = signature.fault(value, known.parameters[name].type) if value is not None or _strict(known.parameters[name]) else None
        if wrong and value != "???":
            values.append(f"{prefix}{name}: {wrong} ({where(prefix + name)})")
    if not node.get("_partial_"):
        values.extend(
            f"{prefix}{name}: {target} needs it; add it to {where(prefix + name)}"
            for name, parameter in known.parameters.items()
            if parameter.required and name not in node and not (not key and name in ROOT)
        )


ROOT = ("inputs", "out", "runs", "base", "minutes", "collection")  # every stage's own, given by the door


def _strict(parameter) -> bool:
    return parameter.type is not signature.Any and parameter.required
