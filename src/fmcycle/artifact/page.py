"""Fills the HTML pages of stages and runs; a page is one file that needs no network."""

import functools
import re
from pathlib import Path
from typing import Any

HEADING = re.compile(r"<h2(?: id=\"([^\"]*)\")?>(.*?)</h2>", re.DOTALL)  # values are escaped, so they can't hold a heading


@functools.cache
def _environment() -> Any:
    import jinja2  # imported late: few commands write a page

    made = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    made.globals["contents"] = contents
    made.globals["chart_script"] = Path(__file__).with_name("charts.js").read_text()
    made.globals["base"] = made.from_string(Path(__file__).with_name("base.html").read_text())
    return made


def render(template: Path, **values: Any) -> str:
    """Return the page of a jinja2 template that extends `base` (base.html); values are escaped unless the template says `safe`."""
    return _environment().from_string(template.read_text()).render(values)


def colours() -> str:
    """Return the CSS of base.html that defines the colours of all pages, light and dark."""
    look = Path(__file__).with_name("base.html").read_text()
    return look[look.index(":root") : look.index("* {")]


def contents(body: str) -> tuple[list[tuple[str, str]], str]:
    """Return ([(anchor, title)] of the `<h2>` headings, the body whose headings have these anchors)."""
    found: dict[str, str] = {}

    def anchored(heading: re.Match) -> str:
        title = re.sub(r"<[^>]*>", "", heading[2]).strip()
        name = heading[1] or re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
        anchor = name if name not in found else f"{name}-{len(found)}"
        found[anchor] = title
        return f'<h2 id="{anchor}">{heading[2]}</h2>'

    text = HEADING.sub(anchored, body)
    return list(found.items()), text
