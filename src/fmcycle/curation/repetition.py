"""Texts that repeat themselves: by line, paragraph and n-gram of words."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from fmcycle.curation import word
from fmcycle.curation.quality import judge
from fmcycle.number import Fraction, PositiveInt

TOP = [0.20, 0.18, 0.16]
DUPLICATE = [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
CHARACTERS = 3  # of a script without blanks, for each word of an n-gram: a word has some two in Chinese, four in Thai
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: multiplying by it loses nothing


def gopher_repetition(
    frame: pl.DataFrame,
    *,
    max_lines: Fraction = 0.3,
    max_paragraphs: Fraction = 0.3,
    max_line_characters: Fraction = 0.2,
    max_paragraph_characters: Fraction = 0.2,
    max_top_ngrams: list[Fraction] = TOP,
    max_duplicate_ngrams: list[Fraction] = DUPLICATE,
    min_top_count: PositiveInt = 2,
) -> pl.DataFrame:
    """Drop by Gopher's rules on repetition; shares of lines and paragraphs seen before, and of characters in them and in n-grams.

    max_top_ngrams: of the most frequent 2-, 3-, 4-gram ... of words, where it is there `min_top_count` times (1, as in datatrove, drops a
    sentence of twelve words for one long name in it); max_duplicate_ngrams: of all 5-, 6- ... 10-grams seen before, no character
    counted twice. Source: Rae et al., Scaling Language Models: Gopher (2021), appendix A1.1, table A1.
    """
    text = pl.col("text")
    paragraphs = repeated(frame, text.str.strip_chars().str.replace_all(r"\n{2,}", "\0").str.split("\0"), "paragraphs")
    lines = repeated(frame, text.str.replace_all(r"\n+", "\n").str.split("\n"), "lines")
    measured = frame.with_columns(*paragraphs, *lines).with_columns(characters=text.str.len_chars())
    measured = measured.with_columns(
        (pl.col(f"{name}_characters") / pl.col("characters")).alias(f"{name}_characters") for name in ("paragraphs", "lines")
    )
    measured = measured.with_columns(ngrams(frame, max_top_ngrams, max_duplicate_ngrams, min_top_count))
    rules = [
        ("paragraphs repeated", "paragraphs", ">", max_paragraphs),
        ("paragraphs repeated", "paragraphs_characters", ">", max_paragraph_characters),
        ("lines repeated", "lines", ">", max_lines),
        ("lines repeated", "lines_characters", ">", max_line_characters),
    ]
    rules += [("one phrase again and again", f"top_{n}_gram", ">", bound) for n, bound in enumerate(max_top_ngrams, 2)]
    rules += [("phrases repeated", f"duplicate_{n}_grams", ">", bound) for n, bound in enumerate(max_duplicate_ngrams, 5)]
    return judge(measured, rules).select(*frame.columns, "reason", "rule", "value")


def repeated(frame: pl.DataFrame, parts: pl.Expr, name: str) -> list[pl.Series]:
    """Of the parts (lists of strings) of each row: the share that was there before (`name`), and its characters (`name`_characters)."""
    table = frame.select(place=pl.int_range(pl.len(), dtype=pl.UInt32), part=parts).explode("part")
    again = ~pl.struct("place", "part").is_first_distinct()
    counted = table.with_columns(again=again).group_by("place", maintain_order=True)
    found = counted.agg(
        pl.col("again").mean().alias(name), pl.col("part").filter("again").str.len_chars().sum().alias(f"{name}_characters")
    )
    return [found[name], found[f"{name}_characters"]]


def ngrams(frame: pl.DataFrame, top: list[float], duplicate: list[float], often: int) -> list[pl.Series]:
    """The shares of each row's top and duplicate n-grams; null where an upper bound shows that no threshold is near.

    A top n-gram has at most ceil(n / 2) times the characters of the top 2-gram, for each of its pairs is there as often, and blanks add at
    most a third; duplicate n-grams lie inside the duplicate 5-grams.
    """
    sizes = frame["text"].str.len_chars().to_numpy()
    found = np.full((frame.height, len(top) + len(duplicate)), np.nan)
    low = np.array([least(top, 1, 4 / 3), least(top, CHARACTERS, 1)])
    for rows in slices(sizes):
        some = frame[rows]
        joined = some.select(word.mostly(pl.col("text"), word.UNSPACED))["text"].cast(pl.Int64).to_numpy()
        texts = some.select(pl.col("text").str.extract_all(word.WORD))["text"]
        begins = np.concatenate([[0], np.cumsum(texts.list.len().to_numpy(), dtype=np.int64)])
        words = texts.explode(empty_as_null=False)
        hashes, lengths = words.hash(0).to_numpy(), words.str.len_chars().to_numpy().astype(np.int64)
        most, held = bounds(hashes, lengths, begins)
        size = sizes[rows]
        by_top, by_duplicate = most > low[joined] * size, held > min(duplicate, default=np.inf) * size
        for place in np.flatnonzero(by_top | by_duplicate):
            inside = slice(begins[place], begins[place + 1])
            own = Words(hashes[inside], lengths[inside], 1 - joined[place])
            row, times = found[rows.start + place], CHARACTERS if joined[place] else 1
            if by_top[place]:
                row[: len(top)] = [own.top(n * times, often) / size[place] for n in range(2, 2 + len(top))]
            if by_duplicate[place]:
                row[len(top) :] = [own.duplicate(n * times) / size[place] for n in range(5, 5 + len(duplicate))]
    names = [f"top_{n}_gram" for n in range(2, 2 + len(top))] + [f"duplicate_{n}_grams" for n in range(5, 5 + len(duplicate))]
    return [pl.Series(name, found[:, place]).fill_nan(None) for place, name in enumerate(names)]


def least(top: list[float], times: int, blanks: float) -> float:
    """The share of a top 2-gram below which no top n-gram (of n * times words) is above its bound."""
    runs = [(n * times, bound) for n, bound in enumerate(top, 2)]
    return min([bound / (-(-n // 2) * blanks if n > 2 else 1) for n, bound in runs], default=np.inf)


def slices(sizes: np.ndarray, most: int = 1 << 24) -> list[slice]:
    """Runs of rows with about `most` characters together, at least one row each: what is in memory at a time."""
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // most, prepend=0))
    edges = sorted({0, len(sizes), *cuts.tolist()})
    return [slice(begin, end) for begin, end in pairwise(edges)]


def bounds(hashes: np.ndarray, lengths: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each text an upper bound of its top 2-gram's characters in all places, and of the characters in its duplicate 5-grams.

    hashes, lengths: of the words of all texts, one after another; text i has those from begins[i] to begins[i + 1].
    """
    place = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
    own = hashes ^ (np.arange(len(begins), dtype=np.uint64) * MIX)[place]  # so that the same words in two texts are no repetition
    most, covered = np.zeros(len(begins) - 1, np.int64), np.zeros(len(own), bool)
    if len(own) > 1:
        order, again = in_order(grams(own, 2))
        starts = np.flatnonzero(~again)
        first = order[starts]
        np.maximum.at(most, place[first], np.diff(starts, append=len(order)) * (lengths[first] + 1 + lengths[first + 1]))
    if len(own) >= 5:
        order, again = in_order(grams(own, 5))
        for shift in range(5):
            covered[order[again] + shift] = True
    return most, np.bincount(place[covered], lengths[covered], minlength=len(most))


def grams(hashes: np.ndarray, n: int) -> np.ndarray:
    """One hash for each run of n words."""
    count = max(0, len(hashes) - n + 1)
    mixed = hashes[:count].copy()
    for shift in range(1, n):
        mixed *= MIX
        mixed += hashes[shift : shift + count]
    return mixed * MIX


def in_order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places sorted by the upper bits of their value, 40 or, for a huge text, what is left, then by place; as the one before?)."""
    bits = np.uint64(max(24, len(values).bit_length()))
    packed = ((values >> bits) << bits) | np.arange(len(values), dtype=np.uint64)
    packed = pl.Series(packed).sort().to_numpy()
    again = np.concatenate([[False], (packed[1:] >> bits) == (packed[:-1] >> bits)])
    return (packed - ((packed >> bits) << bits)).astype(np.int64), again


@dataclass
class Words:
    """The words of one text as hashes and lengths; `blank` characters stand between two."""

    hashes: np.ndarray
    lengths: np.ndarray
    blank: int

    def top(self, n: int, often: int) -> int:
        """Characters of the most frequent n-gram (the first of them) in all its places; 0 where it has fewer than `often`."""
        if len(self.hashes) < n:
            return 0
        _, first, counts = np.unique(grams(self.hashes, n), return_index=True, return_counts=True)
        if counts.max() < often:
            return 0
        best = first[counts == counts.max()].min()
        return int(counts.max() * (self.lengths[best : best + n].sum() + self.blank * (n - 1)))

    def duplicate(self, n: int) -> int:
        """Characters in n-grams that were there before; after one of them counting goes on behind it."""
        own = grams(self.hashes, n)
        _, kind, counts = np.unique(own, return_inverse=True, return_counts=True)
        seen: set[int] = set()
        characters = free = 0
        repeated, ends = np.flatnonzero(counts[kind] > 1), np.concatenate([[0], np.cumsum(self.lengths)])
        sizes = (ends[repeated + n] - ends[repeated]).tolist()
        for place, own_kind, size in zip(repeated.tolist(), kind[repeated].tolist(), sizes, strict=True):
            if place < free:
                continue
            if own_kind in seen:
                characters += size
                free = place + n
            else:
                seen.add(own_kind)
        return characters
