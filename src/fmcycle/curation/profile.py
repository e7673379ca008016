"""What curation kept and dropped, in figures and examples: the same rows give the same profile."""

import hashlib

import polars as pl

EXAMPLES = 3
SHOWN = 600  # characters of an example


def profile(tables: dict[str, pl.DataFrame], dropped: pl.DataFrame, quarantine: list[dict], flow: list[dict], read: int) -> dict:
    """Plain data. tables: by name, with `split`; dropped: with reason, rule, value; flow: one entry a step; read: rows and files read."""
    documents = tables["documents"]
    return {
        "read": read,
        "kept": sum(frame.height for frame in tables.values()),
        "dropped": dropped.height,
        "quarantined": len(quarantine),
        "megabytes": round(size(documents) / 1e6, 3),
        "flow": flow,
        "tables": {name: splits(frame) for name, frame in tables.items()},
        "domains": shares(documents, "domain"),
        "sources": shares(documents, "source"),
        "licences": shares(documents, "licence"),
        "splits": shares(documents, "split"),
        "tasks": counts(tables["instructions"], "task") if "instructions" in tables else {},
        "reasons": reasons(dropped),
        "lengths": lengths(documents),
        "quarantine": quarantine[:20],
        "kept_examples": examples(documents, "domain"),
        "dropped_examples": examples(dropped, "reason"),
    }


def size(frame: pl.DataFrame) -> int:
    """Bytes of text."""
    return int(frame["text"].str.len_bytes().sum() or 0)


def counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """{value: rows}, sorted by value."""
    return dict(frame.group_by(column).len().sort(column).iter_rows())


def splits(frame: pl.DataFrame) -> dict[str, int]:
    """Rows of each split, and their sum."""
    return {"rows": frame.height} | counts(frame, "split")


def shares(frame: pl.DataFrame, column: str) -> list[dict]:
    """Rows and megabytes of text by value of `column`."""
    grouped = frame.group_by(column).agg(pl.len().alias("rows"), pl.col("text").str.len_bytes().sum().alias("bytes")).sort(column)
    return [{"name": name, "rows": rows, "megabytes": round(bytes / 1e6, 3)} for name, rows, bytes in grouped.iter_rows()]


def reasons(dropped: pl.DataFrame) -> list[dict]:
    """Rows by domain, reason and rule, most first."""
    grouped = (
        dropped.group_by("domain", "reason", "rule").len().sort(["len", "domain", "reason", "rule"], descending=[True, False, False, False])
    )
    return [dict(zip(("domain", "reason", "rule", "rows"), row, strict=True)) for row in grouped.iter_rows()]


def lengths(documents: pl.DataFrame) -> list[dict]:
    """Documents by length in characters, each bin twice the one before."""
    bins = documents.select(pl.col("text").str.len_chars().log(2).floor().cast(pl.Int64).alias("bin")).group_by("bin").len().sort("bin")
    return [{"from": 2**low, "to": 2 ** (low + 1), "rows": rows} for low, rows in bins.iter_rows()]


def examples(frame: pl.DataFrame, column: str) -> list[dict]:
    """A few rows of each value of `column`, those whose id has the smallest digest."""
    order = frame.with_columns(order=pl.Series([hashlib.sha256(name.encode()).hexdigest() for name in frame["id"]], dtype=pl.String)).sort(
        "order"
    )
    chosen = order.group_by(column, maintain_order=True).head(EXAMPLES).sort(column, "order")
    fields = [name for name in ("id", "domain", "licence", "split", "reason", "rule", "value") if name in frame.columns]
    return [{**{name: row[name] for name in fields}, "text": row["text"][:SHOWN]} for row in chosen.iter_rows(named=True)]
