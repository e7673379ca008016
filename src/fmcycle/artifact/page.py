"""Fills the HTML pages that stages and runs leave; a page is one file that needs no network."""

import functools
from pathlib import Path
from typing import Any


@functools.cache
def _environment() -> Any:
    import jinja2  # only a command that writes a page waits for it

    made = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    made.globals["base"] = made.from_string(Path(__file__).with_name("base.html").read_text())
    return made


def render(template: Path, **values: Any) -> str:
    """The page of a jinja2 template, which extends `base` (base.html); values are escaped unless it says `safe`."""
    return _environment().from_string(template.read_text()).render(values)
