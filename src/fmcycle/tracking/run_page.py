"""The page of a run: curves, samples, config and costs in one self-contained file; rewritten while the run trains."""

import functools
import json
import os
from pathlib import Path

from fmcycle.artifact import atomic, page
from fmcycle.artifact.charts import curve
from fmcycle.tracking import compare, run_record

TEMPLATE, PAGE, PLAN = "run.html", "run.html", "plan.json"
CHARTS = (  # title, axis label, series: (name in the legend, name in steps.jsonl)
    ("Loss", "by optimizer step", (("training", "loss"), ("validation", "validation_loss"))),
    ("Learning rate", "by optimizer step", (("", "lr"),)),
    ("Tokens per second", "mean of the last 20 steps", (("", "tokens_per_s"),)),
    ("Rows per second", "mean of the last 20 steps", (("", "rows_per_s"),)),
    ("Gradient norm", "before clipping", (("", "gradient_norm"),)),
    ("MFU", "of the device's peak", (("", "mfu"),)),
    ("Memory", "GB (2**30 bytes)", (("", "memory"),)),
)
COSTS = (  # title, name in plan.json, unit, factor of the unit
    ("time of training", "seconds", "s of one thread's CPU, or of the GPU", 1),
    ("peak memory", "peak", "GB", 2**30),
    ("weights", "weights", "MB", 2**20),
    ("gradients", "gradients", "MB", 2**20),
    ("optimizer", "optimizer", "MB", 2**20),
    ("floating-point operations", "flops", "10**12", 10**12),
    ("money", "money", "", 1),
)
OWN = {name for _, _, series in CHARTS for _, name in series} | {"count", "skipped", "step"}
REFRESH = 30  # seconds after which the open page of a running run reloads
BESIDE = 4  # other runs of the stage on the page
KEYS = 40  # differing keys of each kind on the page
LABEL = 2  # keys in a run's label


def write(folder: str | Path, steps: run_record.Steps | None = None) -> Path:
    """Write run.html from the run's files in `folder` (run.json may be missing). steps: its curves; None: read from steps.jsonl."""
    folder = Path(folder)
    file = folder / PAGE
    others = siblings(folder)
    atomic.write_text(file, render(folder, run_record.read(folder), steps or run_record.Steps(folder), others, folder))
    return file


def render(folder: Path, facts: dict, steps: run_record.Steps, others: list[dict], at: Path) -> str:
    """Return the page as HTML. others: run.json of the runs beside it, each with its `folder`; at: the folder of the page, for links."""
    step, total = steps.last.get("step", 0), facts.get("total")
    runs = [facts | {"folder": folder}, *others]
    return page.render(
        Path(__file__).with_name(TEMPLATE),
        name=f"{facts.get('stage', folder.parent.name)} {folder.name}",
        state=facts.get("state", "unknown"),
        error=facts.get("error"),
        refresh=REFRESH if facts.get("state") == "running" else None,
        share=min(1.0, step / total) if total else 0.0,
        cards=cards(steps.last, step, total),
        charts=charts(steps),
        others=[(name_of(run), started(run), run.get("state", "unknown"), link(run, at)) for run in runs] if others else [],
        overlaid=overlaid(runs, steps) if others else [],
        most=KEYS,
        compared=compare.compare(*map(whole, runs)) if others else {},
        samples=sorted(run_record.lines(folder / run_record.SAMPLES), key=lambda row: (row["prompt"], row["step"])),
        differs=facts.get("differs", {}),
        costs=costs(folder),
        starts=facts.get("starts", []),
        seconds=facts.get("seconds"),
        section=yaml_of(facts.get("section", {})),
        inputs=facts.get("inputs", {}),
        made={key: facts[key] for key in ("identity", "code", "revision") if facts.get(key)},
        metrics=facts.get("metrics", {}),
        written=run_record.now(),
    )


def siblings(folder: Path) -> list[dict]:
    """Return run.json of the newest other runs of the same stage that trained, each with its `folder`."""
    found = [run_record.read(file.parent) | {"folder": file.parent} for file in sorted(folder.parent.glob(f"*/{run_record.STEPS}"))]
    kept = [run for run in found if run["folder"].name != folder.name and run.get("section")]
    return sorted(kept, key=started, reverse=True)[:BESIDE]


def started(run: dict) -> str:
    """Return when the run last began, ISO 8601; "" if it is not known."""
    starts = run.get("starts") or [{"at": run.get("times", {}).get("start", "")}]
    return starts[-1]["at"]


def name_of(run: dict) -> str:
    """Return the beginning of the run's identity."""
    return str(run.get("identity") or run["folder"].name)[:8]


def whole(run: dict) -> dict:
    """Return the run with the entries that a comparison reads."""
    return {"section": {}, "inputs": {}, "code": "", "metrics": {}} | run


def link(run: dict, at: Path) -> str:
    """Return the address of the run's own page, relative to the folder `at`; "" if it has none, or is this page."""
    file = Path(run["folder"]) / PAGE
    return os.path.relpath(file, at) if file.is_file() and file.parent.resolve() != at.resolve() else ""


def overlaid(runs: list[dict], steps: run_record.Steps) -> list[tuple[str, str]]:
    """Return (title, chart) of the loss of the runs, the first of which has `steps`: training, then validation."""
    changed = compare.differences(*(compare.flat(run.get("section", {})) for run in runs))
    curves = [{name: thin.points() for name, thin in steps.curves.items()}, *(losses(Path(run["folder"])) for run in runs[1:])]
    labels = [label(run, place, changed) for place, run in enumerate(runs)]
    drawn = []
    for title, name in (("Training loss", "loss"), ("Validation loss", "validation_loss")):
        lines = [(text, *found[name]) for text, found in zip(labels, curves, strict=True) if name in found]
        if len(lines) > 1 and (chart := curve(lines, label="by optimizer step")):
            drawn.append((title, chart))
    return drawn


def label(run: dict, place: int, changed: list[tuple]) -> str:
    """Return the run's name in a legend: identity, and the first keys of it that differ."""
    keys = [f"{row[0].removesuffix('._target_')} {row[1 + place]}" for row in changed if row[1 + place] is not None][:LABEL]
    return ", ".join([f"{name_of(run)}{' (this run)' if place == 0 else ''}", *keys])


def losses(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return {figure: (steps, values)} of a run's losses."""
    file = folder / run_record.STEPS
    if not file.is_file():
        return {}
    found = file.stat()
    return _losses(folder, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=2 * BESIDE)
def _losses(folder: Path, *_: int) -> dict[str, tuple[list[float], list[float]]]:
    """The page is rewritten while a run trains: a file that stayed the same is read once."""
    curves = run_record.Steps(folder).curves
    return {name: curves[name].points() for name in ("loss", "validation_loss") if name in curves}


def cards(last: dict, step: int, total: int | None) -> list[tuple[str, str]]:
    """Return (title, value) of the figures at the top of the page."""
    found = [("step", f"{step:,} of {total:,}" if total else f"{step:,}")]
    shown = (
        ("training loss", "loss", "{:.3f}"),
        ("validation loss", "validation_loss", "{:.3f}"),
        ("tokens per second", "tokens_per_s", "{:,.0f}"),
        ("rows per second", "rows_per_s", "{:,.0f}"),
        ("MFU", "mfu", "{:.2f}"),
        ("skipped steps", "skipped", "{:.0f}"),
    )
    found += [(title, form.format(last[name])) for title, name, form in shown if last.get(name)]
    if last.get("memory"):
        found.append(("memory", f"{last['memory'] / 2**30:.2f} GB"))
    return found


def charts(steps: run_record.Steps) -> list[tuple[str, str]]:
    """Return (title, SVG) of the logged figures: those of CHARTS, then the objective's, each with its validation."""
    points = {name: thin.points() for name, thin in steps.curves.items()}
    if "memory" in points:
        points["memory"] = (points["memory"][0], [value / 2**30 for value in points["memory"][1]])
    others = sorted({name.removeprefix("validation_") for name in points if name not in OWN})
    more = [
        (name.replace("_", " ").capitalize(), "by optimizer step", (("training", name), ("validation", f"validation_{name}")))
        for name in others
    ]
    drawn = []
    for title, label, series in (*CHARTS, *more):
        lines = [(name, *points[key]) for name, key in series if key in points]
        if svg := curve(lines, label=label):
            drawn.append((title, svg))
    return drawn


def costs(folder: Path) -> list[tuple[str, str, str, str]]:
    """Return (title, predicted with its 90 % interval, actual, ratio) from the run's plan.json."""
    try:
        plan = json.loads((folder / PLAN).read_text())
    except (OSError, ValueError):
        return []
    found, actual = [], plan.get("actual") or {}
    share = actual["steps"] / plan["steps"] if actual.get("steps") else 1.0  # a resumed run is timed from its resumption
    for title, name, unit, size in COSTS:
        said, was = plan.get(name), actual.get(name)
        if said is None:
            continue
        part_done = share if name == "seconds" else 1.0
        value, *interval = [part * part_done / size for part in (said if isinstance(said, list) else [said])]
        title += f" of {actual['steps']} steps" if part_done != 1.0 else ""
        text = number(value) + (f" ({number(interval[0])} to {number(interval[1])})" if interval else "")
        ratio = f"{was / size / value:.2f}" if was is not None and value else ""
        found.append((f"{title}, {unit}" if unit else title, text, number(None if was is None else was / size), ratio))
    return found


def number(value) -> str:
    """Format a number with four digits and thousands separators; None becomes a dash."""
    if not isinstance(value, int | float):
        return "\u2013" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def yaml_of(section: dict) -> str:
    """Return the section as YAML, keys in their own order; "" if it is empty."""
    import yaml

    return yaml.safe_dump(section, sort_keys=False, width=100) if section else ""
