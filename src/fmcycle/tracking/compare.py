"""How runs differ: in config, data, code and result."""

import re

BESIDE = ("low", "high", "n")  # NAME/low, NAME/high: the interval of a metric; NAME/n: its rows

Difference = tuple  # (key, its value in each run; None for a run that lacks it)


def flat(node, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}, "c": [2]} -> {"a.b": 1, "c.0": 2}; an empty mapping or list is a value."""
    if not isinstance(node, dict | list) or not node:
        return {prefix.removesuffix("."): node}
    found: dict[str, object] = {}
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        found |= flat(value, f"{prefix}{key}.")
    return found


def differences(first: dict, *others: dict) -> list[Difference]:
    """Return (key, value of each) of every leaf that differs, as text; None for a side that lacks it, `null` for one that holds null."""
    absent = object()
    keys = dict.fromkeys(key for side in (first, *others) for key in side)
    kept = [key for key in keys if any(_apart(first.get(key, absent), other.get(key, absent)) for other in others)]
    return [(key, *(_told(side[key]) if key in side else None for side in (first, *others))) for key in kept]


def _apart(left, right) -> bool:
    """True if two values differ, also in type: 1 and true, 1 and 1.0."""
    return left != right or type(left) is not type(right)


def _told(value):
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else value


def compare(*runs: dict) -> dict[str, list[Difference]]:
    """Return {"config", "data", "code", "result"}: (key, its value in each run) of everything that differs between two runs or more."""
    files = [run.get("files") or {} for run in runs]
    code = differences(*files) if all(files) else []
    if len({run["code"] for run in runs}) > 1:
        code.insert(0, ("code", *(run["code"][:12] for run in runs)))
    if len({run.get("revision") for run in runs}) > 1:
        code.append(("revision", *(run.get("revision", "")[:12] for run in runs)))
    return {
        "config": differences(*(flat(run["section"]) for run in runs)),
        "data": inputs(*runs),
        "code": code,
        "result": results(*(run.get("metrics", {}) for run in runs)),
    }


def inputs(*runs: dict) -> list[Difference]:
    """Return (input, digest and path in each run) of the inputs whose content differs."""
    digests = [{name: given["digest"] for name, given in run["inputs"].items()} for run in runs]
    names = [
        name for name in dict.fromkeys(name for run in runs for name in run["inputs"]) if len({each.get(name) for each in digests}) > 1
    ]
    told = [{name: f"{given['digest'][:12]} {given['path']}" for name, given in run["inputs"].items()} for run in runs]
    return [(name, *(each.get(name) for each in told)) for name in names]


def results(*runs: dict) -> list[Difference]:
    """Return (metric, value in each run) of those that differ in value, interval or rows, with these if any; `*` if intervals are apart."""
    names = dict.fromkeys(re.sub("/(low|high|n)$", "", key) for metrics in runs for key in metrics)
    found: list[Difference] = []
    for name in names:
        sides = [{key: metrics[key] for key in (name, *(f"{name}/{each}" for each in BESIDE)) if key in metrics} for metrics in runs]
        if all(side == sides[0] for side in sides):
            continue
        bounds: list[tuple] = [(side.get(f"{name}/low"), side.get(f"{name}/high")) for side in sides]
        whole = [each for each in bounds if None not in each]
        apart = len(whole) > 1 and max(low for low, _ in whole) > min(high for _, high in whole)
        texts = [_figure(side.get(name), *pair) for side, pair in zip(sides, bounds, strict=True)]
        if len({side.get(f"{name}/n") for side in sides}) > 1:
            texts = [text and f"{text}, n {side.get(f'{name}/n')}" for text, side in zip(texts, sides, strict=True)]
        found.append((f"{name}{' *' if apart else ''}", *texts))
    return found


def _figure(value, low, high) -> str | None:
    if value is None:
        return None
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if low is None or high is None else f"{text}  ({low:.4g} to {high:.4g})"
