"""Rows of tables as plain text."""

import polars as pl


def as_text(frame: pl.DataFrame) -> pl.Series:
    """The text of each row of any table, for comparing and showing; of a conversation all turns, one a line."""
    columns = [name for name in ("messages", "prompt", "text", "chosen", "rejected") if name in frame.columns]
    parts = [
        pl.col(name) if frame.schema[name] == pl.String else pl.col(name).list.eval(pl.element().struct.field("content")).list.join("\n")
        for name in columns
    ]
    return frame.select(pl.concat_str(parts, separator="\n").alias("text"))["text"]
