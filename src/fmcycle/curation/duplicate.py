"""Copies: of the same text, and of nearly the same text, only the first stays. Rows are taken in the order of the frame."""

from collections import defaultdict

import numpy as np
import polars as pl
from rensa import RMinHash

from fmcycle.number import Fraction, NonNegativeInt, PositiveInt


def exact(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop each text that equals an earlier one but for case and blanks; `value` is the id of the one that stays."""
    key = pl.col("text").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    first = frame.with_columns(key=key).with_columns(kept=pl.col("id").first().over("key"), place=pl.int_range(pl.len()).over("key"))
    return drop(frame, first["place"] > 0, "exact duplicate", "same text", first["kept"])


def minhash(
    frame: pl.DataFrame,
    *,
    threshold: Fraction = 0.8,
    permutations: PositiveInt = 128,
    bands: PositiveInt = 32,
    ngram: PositiveInt = 3,
    seed: NonNegativeInt = 0,
) -> pl.DataFrame:
    """Drop each text whose word n-grams overlap an earlier kept one's by `threshold` (Jaccard); `value` is that one's id.

    Candidates share one of `bands` slices of their MinHash signature; the overlap itself is then counted exactly. Whether two texts
    are near is a function of these two alone, so what stays has no near pair and a second run drops nothing.
    A text shorter than the n-gram is one n-gram. Source: Broder (1997), On the resemblance and containment of documents.
    """
    texts = frame["text"].to_list()
    signatures = signature(texts, permutations, ngram, seed)
    rows = permutations // bands
    tables: list[dict[bytes, list[int]]] = [defaultdict(list) for _ in range(bands)]
    original: list[int | None] = [None] * frame.height
    for row, own in enumerate(signatures):
        keys = [own[band * rows : (band + 1) * rows].tobytes() for band in range(bands)]
        candidates = sorted({other for table, key in zip(tables, keys, strict=True) for other in table.get(key, ())})
        if candidates:
            likely = np.flatnonzero((signatures[candidates] == own).mean(axis=1) >= threshold - 0.2)  # five deviations below
            near = (candidates[place] for place in likely if overlap(texts[row], texts[candidates[place]], ngram) >= threshold)
            original[row] = next(near, None)
        if original[row] is None:
            for table, key in zip(tables, keys, strict=True):
                table[key].append(row)
    ids = frame["id"]
    kept = pl.Series([None if row is None else ids[row] for row in original], dtype=pl.String)
    return drop(frame, kept.is_not_null(), "near duplicate", f"overlap of {ngram}-grams >= {threshold}", kept)


def shingles(text: str, ngram: int) -> set[str]:
    """The word n-grams of a text."""
    words = text.lower().split()
    return {" ".join(words[start : start + ngram]) for start in range(max(1, len(words) - ngram + 1))}


def overlap(one: str, other: str, ngram: int) -> float:
    """Jaccard similarity of two texts' word n-grams."""
    first, second = shingles(one, ngram), shingles(other, ngram)
    return len(first & second) / len(first | second)


def signature(texts: list[str], permutations: int, ngram: int, seed: int) -> np.ndarray:
    """MinHash signatures, uint32 (texts, permutations), of the sets of word n-grams."""
    found = np.empty((len(texts), permutations), np.uint32)
    for row, content in enumerate(texts):
        sketch = RMinHash(permutations, seed)
        sketch.update(list(shingles(content, ngram)))
        found[row] = sketch.digest()
    return found


def drop(frame: pl.DataFrame, dropped: pl.Series, reason: str, rule: str, value: pl.Series) -> pl.DataFrame:
    """Set `reason`, `rule`, `value` in the rows of `dropped`, null elsewhere."""
    columns: dict[str, pl.Expr | pl.Series] = {"reason": pl.lit(reason), "rule": pl.lit(rule), "value": pl.Series(value)}
    return frame.with_columns(pl.when(pl.Series(dropped)).then(content).otherwise(None).alias(name) for name, content in columns.items())
