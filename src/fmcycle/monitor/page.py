"""Renders the findings of monitors as one HTML page: the verdict, charts over time, the figures of each monitor."""

from collections.abc import Sequence
from pathlib import Path

from fmcycle.artifact.charts import curve
from fmcycle.artifact.page import render
from fmcycle.monitor.history import place_of

TEMPLATE = "page.html"
VERDICT = {True: "yes", False: "no", None: "no verdict"}
CHARTS = (  # title, label, series: (name in the legend, name in the history), monitor whose bound is drawn
    ("Answers", "answers a {unit}", (("", "answers"),), None),
    ("Latency", "seconds of an answer", (("half are faster", "p50"), ("95 of 100 are faster", "p95")), "latency"),
    ("Complaints", "share of rated answers with a thumb down, with its 95 % interval",
     (("share", "disliked"), ("low", "disliked_low"), ("high", "disliked_high")), "dislikes"),
    ("Refusals", "share of answers that were refused", (("share", "refused"),), "refusals"),
    ("Cost", "tokens a {unit}", (("read", "read"), ("written", "written")), None),
)  # fmt: skip
FAR = 3  # a bound that is so many times above all values is told and not drawn: it would flatten them


def page(result: dict) -> str:
    """Return the page of a findings.json."""
    history = result["history"]
    events = [
        (place_of(history, model["first"]), f"{model['model'][:12]} answers from here; the verdict on the model before: {word(before)}")
        for before, model in zip(history["models"], history["models"][1:], strict=False)
        if model["first"]
    ]
    return render(
        Path(__file__).with_name(TEMPLATE),
        word=VERDICT[result["retrain"]],
        words=VERDICT,
        charts=[*charts(history, result["findings"], events), *drift(history["drift"])],
        events=bool(events),
        **result,
    )


def word(model: dict) -> str:
    """Return the verdict on a model in a word, `retrain: yes` for instance."""
    return f"retrain: {VERDICT[model['retrain']]}"


def charts(history: dict, findings: dict[str, dict], events: Sequence[tuple[float, str]]) -> list[tuple[str, str]]:
    """Return (title, chart) of the figures that the traffic has."""
    times, drawn = history["times"], []
    if not times:
        return []
    for title, label, series, monitor in CHARTS:
        lines: list = [(name, list(range(len(times))), history[key]) for name, key in series]
        values = [value for _, _, line in lines for value in line if value is not None]
        if monitor in findings and values:
            bound = findings[monitor]["bound"]
            label += f"; alarms above {bound:g}"
            if max(values) * FAR >= bound:
                lines.append(("bound", list(range(len(times))), [bound] * len(times)))
        if svg := curve(lines, label=label.format(unit=history["unit"]), times=times, marks=events):
            drawn.append((title, svg))
    return drawn


def drift(found: dict) -> list[tuple[str, str]]:
    """Return (title, chart) of the distances from the reference in equal windows of the chats, as shares of their bounds."""
    times = [time.replace("T", " ") for time in found["times"]]
    lines: list = [(name.replace("_", " "), list(range(len(times))), line) for name, line in found.items() if name != "times"]
    if not times or not lines:
        return []
    lines.append(("bound", list(range(len(times))), [1.0] * len(times)))
    return [("Drift", curve(lines, label="distance from the reference, as a share of its bound; a window ends at each time", times=times))]
