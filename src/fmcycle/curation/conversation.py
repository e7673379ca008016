"""Apply steps for texts to conversations: they change each turn, and drop whole conversations."""

from collections.abc import Callable

import polars as pl

from fmcycle.curation.corpus_step import VERDICT, plain

Step = Callable[[pl.DataFrame], pl.DataFrame]
ABOUT = ("licence", "source", "type", "language")  # columns of a row that a step may read


def rewrite(frame: pl.DataFrame, column: str, steps: list[Step]) -> pl.DataFrame:
    """Run steps that change a frame's `text` over `column`: strings, or lists of {role, content} of which each content is a text."""
    if frame.is_empty():
        return frame
    about = [name for name in ABOUT if name in frame.columns]
    if frame.schema[column] == pl.String:
        texts = frame.select(pl.col(column).alias("text"), *about)
        for step in steps:
            texts = plain(step(texts))
        return frame.with_columns(texts["text"].alias(column))
    turns = frame.select(pl.int_range(pl.len()).alias("row"), column, *about).explode(column).unnest(column).rename({"content": "text"})
    for step in steps:
        turns = plain(step(turns))
    messages = turns.group_by("row", maintain_order=True).agg(pl.struct("role", pl.col("text").alias("content")).alias(column))
    return frame.with_columns(messages.sort("row")[column])


def dropped(shown: pl.DataFrame, steps: list[Step]) -> pl.DataFrame:
    """The rows of `shown` (`text`: a whole conversation) that one of the steps drops, with its verdict."""
    found = [shown.clear().with_columns(pl.lit(None, pl.String).alias(name) for name in VERDICT)]
    first, drops = shown.head(1), False
    for step in steps:
        judged = step(first)
        first, drops = plain(judged), drops or "reason" in judged.columns
    for step in steps if drops else ():
        judged = step(shown)
        if "reason" in judged.columns:
            found.append(judged.filter(pl.col("reason").is_not_null()).select(found[0].columns))
            judged = judged.filter(pl.col("reason").is_null())
        shown = plain(judged)
    return pl.concat(found)


def asked(frame: pl.DataFrame) -> pl.DataFrame:
    """`prompt` and `answer` of each row: the turns before the last and the last one; of preferences the prompt and the chosen answer."""
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
