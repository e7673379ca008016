"""The traffic over time: counts by the hour, day, week or month, windows of drift, and the models that answered."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl

from fmcycle.statistics.interval import wilson

UNITS = (("1h", "%m-%d %H:00", 3600), ("1d", "%Y-%m-%d", 86400), ("1w", "%Y-%m-%d", 7 * 86400), ("1mo", "%Y-%m", 30 * 86400))
WORDS = {"1h": "hour", "1d": "day", "1w": "week", "1mo": "month"}
MOST = 72  # times of a chart
WINDOWS = 8  # of drift


def timed(traffic: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a readable time, in its order, with column `at`."""
    at = pl.col("time").str.slice(0, 19).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False)
    return traffic.with_columns(at=at).filter(pl.col("at").is_not_null()).sort("at", "answer_id")


def over_time(traffic: pl.DataFrame) -> dict:
    """Return {"unit", "times", column: [value of each time, or None]} of the whole traffic; without traffic no times.

    Columns: answers, tokens read and written, p50 and p95 (seconds), refused and disliked (shares), disliked_low and disliked_high (95 %).
    """
    rows = timed(traffic)
    if rows.is_empty():
        return {"unit": "day", "times": []}
    first, last = rows["at"][0], rows["at"][-1]
    unit, form, _ = next((each for each in UNITS if (last - first).total_seconds() <= MOST * each[2]), UNITS[-1])
    starts = rows.select(pl.col("at").dt.truncate(unit))["at"]
    every = pl.datetime_range(starts[0], starts[-1], unit, eager=True).alias("start")
    rated = pl.col("rating") != 0
    counted = (
        rows.with_columns(start=starts)
        .group_by("start")
        .agg(
            answers=pl.len(),
            read=pl.col("prompt_tokens").sum(),
            written=pl.col("answer_tokens").sum(),
            p50=pl.col("latency").quantile(0.5).round(4),
            p95=pl.col("latency").quantile(0.95).round(4),
            refused=pl.col("refused").mean().round(4),
            rated=rated.sum(),
            poor=(pl.col("rating") < 0).sum(),
        )
    )
    table = every.to_frame().join(counted, on="start", how="left").sort("start")
    table = table.with_columns(pl.col("answers", "read", "written", "rated", "poor").fill_null(0))
    shares = [wilson(poor, n, 0.05) if n else None for poor, n in table.select("poor", "rated").iter_rows()]
    found = {name: table[name].to_list() for name in ("answers", "read", "written", "p50", "p95", "refused")}
    for place, name in enumerate(("disliked", "disliked_low", "disliked_high")):
        found[name] = [None if share is None else round(float(share[place]), 4) for share in shares]
    return {"unit": WORDS[unit], "times": table["start"].dt.strftime(form).to_list()} | found


def place_of(history: dict, time: str) -> int:
    """Return the index of the time of a chart at which `time` (ISO 8601) lies."""
    form, at = next(each[1] for each in UNITS if WORDS[each[0]] == history["unit"]), datetime.fromisoformat(time[:19])
    if history["unit"] == "week":
        at -= timedelta(days=at.weekday())
    return history["times"].index(at.strftime(form))


def windows(traffic: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """Cut the traffic in the order of time into at most `WINDOWS` equal parts of at least `size` rows."""
    rows = timed(traffic)
    count = min(WINDOWS, len(rows) // size)
    edges = [round(place * len(rows) / count) for place in range(count + 1)] if count else []
    return [rows[begin:end] for begin, end in pairwise(edges)]


def drift(monitors: dict[str, Callable], reference: pl.DataFrame, parts: Sequence[pl.DataFrame]) -> dict:
    """Return {"times": of the last answer of each part, monitor: its distances as shares of its bound}; above 1 is beyond the bound."""
    found: dict[str, list] = {"times": [f"{part['time'][-1][:16]}" for part in parts]}
    for name, monitor in monitors.items():
        findings = [monitor(reference, part) for part in parts]
        found[name] = [round(abs(each["value"]) / each["bound"], 4) if each["bound"] else None for each in findings]
    return found


def models(traffic: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the traffic of each model, in the order of their last answers."""
    parts = timed(traffic).partition_by("model", maintain_order=True)
    return sorted(parts, key=lambda part: (part["at"][-1], part["model"][0]))
