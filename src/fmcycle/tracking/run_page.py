"""The page of a run: curves, samples, config and costs in one self-contained file; rewritten while the run trains."""

import json
from pathlib import Path

from fmcycle.artifact import atomic, page
from fmcycle.artifact.charts import curve
from fmcycle.tracking import run_record

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


def write(folder: str | Path, steps: run_record.Steps | None = None) -> Path:
    """Write run.html from the run's files in `folder` (run.json may be missing). steps: its curves; None: read from steps.jsonl."""
    folder = Path(folder)
    file = folder / PAGE
    atomic.write_text(file, render(folder, run_record.read(folder), steps or run_record.Steps(folder)))
    return file


def render(folder: Path, facts: dict, steps: run_record.Steps) -> str:
    """Return the page as HTML."""
    step, total = steps.last.get("step", 0), facts.get("total")
    return page.render(
        Path(__file__).with_name(TEMPLATE),
        name=f"{facts.get('stage', folder.parent.name)} {folder.name}",
        state=facts.get("state", "unknown"),
        error=facts.get("error"),
        refresh=REFRESH if facts.get("state") == "running" else None,
        share=step / total if total else 0.0,
        cards=cards(steps.last, step, total),
        charts=charts(steps),
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
