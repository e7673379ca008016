"""`fmcycle runs`: lists every run that is recorded in runs/ or artifacts/, or compares two of them."""

import json
import re
import subprocess
from pathlib import Path

from fmcycle.artifact import provenance as lineage
from fmcycle.cli import verbs
from fmcycle.errors import InputError, suggest
from fmcycle.tracking import run_record

METRICS = ("bits_per_byte", "rouge_l", "preference_accuracy", "score", "validation_loss")  # the table shows the first that a run has
MISSING = "\u2013"
BESIDE = ("low", "high", "n")  # NAME/low, NAME/high: the interval of a metric; NAME/n: its rows
RECORDS = "*.provenance.json"
WIDE = 200  # columns without a terminal


def main(arguments: list[str]) -> int:
    """Run the verb: list all runs, or compare two."""
    chosen = verbs.parse("runs", arguments).runs
    if len(chosen) not in (0, 2):
        raise InputError(f"{verbs.usage('runs')}fmcycle runs: without arguments lists all runs, with two compares them; not {len(chosen)}")
    entries = find()
    if chosen:
        show(*(named(text, entries) for text in chosen))
    else:
        table(entries)
    return 0


def find(runs: str | Path = "runs", artifacts: str | Path = "artifacts") -> list[dict]:
    """Return every run, the newest first: run.json and the provenance of its outs, with `folder`, `where` (outs) and current `state`."""
    entries: dict[tuple[str, str], dict] = {}
    for file in sorted(Path(runs).glob(f"*/*/{run_record.RUN}")):
        entry = run_record.read(file.parent)
        if entry:
            entries[entry["stage"], entry["identity"][:16]] = entry | {"folder": file.parent, "where": []}
    provenance = [*Path(artifacts).glob(RECORDS), *Path(runs).glob(f"*/*/{RECORDS}"), *Path().glob(RECORDS)]
    for file in sorted(provenance):
        try:
            made = json.loads(file.read_text())
        except ValueError:
            continue  # half-written: its stage never ended
        out = file.with_name(file.name.removesuffix(".provenance.json"))
        folder = Path(runs) / made["stage"] / made["identity"][:16]
        entry = entries.setdefault((made["stage"], made["identity"][:16]), {"folder": folder, "where": [], "state": "done"})
        entry |= {key: value for key, value in made.items() if key not in entry}
        entry["where"].append(out)
        if not entry.get("metrics") and (out / "metrics.json").is_file():
            entry["metrics"] = json.loads((out / "metrics.json").read_text())
    for entry in entries.values():
        if entry["state"] == "running" and not run_record.alive(entry["folder"]):
            entry["state"] = "interrupted"
    return sorted(entries.values(), key=started, reverse=True)


def started(entry: dict) -> str:
    """Return when the run last began, ISO 8601."""
    starts = entry.get("starts")
    return starts[-1]["at"] if starts else entry.get("times", {}).get("start", "")


def step(entry: dict) -> int | None:
    """Return the last recorded step; None if the run has none."""
    file = entry["folder"] / run_record.STEPS
    if file.is_file():
        with open(file, "rb") as handle:
            handle.seek(max(0, file.stat().st_size - 4096))
            for line in reversed(handle.read().splitlines()):
                try:
                    return json.loads(line)["step"]
                except (ValueError, TypeError):
                    continue  # cut off by a kill, or by the 4096 bytes
    return entry.get("metrics", {}).get("steps")


def state(entry: dict) -> str:
    """Return `done`, `running at step 3 of 9`, `interrupted at step 3 of 9` or `failed`."""
    if entry["state"] == "done" or entry.get("total") is None:
        return entry["state"]
    return f"{entry['state']} at step {step(entry) or 0} of {entry['total']}"


def headline(entry: dict) -> str:
    """Return the metric by which a run is judged, with its name."""
    metrics = entry.get("metrics", {})
    name = next((name for name in METRICS if metrics.get(name) is not None), None)
    return f"{name} {metrics[name]:.4g}" if name else MISSING


def table(entries: list[dict]) -> None:
    """Print one line for each run."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("stage", "identity", "started", "state", "steps", "result", "seconds", "other than the default"):
        shown.add_column(name, justify="right" if name in ("steps", "seconds") else "left", no_wrap=not name.startswith("other"))
    for entry in entries:
        seconds = entry.get("seconds") or entry.get("times", {}).get("seconds")
        differs = ", ".join(f"{key}={value}" for key, value in entry.get("differs", {}).items())
        where = " ".join(str(out) for out in entry["where"] if out.parts[0] != "runs")
        shown.add_row(
            entry["stage"],
            entry["identity"][:8],
            started(entry)[:16].replace("T", " "),
            state(entry),
            str(step(entry) or MISSING),
            headline(entry),
            f"{seconds:,.0f}" if seconds is not None else MISSING,
            f"{f'[{where}] ' if where else ''}{differs}".strip(),
        )
    console = Console(highlight=False, markup=False)
    console.width = console.width if console.is_terminal else WIDE
    console.print(shown)
    if not entries:
        console.print("no run yet; `python train.py` makes the first")


def named(text: str, entries: list[dict]) -> dict:
    """Return the run that `text` names: its folder, its out or a file in one, or the beginning of its identity, `stage/` before it or not.

    Raises InputError with the nearest names if no run fits, or more than one.
    """
    path = Path(text)
    near = [path, *path.parents][: -1 if not path.is_absolute() else None]
    for place in near:
        for entry in entries:
            if place in (entry["folder"], *entry["where"]) or place in [lineage.provenance_file(out) for out in entry["where"]]:
                return entry
    stage, _, prefix = text.rpartition("/")
    found = [entry for entry in entries if entry["identity"].startswith(prefix) and stage in ("", entry["stage"])] if prefix else []
    if len(found) == 1:
        return found[0]
    names = [f"{entry['stage']}/{entry['identity'][:8]}" for entry in found or entries]
    if found:
        raise InputError(f"{text}: more than one run; say which: {', '.join(names)}")
    outs = [str(out) for entry in entries for out in entry["where"]]
    raise InputError(f"{text}: no run of this path or identity{suggest(text, [*names, *outs, *(name.split('/')[1] for name in names)])}")


def flat(node, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}, "c": [2]} -> {"a.b": 1, "c.0": 2}; an empty mapping or list is a value."""
    if not isinstance(node, dict | list) or not node:
        return {prefix.removesuffix("."): node}
    found: dict[str, object] = {}
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        found |= flat(value, f"{prefix}{key}.")
    return found


def differences(left: dict, right: dict) -> list[tuple[str, object, object]]:
    """Return (key, left, right) of every leaf that differs, as text; None for a side that lacks it, `null` for one that holds null."""
    absent = object()
    keys = [key for key in dict.fromkeys([*left, *right]) if _apart(left.get(key, absent), right.get(key, absent))]
    return [(key, *(_told(side[key]) if key in side else None for side in (left, right))) for key in keys]


def _apart(left, right) -> bool:
    """True if two values differ, also in type: 1 and true, 1 and 1.0."""
    return left != right or type(left) is not type(right)


def _told(value):
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else value


def compare(first: dict, second: dict) -> dict[str, list[tuple[str, object, object]]]:
    """Return {"config", "data", "code", "result"}: (key, value in the first, value in the second) of everything that differs."""
    code = differences(first.get("files", {}), second.get("files", {})) if first.get("files") and second.get("files") else []
    if first["code"] != second["code"]:
        code.insert(0, ("code", first["code"][:12], second["code"][:12]))
    if first.get("revision") != second.get("revision"):
        code.append(("revision", first.get("revision", "")[:12], second.get("revision", "")[:12]))
    inputs = [
        {name: f"{given['digest'][:12]} {given['path']}" for name, given in entry["inputs"].items() if given["digest"] != other.get(name)}
        for entry, other in ((first, digests(second)), (second, digests(first)))
    ]
    return {
        "config": differences(flat(first["section"]), flat(second["section"])),
        "data": differences(*inputs),
        "code": code,
        "result": results(first.get("metrics", {}), second.get("metrics", {})),
    }


def digests(entry: dict) -> dict[str, str]:
    """Return {input: content digest} of a run."""
    return {name: given["digest"] for name, given in entry["inputs"].items()}


def results(first: dict, second: dict) -> list[tuple[str, object, object]]:
    """Return (metric, value, value) of those that differ in value, interval or rows, with these if any; `*` if the intervals are apart."""
    names = dict.fromkeys(re.sub("/(low|high|n)$", "", key) for key in [*first, *second])
    found: list[tuple[str, object, object]] = []
    for name in names:
        one, other = (
            {key: metrics[key] for key in (name, *(f"{name}/{each}" for each in BESIDE)) if key in metrics} for metrics in (first, second)
        )
        if one == other:
            continue
        bounds: list[tuple] = [(side.get(f"{name}/low"), side.get(f"{name}/high")) for side in (one, other)]
        apart = None not in (*bounds[0], *bounds[1]) and (bounds[0][0] > bounds[1][1] or bounds[0][1] < bounds[1][0])
        texts = [_figure(side.get(name), *pair) for side, pair in zip((one, other), bounds, strict=True)]
        if one.get(f"{name}/n") != other.get(f"{name}/n"):
            texts = [text and f"{text}, n {side.get(f'{name}/n')}" for text, side in zip(texts, (one, other), strict=True)]
        found.append((f"{name}{' *' if apart else ''}", texts[0], texts[1]))
    return found


def show(first: dict, second: dict) -> None:
    """Print how two runs differ."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    console.width = console.width if console.is_terminal else WIDE
    names = [f"{entry['stage']}/{entry['identity'][:8]}" for entry in (first, second)]
    console.print(f"{names[0]} ({state(first)}, {started(first)[:16]})  against  {names[1]} ({state(second)}, {started(second)[:16]})")
    for part, rows in compare(first, second).items():
        console.print(f"\n{part}{'' if rows else ': the same'}", style="bold")
        if rows:
            shown = Table(box=None, header_style="dim", pad_edge=False)
            for title in (part if part != "result" else "metric", *names):
                shown.add_column(title, overflow="fold")
            for key, left, right in rows:
                shown.add_row(key, *(MISSING if value is None else str(value) for value in (left, right)))
            console.print(shown)
    if stat := changes(first.get("revision", ""), second.get("revision", "")):
        console.print(f"\ngit diff --stat {first['revision'][:8]} {second['revision'][:8]} -- src conf\n{stat}")


def changes(first: str, second: str) -> str:
    """Return `git diff --stat` of src and conf between two revisions; "" if git does not have both."""
    if not first or not second or first == second:
        return ""
    command = ["git", "diff", "--stat=100", first.rstrip("+"), second.rstrip("+"), "--", "src", "conf"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.rstrip() if done.returncode == 0 else ""


def _figure(value, low, high) -> str | None:
    if value is None:
        return None
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if low is None or high is None else f"{text}  ({low:.4g} to {high:.4g})"
