"""The profile of a curation: figures and examples of kept and dropped rows, the same however the rows are cut into shards.

Sums are plain data (JSON): `of_shard` and `of_table` make them of some rows, `merge` adds them in any order, `finish` makes the profile.
"""

import hashlib
from collections.abc import Iterable

import polars as pl

from fmcycle.pii import detect

EXAMPLES = 3
SHOWN = 600  # characters of an example
SHARES = ("domain", "source", "licence", "language", "type", "origin", "split")
FINDINGS = 20  # quarantined rows that are shown


def of_shard(step: str, before: pl.DataFrame, after: pl.DataFrame) -> dict:
    """The sums of one step over some documents. after: the step's result for the same rows in the same order: `text`, and if the step
    drops or counts, `reason`, `rule`, `value` and `count:NAME` columns."""
    gone = after["reason"].is_not_null() if "reason" in after.columns else pl.repeat(False, after.height, eager=True)
    dropped = after.filter(gone)
    sums = {
        "before": before.height,
        "after": after.height - dropped.height,
        "dropped": dropped.height,
        "changed": int(((after["text"] != before["text"]) & ~gone).sum()),
        "bytes_before": size(before),
        "bytes_after": size(after) - size(dropped),
        "bytes_dropped": size(dropped),
    }
    counted = {name.removeprefix("count:"): int(after[name].sum() or 0) for name in after.columns if name.startswith("count:")}
    return {"flow": {step: sums}, "counts": {step: counted} if counted else {}} | of_dropped(step, dropped)


def of_dropped(step: str, dropped: pl.DataFrame) -> dict:
    """The sums of rows of any table with `reason` and `rule` that `step` dropped."""
    keys = ["domain", "reason", "rule"]
    found: dict = {}
    if dropped.is_empty():
        return {"reasons": {}, "dropped_examples": {}}
    for domain, reason, rule, rows in dropped.group_by(keys).len().sort(keys).iter_rows():
        found.setdefault(domain, {}).setdefault(reason, {})[rule] = rows
    return {"reasons": {step: found} if found else {}, "dropped_examples": {step: examples(dropped, "reason")} if found else {}}


def of_table(name: str, frame: pl.DataFrame) -> dict:
    """The sums of kept rows of one table, which has `split`; of documents also shares, lengths, scores and examples."""
    sums: dict = {"tables": {name: {"rows": frame.height} | counts(frame, "split")}}
    if "task" in frame.columns:
        sums["tasks"] = counts(frame, "task")
    if name == "documents":
        bins = frame.select(pl.col("text").str.len_chars().clip(1).log(2).floor().cast(pl.Int64).cast(pl.String).alias("bin"))
        scores = [name for name, kind in frame.schema.items() if kind.is_float()]
        sums["shares"] = {column: shares(frame, column) for column in SHARES if column in frame.columns}
        sums["lengths"] = counts(bins, "bin")
        sums["scores"] = {name: counts(frame.select(score(name)), name) for name in scores}
        sums["kept_examples"] = examples(frame, "domain")
    return sums


def merge(parts: Iterable[dict]) -> dict:
    """Merge sums: numbers add, and of a kind's examples those with the smallest digests stay. Order and shards make no difference."""
    whole: dict = {}
    for part in parts:
        _add(whole, part)
    return whole


def _add(whole: dict, part: dict) -> None:
    for key, value in part.items():
        if isinstance(value, dict):
            _add(whole.setdefault(key, {}), value)
        elif isinstance(value, list):
            whole[key] = sorted([*whole.get(key, []), *value], key=lambda entry: (entry["order"], entry["id"], entry["text"]))[:EXAMPLES]
        else:
            whole[key] = whole.get(key, 0) + value


def finish(sums: dict, *, steps: Iterable[str], read: int, quarantine: list[dict], quarantined: int, findings: dict | None = None) -> dict:
    """The profile. steps: of documents, in their order; quarantine: some of the `quarantined` entries; findings: {step: plain data}."""
    order = list(steps)
    flow = sums.get("flow", {})
    reasons = [
        {"step": step, "domain": domain, "reason": reason, "rule": rule, "rows": rows}
        for step, domains in sums.get("reasons", {}).items()
        for domain, kinds in domains.items()
        for reason, rules in kinds.items()
        for rule, rows in rules.items()
    ]
    place = {step: number for number, step in enumerate(order)}
    by_step = sorted(sums.get("dropped_examples", {}), key=lambda step: (place.get(step, len(place)), step))
    parts = sums.get("shares", {})
    return {
        "read": read,
        "kept": sum(table["rows"] for table in sums.get("tables", {}).values()),
        "dropped": sum(entry["rows"] for entry in reasons),
        "quarantined": quarantined,
        "megabytes": megabytes(sum(entry["bytes"] for entry in parts.get("domain", {}).values())),
        "flow": [{"step": step} | flow[step] for step in order if step in flow],
        "tables": dict(sorted(sums.get("tables", {}).items())),
        "shares": {column: _shares(parts[column]) for column in SHARES if column in parts},
        "tasks": dict(sorted(sums.get("tasks", {}).items())),
        "reasons": sorted(reasons, key=lambda entry: (-entry["rows"], *(entry[name] for name in ("step", "domain", "reason", "rule")))),
        "counts": {step: dict(sorted(sums["counts"][step].items())) for step in order if step in sums.get("counts", {})},
        "lengths": [
            {"from": 2 ** int(low), "to": 2 ** (int(low) + 1), "rows": rows}
            for low, rows in sorted(sums.get("lengths", {}).items(), key=lambda entry: int(entry[0]))
        ],
        "scores": {
            name: [{"from": float(low), "rows": rows} for low, rows in sorted(bins.items(), key=lambda entry: float(entry[0]))]
            for name, bins in sorted(sums.get("scores", {}).items())
        },
        "findings": {step: found for step, found in (findings or {}).items() if found},
        "quarantine": quarantine[:FINDINGS],
        "kept_examples": [_shown(entry) for _, entries in sorted(sums.get("kept_examples", {}).items()) for entry in entries],
        "dropped_examples": [
            {"step": step} | _shown(entry)
            for step in by_step
            for _, entries in sorted(sums["dropped_examples"][step].items())
            for entry in entries
        ],
    }


def clusters(dropped: pl.DataFrame, ids: Iterable[pl.Series]) -> dict[str, dict]:
    """{step: its clusters} of the steps whose `value` is the id of the document that stayed. dropped: step, value; ids: all documents' ids.

    A cluster is a document and all documents that one step dropped for it.
    """
    grouped = dropped.drop_nulls().group_by("step", "value").len("copies")
    values = grouped["value"].unique().implode()
    known = pl.concat([pl.Series("id", [], dtype=pl.String), *(some.filter(some.is_in(values)).alias("id") for some in ids)])
    grouped = grouped.filter(pl.col("value").is_in(known.implode())).sort("copies", "step", "value", descending=[True, False, False])
    found = {}
    for (step,), part in grouped.group_by(["step"], maintain_order=True):
        low = part.select((2 ** (pl.col("copies") + 1).log(2).floor()).cast(pl.Int64).alias("low"))["low"]
        sizes = {"2 to 3" if size == 2 else f"{size} to {2 * size - 1}": int((low == size).sum()) for size in low.unique().sort()}
        largest = [{"stays": value, "copies": copies} for value, copies in part.select("value", "copies").head(EXAMPLES).iter_rows()]
        found[str(step)] = {"clusters": part.height, "clusters by documents": sizes, "largest clusters": largest}
    return dict(sorted(found.items()))


def _shares(sums: dict) -> list[dict]:
    return [{"name": name, "rows": entry["rows"], "megabytes": megabytes(entry["bytes"])} for name, entry in sorted(sums.items())]


def _shown(entry: dict) -> dict:
    """An example with its personal data masked, because a step may drop a row before a later step masks it."""
    masked = detect.replace(entry["text"], detect.RULES, lambda kind, span: f"<{kind}>")
    return {name: value for name, value in entry.items() if name != "order"} | {"text": masked}


def size(frame: pl.DataFrame) -> int:
    """Bytes of text."""
    return int(frame["text"].str.len_bytes().sum() or 0)


def megabytes(bytes: int) -> float:
    """Bytes in MB, rounded to a thousandth."""
    return round(bytes / 1e6, 3)


def counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """{value: rows}, sorted by value."""
    return dict(frame.group_by(column).len().sort(column).iter_rows())


def shares(frame: pl.DataFrame, column: str) -> dict[str, dict[str, int]]:
    """{value: rows and bytes of text}; a missing value counts as ""."""
    bytes = pl.col("text").str.len_bytes().cast(pl.Int64).sum()
    grouped = frame.group_by(pl.col(column).fill_null("")).agg(pl.len().alias("rows"), bytes.alias("bytes")).sort(column)
    return {name: {"rows": rows, "bytes": total} for name, rows, total in grouped.iter_rows()}


def score(name: str) -> pl.Expr:
    """The bin of a score, 0 to 1 in steps of 0.05, as a string. Scores outside are in the outermost bins, missing ones in none."""
    low = (pl.col(name).fill_nan(None).drop_nulls().clip(0, 0.999) * 20).floor() / 20
    return low.round(2).cast(pl.String).alias(name)


def examples(frame: pl.DataFrame, column: str) -> dict[str, list[dict]]:
    """{value of `column`: a few of its rows}, those whose id has the smallest digest."""
    if frame.is_empty():
        return {}
    order = pl.Series("order", [hashlib.sha256(name.encode()).hexdigest()[:16] for name in frame["id"]])
    places = frame.select(column, "id", order, pl.int_range(pl.len()).alias("place")).sort("order", "id")
    places = places.group_by(column, maintain_order=True).head(EXAMPLES)
    fields = [name for name in ("id", "domain", "licence", "split", "reason", "rule", "value") if name in frame.columns]
    chosen = frame[places["place"]].select(places["order"], *fields, pl.col("text").str.slice(0, SHOWN))
    found: dict[str, list[dict]] = {}
    for row in chosen.iter_rows(named=True):
        found.setdefault(row[column], []).append(row)
    return found
