"""Filter code by whether it parses."""

import ast
import json
import tomllib
import warnings
from collections.abc import Callable

import polars as pl
import yaml

SUFFIX = r"(?i)\.([a-z0-9]+)(?:[#~].*)?$"  # a file's suffix, before "#12" (a row) or "~2" (a copy)
HELD = r"(?i)\.json(?:\.[a-z0-9]+)?#\d+"  # a row of a table: the suffix is the table's
DOMAINS = {"python": "py", "json": "json", "toml": "toml", "yaml": "yaml"}  # names in source/format/whole.py and in data sets of code


def syntax(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop rows of type code that do not parse as Python, JSON, TOML or YAML; `value` is the place and the reason.

    The language is that of the suffix in `id`, else `domain`; the suffix in "a.json#3" is that of the file, not of the text in its row.
    Code in other languages stays and is counted as unchecked. Python is parsed by the running interpreter: Python 2 does not parse.
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
    """Where and why `parse` refuses `text`; None if it parses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated escapes
            parse(text)
    except SyntaxError as error:
        return f"line {error.lineno or 1}: {error.msg}"
    except (ValueError, yaml.YAMLError, RecursionError, MemoryError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def events(text: str) -> None:
    """Parse YAML without constructing objects."""
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
