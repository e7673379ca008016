"""Code that its own language can read."""

import ast
import json
import tomllib
import warnings
from collections.abc import Callable

import polars as pl
import yaml

SUFFIX = r"(?i)\.([a-z0-9]+)(?:[#~].*)?$"  # of a file's name, before "#12" (a row) or "~2" (a copy)
HELD = r"(?i)\.json(?:\.[a-z0-9]+)?#\d+"  # a row of a table: the suffix is the table's
DOMAINS = {"python": "py", "json": "json", "toml": "toml", "yaml": "yaml"}  # as source/whole.py and data sets of code name them


def syntax(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop rows of type code that do not parse: Python, JSON, TOML, YAML; `value` says where and why.

    The language is told by the suffix in `id`, else by `domain`; "a.json#3", a row of a file, says nothing of the text in it.
    Code in other languages stays, counted as unchecked. Python is the running interpreter's: Python 2 does not parse.
    """
    if "type" not in frame.columns or not (frame["type"] == "code").any():
        return frame
    suffix = pl.when(~pl.col("id").str.contains(HELD)).then(pl.col("id").str.extract(SUFFIX).str.to_lowercase())
    domain = pl.col("domain") if "domain" in frame.columns else pl.lit(None, pl.String)
    named = domain.str.to_lowercase().replace_strict(DOMAINS, default=None, return_dtype=pl.String)
    suffixes = frame.select(suffix=pl.when(suffix.is_in(list(PARSERS))).then(suffix).otherwise(named))["suffix"]
    code = (frame["type"] == "code").fill_null(False)
    faults = [
        fault(text, PARSERS[suffix]) if is_code and suffix in PARSERS else None
        for text, suffix, is_code in zip(frame["text"], suffixes, code, strict=True)
    ]
    value = pl.Series(faults, dtype=pl.String)
    wrong, unchecked = pl.when(value.is_not_null()), code & ~suffixes.is_in(list(PARSERS)).fill_null(False)
    return frame.with_columns(
        unchecked.cast(pl.Int64).alias("count:unchecked"),
        reason=wrong.then(pl.lit("code does not parse")),
        rule=wrong.then(pl.format("{} parses", suffixes)),
        value=value,
    )


def fault(text: str, parse: Callable[[str], object]) -> str | None:
    """Where and why `parse` refuses `text`; None where it does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python will refuse one day
            parse(text)
    except SyntaxError as error:
        return f"line {error.lineno or 1}: {error.msg}"
    except (ValueError, yaml.YAMLError, RecursionError, MemoryError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def events(text: str) -> None:
    """Read YAML without making anything of it."""
    for _ in yaml.parse(text, Loader=yaml.CSafeLoader):
        pass


PARSERS: dict[str, Callable[[str], object]] = {
    "py": ast.parse,
    "pyi": ast.parse,
    "json": json.loads,
    "ipynb": json.loads,
    "toml": tomllib.loads,
    "yaml": events,
    "yml": events,
}
