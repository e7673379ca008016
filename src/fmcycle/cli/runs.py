"""`fmcycle runs`: lists every run that is recorded in runs/ or artifacts/, or compares them on the terminal or on a page."""

import json
import subprocess
from pathlib import Path

from fmcycle.artifact import atomic
from fmcycle.artifact import provenance as lineage
from fmcycle.cli import verbs
from fmcycle.errors import InputError, suggest
from fmcycle.tracking import run_page, run_record
from fmcycle.tracking.compare import compare

METRICS = ("bits_per_byte", "rouge_l", "preference_accuracy", "score", "validation_loss")  # the table shows the first that a run has
MISSING = "\u2013"
RECORDS = "*.provenance.json"
WIDE = 200  # columns without a terminal


def main(arguments: list[str]) -> int:
    """Run the verb: list all runs, compare two, or write the page of the first beside the others."""
    given = verbs.parse("runs", arguments)
    chosen = given.runs
    if not (len(chosen) > 1 if given.page else len(chosen) in (0, 2)):
        usage = "without arguments lists all runs, with two compares them, with two or more and --page FILE writes a page"
        raise InputError(f"{verbs.usage('runs')}fmcycle runs: {usage}; not {len(chosen)}")
    entries = find()
    if given.page:
        print(page(given.page, [named(text, entries) for text in chosen]))
    elif chosen:
        show(*(named(text, entries) for text in chosen))
    else:
        table(entries)
    return 0


def page(file: str, entries: list[dict]) -> Path:
    """Write the page of the first run, beside the other runs, into `file`."""
    target = Path(file)
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"--page {file}: name a file in a folder that exists, --page runs/compared.html")
    first, *others = entries
    atomic.write_text(target, run_page.render(first["folder"], first, run_record.Steps(first["folder"]), others, target.parent))
    return target


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
    path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
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
