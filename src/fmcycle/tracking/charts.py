"""Charts as self-contained SVG text; the same numbers give the same bytes."""

import math
from html import escape

WIDTH, LEFT, RIGHT = 720, 190, 24


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


def intervals(rows: list[tuple[str, float, float, float]], *, label: str) -> str:
    """Return a chart with a line for each row (name, value, low, high): a dot at value, a bar from low to high; not from 0."""
    marks = ticks(min(low for _, _, low, _ in rows), max(high for _, _, _, high in rows))
    low, high = marks[0], marks[-1]
    height = 24 * len(rows) + 44

    def x(value: float) -> str:
        return f"{LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT - 60):.1f}"

    parts = [_open(WIDTH, height, label)]
    for mark in marks:
        parts.append(f'<line class="grid" x1="{x(mark)}" x2="{x(mark)}" y1="6" y2="{height - 36}"/>')
        parts.append(f'<text x="{x(mark)}" y="{height - 22}" text-anchor="middle">{mark:g}</text>')
    for index, (name, value, left, right) in enumerate(rows):
        y = 20 + 24 * index
        shade = "c0" if index == 0 else "c1"
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<line class="{shade} thick" x1="{x(left)}" x2="{x(right)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="{shade}" cx="{x(value)}" cy="{y}" r="4.5"/>')
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{y + 4}" text-anchor="end">{value:.3f}</text>')
    parts.append(f'<text x="{LEFT}" y="{height - 5}" class="axis">{escape(label)}</text></svg>')
    return "".join(parts)


def curve(series: list[tuple[str, list[float], list[float]]], *, label: str) -> str:
    """Return a chart of (name, steps, values) over the training step; values that are not finite are left out."""
    width, height, left, bottom = 460, 260, 46, 40
    series = [(name, *_finite(steps, values)) for name, steps, values in series]
    series = [(name, steps, values) for name, steps, values in series if steps]
    if not series:
        return ""
    end = max(1, *(max(steps) for _, steps, _ in series))
    across = [mark for mark in ticks(0, end, 5) if mark <= end]
    ordered = sorted(value for _, _, values in series for value in values)
    top = ordered[min(len(ordered) - 1, int(len(ordered) * 0.995))]  # an early peak must not flatten the rest
    up = ticks(ordered[0], max(top, ordered[0] + 1e-3), 5)

    def x(step: float) -> float:
        return left + step / end * (width - left - 14)

    def y(value: float) -> float:
        return height - bottom - (min(value, up[-1]) - up[0]) / (up[-1] - up[0]) * (height - bottom - 12)

    parts = [_open(width, height, label)]
    for mark in up:
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 14}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
    parts += [f'<text x="{x(mark):.1f}" y="{height - bottom + 16}" text-anchor="middle">{mark:g}</text>' for mark in across]
    for index, (name, steps, values) in enumerate(series):
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in zip(steps, values, strict=True))
        shown = f'<polyline class="c{index} line" points="{points}"/>' if len(steps) > 1 else ""
        dots = "".join(f'<circle class="c{index}" cx="{x(s):.1f}" cy="{y(v):.1f}" r="3"/>' for s, v in zip(steps, values, strict=True))
        parts.append(shown + (dots if len(steps) <= 12 else ""))
        parts.append(f'<text x="{width - 18}" y="{24 + 16 * index}" text-anchor="end" class="c{index} name">{escape(name)}</text>')
    parts.append(f'<text x="{left}" y="{height - 6}" class="axis">{escape(label)}</text></svg>')
    return "".join(parts)


def _open(width: int, height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{escape(label)}">'


def _finite(steps, values) -> tuple[list[float], list[float]]:
    kept = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None and math.isfinite(value)]
    return [step for step, _ in kept], [value for _, value in kept]
