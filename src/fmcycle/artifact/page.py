"""Fills the HTML pages of stages and runs; a page is one file that needs no network."""

import functools
from pathlib import Path
from typing import Any


@functools.cache
def _environment() -> Any:
    import jinja2  # imported late: few commands write a page

    made = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    made.globals["base"] = made.from_string(Path(__file__).with_name("base.html").read_text())
    return made


def render(template: Path, **values: Any) -> str:
    """Return the page of a jinja2 template that extends `base` (base.html); values are escaped unless the template says `safe`."""
    return _environment().from_string(template.read_text()).render(values)
