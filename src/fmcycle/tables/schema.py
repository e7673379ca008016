"""The tables that a source writes, one Parquet file each, and their columns."""

from pathlib import Path

import polars as pl

TEXT = pl.String
MESSAGES = pl.List(pl.Struct({"role": TEXT, "content": TEXT}))
SCHEMA: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "documents": {
        "id": TEXT, "text": TEXT, "source": TEXT, "domain": TEXT, "licence": TEXT, "group": TEXT,
        "time": TEXT, "type": TEXT, "origin": TEXT, "label": TEXT,
    },
    "instructions": {
        "id": TEXT, "messages": MESSAGES, "task": TEXT, "source": TEXT, "licence": TEXT, "group": TEXT, "document": TEXT, "origin": TEXT,
    },
    "preferences": {
        "id": TEXT, "prompt": MESSAGES, "chosen": TEXT, "rejected": TEXT, "source": TEXT, "licence": TEXT, "group": TEXT, "origin": TEXT,
    },
    "prompts": {"id": TEXT, "text": TEXT, "kind": TEXT, "source": TEXT, "licence": TEXT, "group": TEXT},
    "examples": {
        "id": TEXT, "text": TEXT, "media": pl.Binary, "type": TEXT, "source": TEXT, "domain": TEXT, "licence": TEXT, "group": TEXT,
        "time": TEXT, "origin": TEXT, "label": TEXT,
    },
}  # fmt: skip
READ: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {  # columns that are read, and kept until the tables are split
    name: columns | ({"masked": pl.List(pl.Int64)} if name == "instructions" else {}) | {"split": TEXT} for name, columns in SCHEMA.items()
}  # masked: indices of the answers that are not trained on; split: the one that the row declares, or ""
ORIGINS = ("public", "proprietary", "synthetic", "unknown")
DEFAULT = {"domain": "unknown", "task": "unknown", "document": "", "time": "", "type": "text", "label": ""}  # values of missing columns


def ask(question: str, answer: str) -> list[dict[str, str]]:
    """A question and its answer as messages."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write `frame` so that the same rows give the same bytes: one chunk, a fixed compression and size of row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.rechunk().write_parquet(path, compression="zstd", compression_level=6, row_group_size=1 << 18)


def write(
    folder: Path, tables: dict[str, list[dict]], *, source: str, licence: str, origin: str = "public", time: str = ""
) -> dict[str, int]:
    """Write each table of rows as `<table>.parquet`, sorted by id. Returns the row counts.

    `source`, `licence`, `origin` and `time` are the defaults of rows without them. Raises ValueError if two rows of a table share an id.
    """
    counts = {}
    for name, rows in tables.items():
        filled = [{**DEFAULT, "source": source, "licence": licence, "origin": origin, "time": time, **row} for row in rows]
        frame = pl.DataFrame(filled, schema=SCHEMA[name]).sort("id")
        if frame["id"].n_unique() < frame.height:
            twice = frame.filter(pl.col("id").is_duplicated())["id"][0]
            raise ValueError(f"{source}: two {name} with the id {twice!r}")
        write_parquet(frame, folder / f"{name}.parquet")
        counts[name] = frame.height
    return counts
