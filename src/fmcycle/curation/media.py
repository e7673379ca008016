"""Pictures and sound: what can't be decoded goes, and what is there twice."""

from collections.abc import Callable

import polars as pl

from fmcycle import media
from fmcycle.curation.conversation import rewrite
from fmcycle.curation.corpus import VERDICT

UNREADABLE = "can't be decoded"
SAME = ["media", "text", "label"]


def examples(frame: pl.DataFrame, steps: list[Callable]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that stay, rows that go with `reason`, `rule` and `value`, without `media`) of rows with `media`, `text`, `label` and `group`.

    steps: those that change the texts of conversations, applied to the captions; an empty caption stays empty. A row goes where its bytes
    do not decode to the end, are beyond what is ever decoded (`fmcycle.media`), or are those of an earlier row of the same caption and
    label. One picture with several captions stays as often, and its rows get one group: a split never parts them.
    """
    frame = frame.with_columns(pl.col("text").fill_null(""), pl.Series("value", list(map(wrong, frame["media"])), dtype=pl.String))
    bad = frame.filter(pl.col("value").is_not_null()).with_columns(reason=pl.lit(UNREADABLE), rule=pl.lit("picture or sound"))
    fair = rewrite(frame.filter(pl.col("value").is_null()), "text", steps).with_columns(value=pl.col("id").first().over(SAME))
    copy = fair.filter(pl.col("id") != pl.col("value")).with_columns(
        reason=pl.lit("exact duplicate"), rule=pl.lit("same media, text, label")
    )
    fair = together(fair.filter(pl.col("id") == pl.col("value")).drop("value"))
    columns = [name for name in frame.columns if name not in ("media", *VERDICT)]
    return fair, pl.concat([part.select(*columns, *VERDICT) for part in (bad, copy)])


def wrong(content: bytes) -> str | None:
    """Why `content` is no picture and no sound that can be read to its end; None where it is."""
    try:
        if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
            media.sound(content)
        else:
            media.picture(content)
    except ValueError as error:
        return str(error)
    return None


def together(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows, where groups that have a picture or sound in common are one: the first of them by name."""
    shared = frame.group_by("media").agg(pl.col("group").unique().sort()).filter(pl.col("group").list.len() > 1)
    above: dict[str, str] = {}

    def root(name: str) -> str:
        while name in above:
            name = above[name]
        return name

    for groups in shared["group"].sort().to_list():
        roots = sorted({root(name) for name in groups})
        above |= dict.fromkeys(roots[1:], roots[0])
    return frame.with_columns(pl.col("group").replace({name: root(name) for name in above})) if above else frame
