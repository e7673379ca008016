"""Drop images and audio that can't be decoded, and exact duplicates."""

import hashlib
from collections.abc import Callable

import polars as pl

from fmcycle.curation.conversation import rewrite
from fmcycle.processor import media

SAME = ["media", "text", "label"]
UNREADABLE = "can't be decoded"


def sketch(frame: pl.DataFrame, steps: list[Callable]) -> pl.DataFrame:
    """Sketch some rows with `media` and `text`: the curated text, a digest of the bytes as `media`, and why they don't decode as `value`.

    steps: those that change the texts of conversations; an empty caption stays empty. Bytes are decoded to their end, unless they declare
    a size beyond the limits of `fmcycle.processor.media`.
    """
    digests = [hashlib.sha256(content).digest() for content in frame["media"]]
    told = frame.with_columns(pl.col("text").fill_null(""), value=pl.Series(list(map(wrong, frame["media"])), dtype=pl.String))
    return rewrite(told.with_columns(media=pl.Series(digests, dtype=pl.Binary)), "text", steps)


def judge(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(kept rows, dropped rows with `reason`, `rule` and `value`) of all sketches with `id`, `label` and `group`, in their order.

    A row is dropped if its bytes do not decode, or if an earlier row has the same bytes, caption and label. An image with several
    captions stays once for each, and its rows get one group, so that all are in the same split.
    """
    bad = frame.filter(pl.col("value").is_not_null()).with_columns(reason=pl.lit(UNREADABLE), rule=pl.lit("picture or sound"))
    fair = frame.filter(pl.col("value").is_null()).with_columns(value=pl.col("id").first().over(SAME))
    copy = fair.filter(pl.col("id") != pl.col("value")).with_columns(
        reason=pl.lit("exact duplicate"), rule=pl.lit("same media, text, label")
    )
    return together(fair.filter(pl.col("id") == pl.col("value")).drop("value")), pl.concat([bad, copy.select(bad.columns)])


def wrong(content: bytes) -> str | None:
    """Why `content` can't be decoded to its end as an image or audio; None if it can."""
    try:
        (media.sound if media.is_sound(content) else media.picture)(content)
    except ValueError as error:
        return str(error)
    return None


def together(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows, with groups that share an image or audio merged into the first of them by name."""
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
