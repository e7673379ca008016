"""Charts as self-contained HTML with SVG; the same numbers give the same bytes. charts.js adds hover values and scales to them."""

import json
import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, TOP, BOTTOM, RIGHT = 400, 230, 12, 24, 14
SHADES = 6  # colours of base.html, c0 to c5; further series begin again
LISTED = 12  # steps in the table of values
LETTER = 6.6  # width of a digit in units of the image

Series = tuple[str, list[float], list[float]]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most `most` + 1 round numbers that span low to high."""
    size = max(1.0, abs(low), abs(high))
    if high - low < 1e-9 * size:
        low, high = low - 0.5 * size, high + 0.5 * size
    span = high - low
    unit = 10 ** math.floor(math.log10(span / most))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= most)
    first = math.floor(low / step + 1e-9)
    return [round(index * step, 10) for index in range(first, math.ceil(high / step - 1e-9) + 1)]


def short(value: float) -> str:
    """Format the number at an axis: 0.002, 1.5, 20k, 3M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * size or (unit != "k" and abs(value) >= size):
            return f"{value / size:.6g}{unit}"
    return f"{value:.6g}"


def intervals(rows: list[tuple[str, float, float, float]], *, label: str) -> str:
    """Return a chart with a line for each row (name, value, low, high): a dot at value, a bar from low to high; not from 0."""
    marks = ticks(min(low for _, _, low, _ in rows), max(high for _, _, _, high in rows), 4)

    def x(value: float) -> str:
        return f"{100 * (value - marks[0]) / (marks[-1] - marks[0]):.2f}%"

    grid = "".join(f'<i class="grid" style="left:{x(mark)}"></i>' for mark in marks)
    parts = [f'<figure class="intervals" role="group" aria-label="{escape(label)}">']
    for index, (name, value, low, high) in enumerate(rows):
        told = f"{value:,.3f} [{low:,.3f}, {high:,.3f}]"
        parts.append(
            f'<div class="row"><span class="name">{escape(name)}</span><span class="track c{min(index, 1)}" title="{told}">{grid}'
            f'<i class="range" style="left:{x(low)};right:calc(100% - {x(high)})"></i><i class="dot" style="left:{x(value)}"></i></span>'
            f'<span class="told">{told}</span></div>'
        )
    ends = "".join(f'<span style="left:{x(mark)}">{short(mark)}</span>' for mark in marks)
    parts.append(f'<div class="row axis" aria-hidden="true"><span></span><span class="marks">{ends}</span><span></span></div>')
    parts.append(f'<figcaption class="note">{escape(label)}</figcaption></figure>')
    return "".join(parts)


def curve(series: list[Series], *, label: str, times: list[str] | None = None, marks: Sequence[tuple[float, str]] = ()) -> str:
    """Return a chart of (name, steps, values) over the training step; values that are not finite are left out, "" if none is left.

    times: names of the steps 0, 1, ...; the axis then shows them and begins at 0. marks: (step, text) of vertical lines.
    """
    series = [(name, *_finite(steps, values)) for name, steps, values in series]
    series = [(name, steps, values) for name, steps, values in series if steps]
    if not series:
        return ""
    end = max(1, len(times or []) - 1, *(max(steps) for _, steps, _ in series))
    ordered = sorted(value for _, _, values in series for value in values)
    top = ordered[min(len(ordered) - 1, int(len(ordered) * 0.995))]  # an early peak must not flatten the rest
    first = min(0, ordered[0]) if times else ordered[0]
    up = ticks(first, max(top, first + 1e-3 * max(1e-6, abs(first))), 5)
    left = round(10 + LETTER * max(len(short(mark)) for mark in up))
    box = {"left": left, "right": RIGHT, "top": TOP, "bottom": BOTTOM, "end": end, "low": up[0], "high": up[-1], "label": label}
    box |= {"times": times} if times else {}
    drawn = _drawing(series, box, up, _across(end, times), marks)
    data = [{"name": name, "steps": steps, "values": [float(f"{value:.6g}") for value in values]} for name, steps, values in series]
    return (
        f'<figure class="curve" data-box="{escape(json.dumps(box))}" data-series="{escape(json.dumps(data))}">'
        f'{_legend(series)}{drawn}<output class="note">{escape(label)}</output>{_values(series, times)}</figure>'
    )


def _across(end: float, times: list[str] | None) -> Sequence[tuple[float, str]]:
    """(step, text) along the axis; of times the first, the last and some between them that have room."""
    if not times:
        return [(mark, short(mark)) for mark in ticks(0, end, 4) if mark <= end]
    most = max(2, int((WIDTH - 60) / (LETTER * (len(times[0]) + 2))))
    if len(times) <= most:
        return list(enumerate(times))
    return [(place, times[place]) for place in (round(index * (len(times) - 1) / (most - 1)) for index in range(most))]


def _legend(series: list[Series]) -> str:
    named = "".join(f'<li><i class="c{index % SHADES}"></i>{escape(name)}</li>' for index, (name, *_) in enumerate(series) if name)
    return f'<ul class="legend">{named}</ul>' if named else ""


def _drawing(
    series: list[Series], box: dict, up: list[float], across: Sequence[tuple[float, str]], events: Sequence[tuple[float, str]]
) -> str:
    left, end, low, high = (box[name] for name in ("left", "end", "low", "high"))

    def x(step: float) -> float:
        return left + step / end * (WIDTH - left - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (min(value, high) - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" aria-label="{escape(box["label"])}">', '<g class="marks">']
    for mark in up:
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{short(mark)}</text>')
    parts.append("</g>")
    for mark, text in across:
        half = LETTER * len(text) / 2
        place = min(max(x(mark), half), WIDTH - half)  # the first and last text stay inside the image
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{escape(text)}</text>')
    for step, text in events:
        line = f'x1="{x(step):.1f}" x2="{x(step):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
        parts.append(f'<g class="event"><title>{escape(text)}</title><line {line}/></g>')
    for index, (_, steps, values) in enumerate(series):
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in zip(steps, values, strict=True))
        parts.append(f'<polyline class="c{index % SHADES} line" points="{points}"/>')
        if len(steps) <= 12:
            dots = zip(steps, values, strict=True)
            parts += [f'<circle class="c{index % SHADES}" cx="{x(step):.1f}" cy="{y(value):.1f}" r="3"/>' for step, value in dots]
    return "".join([*parts, "</svg>"])


def _values(series: list[Series], times: list[str] | None) -> str:
    """The table of the chart: the first and last step of each series, and some between them."""
    every = [dict(zip(steps, values, strict=True)) for _, steps, values in series]
    steps = sorted({step for found in every for step in found})
    own = sorted({step for found in every if len(found) <= LISTED for step in found})  # all validations, if they are few
    kept = sorted({*own, *(steps[round(place * (len(steps) - 1) / (LISTED - 1))] for place in range(LISTED))})
    cells = [
        [escape(times[int(step)]) if times else f"{step:g}", *(f"{found[step]:.4g}" if step in found else "" for found in every)]
        for step in kept
    ]
    head = "".join(
        f'<th class="n">{escape(name)}</th>' for name in ("time" if times else "step", *(name or "value" for name, *_ in series))
    )
    rows = "".join("<tr>" + "".join(f'<td class="n">{cell}</td>' for cell in row) + "</tr>" for row in cells)
    table = f"<table><tr>{head}</tr>{rows}</table>"
    return f'<details><summary>values</summary><div class="scroll">{table}</div></details>'


def _finite(steps, values) -> tuple[list[float], list[float]]:
    kept = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None and math.isfinite(value)]
    return [step for step, _ in kept], [value for _, value in kept]
