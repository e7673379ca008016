"""Steps for texts, applied to the turns of conversations."""

from collections.abc import Callable

import polars as pl

Step = Callable[[pl.DataFrame], pl.DataFrame]


def rewrite(frame: pl.DataFrame, column: str, steps: list[Step]) -> pl.DataFrame:
    """Run steps that change a frame's `text` over `column`: strings, or lists of {role, content} of which each content is a text."""
    if frame.is_empty():
        return frame
    if frame.schema[column] == pl.String:
        texts = frame.select(pl.col(column).alias("text"))
        for step in steps:
            texts = step(texts)
        return frame.with_columns(texts["text"].alias(column))
    turns = frame.select(pl.int_range(pl.len()).alias("row"), column).explode(column).unnest(column).rename({"content": "text"})
    for step in steps:
        turns = step(turns)
    messages = turns.group_by("row", maintain_order=True).agg(pl.struct("role", pl.col("text").alias("content")).alias(column))
    return frame.with_columns(messages.sort("row")[column])


def as_text(frame: pl.DataFrame) -> pl.Series:
    """A conversation, a preference or a prompt as one text, for comparing and showing: its turns, one a line."""
    columns = [name for name in ("messages", "prompt", "text", "chosen", "rejected") if name in frame.columns]
    parts = [
        pl.col(name) if frame.schema[name] == pl.String else pl.col(name).list.eval(pl.element().struct.field("content")).list.join("\n")
        for name in columns
    ]
    return frame.select(pl.concat_str(parts, separator="\n").alias("text"))["text"]


def asked(frame: pl.DataFrame) -> pl.DataFrame:
    """`prompt` and `answer` of each row: the turns before the last one and the last, a preference's prompt and what was chosen."""
    if "messages" in frame.columns:
        turns = pl.col("messages").list.eval(pl.element().struct.field("content"))
        return frame.select(prompt=turns.list.head(turns.list.len() - 1).list.join("\n"), answer=turns.list.last())
    texts = {
        name: pl.col(name)
        if frame.schema[name] == pl.String
        else pl.col(name).list.eval(pl.element().struct.field("content")).list.join("\n")
        for name in ("prompt", "chosen", "text")
        if name in frame.columns
    }
    return frame.select(prompt=texts.get("prompt", texts.get("text")), answer=texts.get("chosen", pl.lit("")))
