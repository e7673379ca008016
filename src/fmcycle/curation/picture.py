"""An SVG of the text that passes through the steps: bands as thick as their bytes, with a branch below for what each step drops."""

from html import escape

TALL, GAP, WIDE = 150, 70, 104  # height of the thickest band and of the branch below it, least width of a step, in units of the image
TOP, EDGE = 40, 80  # space above the bands, and for the sizes before the first step and behind the last
LETTER = 8  # width of a letter of a step's name


def flow(steps: list[dict]) -> str:
    """An SVG of steps with `bytes_before`, `bytes_dropped`, `bytes_after` and `before`, `dropped`, `after` documents; "" without any."""
    most = max((step["bytes_before"] for step in steps), default=0)
    if not most:
        return ""
    wide = max(WIDE, *(LETTER * len(step["step"]) + 10 for step in steps))  # names are whole: a wide image scrolls in its box
    width, height = wide * len(steps) + 2 * EDGE, TOP + TALL + GAP + 34
    parts = [band(0, EDGE, steps[0]["bytes_before"] / most * TALL, steps[0]["bytes_before"] / most * TALL)]
    parts += [label(4, TOP + 16 + 14 * line, text, "name") for line, text in enumerate((size(steps[0]["bytes_before"]), "in"))]
    for number, step in enumerate(steps):
        left = EDGE + number * wide
        before, dropped, after = (step[f"bytes_{name}"] / most * TALL for name in ("before", "dropped", "after"))
        parts.append(band(left, left + wide, before - dropped, after))
        if step["dropped"]:
            parts.append(branch(left, before - dropped, max(dropped, 1.0)))
            parts.append(label(left + 24, TOP + TALL + GAP + 14, f"−{size(step['bytes_dropped'])}", "lost"))
            parts.append(label(left + 24, TOP + TALL + GAP + 29, f"{step['dropped']:,} documents"))
        title = f"{step['step']}: {step['before']:,} documents in, {step['dropped']:,} dropped, {step['changed']:,} changed"
        parts.append(
            f'<g><title>{escape(title)}</title><line x1="{left:.1f}" y1="{TOP - 4}" x2="{left:.1f}" y2="{TOP + max(before, 6):.1f}"/></g>'
        )
        parts.append(label(left, TOP - 24, step["step"], "name"))
        if step["changed"]:
            parts.append(label(left + 4, TOP - 9, f"{step['changed']:,} changed"))
    last = steps[-1]
    parts += [label(width - EDGE + 6, TOP + 16 + 14 * line, text, "name") for line, text in enumerate((size(last["bytes_after"]), "out"))]
    told = f"{len(steps)} steps, {size(most)} in, {size(last['bytes_after'])} out; the table below has the figures"
    size_of = f"min-width:{width * 0.9:.0f}px;max-width:{width * 1.3:.0f}px"
    return (
        f'<div class="scroll"><svg viewBox="0 0 {width} {height}" style="{size_of}" role="img" aria-label="{told}">'
        f"{''.join(parts)}</svg></div>"
    )


def band(left: float, right: float, before: float, after: float) -> str:
    """The text that stays, from one thickness to another."""
    middle, low, end = (left + right) / 2, TOP + max(before, 1.0), TOP + max(after, 1.0)
    curve = f"C{middle:.1f} {end:.1f} {middle:.1f} {low:.1f} {left:.1f} {low:.1f}"
    return f'<path class="band" d="M{left:.1f} {TOP}H{right:.1f}V{end:.1f}{curve}Z"/>'


def branch(left: float, above: float, thick: float) -> str:
    """The text that is dropped, from below the band down to its label."""
    start, foot = TOP + above, TOP + TALL + GAP
    inner, outer = left + 20, left + 20 + min(thick, WIDE - 40)
    return (
        f'<path class="gone" d="M{left:.1f} {start:.1f}C{outer:.1f} {start:.1f} {outer:.1f} {start:.1f} {outer:.1f} {foot:.1f}'
        f'H{inner:.1f}C{inner:.1f} {start + thick:.1f} {inner:.1f} {start + thick:.1f} {left:.1f} {start + thick:.1f}Z"/>'
    )


def label(x: float, y: float, text: str, kind: str = "") -> str:
    """A few words."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def size(bytes: float) -> str:
    """Bytes as text with a unit."""
    for unit, bound in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if bytes >= bound:
            return f"{bytes / bound:,.1f}\u00a0{unit}"
    return f"{bytes:,.0f}\u00a0B"
