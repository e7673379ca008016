"""Texts that repeat themselves: by line, paragraph and n-gram of words."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from fmcycle.curation import word
from fmcycle.curation.quality import judge
from fmcycle.curation.shingle import MIX, hashed, pieces
from fmcycle.ranges import Fraction, PositiveInt

TOP = [0.20, 0.18, 0.16]
DUPLICATE = [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
CHARACTERS = 3  # in a script without blanks, for each word of an n-gram: a word has about two in Chinese, four in Thai
SLOTS = 18  # bits of the hash table that counts pairs before n-grams are sorted


def gopher_repetition(
    frame: pl.DataFrame,
    *,
    max_lines: Fraction = 0.3,
    max_paragraphs: Fraction = 0.3,
    max_line_characters: Fraction = 0.2,
    max_paragraph_characters: Fraction = 0.2,
    max_top_ngrams: list[Fraction] = TOP,
    max_duplicate_ngrams: list[Fraction] = DUPLICATE,
    min_top_count: PositiveInt = 3,
) -> pl.DataFrame:
    """Drop by Gopher's rules on repetition: shares of duplicate lines and paragraphs, and of the characters in them and in n-grams.

    max_top_ngrams: for the most frequent 2-, 3-, 4-gram ... of words, if it occurs `min_top_count` times (1, as in datatrove, drops a
    sentence of twelve words for one long name in it, and 2 "the body is with the King, but the King is not with the body");
    max_duplicate_ngrams: for all duplicate 5-, 6- ... 10-grams, no character counted twice.
    Source: Rae et al., Scaling Language Models: Gopher (2021), appendix A1.1, table A1.
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
    return frame.with_columns(judge(measured, rules).select("reason", "rule", "value"))  # a column named as a figure stays


def repeated(frame: pl.DataFrame, parts: pl.Expr, name: str) -> list[pl.Series]:
    """For the parts (lists of strings) of each row: the share of duplicates (`name`), and their characters (`name`_characters)."""
    table = frame.select(place=pl.int_range(pl.len(), dtype=pl.UInt32), part=parts).explode("part")
    again = ~pl.struct("place", "part").is_first_distinct()
    counted = table.with_columns(again=again).group_by("place", maintain_order=True)
    found = counted.agg(
        pl.col("again").mean().alias(name), pl.col("part").filter("again").str.len_chars().sum().alias(f"{name}_characters")
    )
    return [found[name], found[f"{name}_characters"]]


def ngrams(frame: pl.DataFrame, top: list[float], duplicate: list[float], often: int) -> list[pl.Series]:
    """The shares of each row's top and duplicate n-grams; null if an upper bound is below every threshold."""
    names = [f"top_{n}_gram" for n in range(2, 2 + len(top))] + [f"duplicate_{n}_grams" for n in range(5, 5 + len(duplicate))]
    found = [shares(piece["text"], top, duplicate, often) for piece in pieces(frame)]
    columns = np.concatenate(found) if found else np.empty((0, len(names)))
    return [pl.Series(name, columns[:, place]).fill_nan(None) for place, name in enumerate(names)]


def shares(texts: pl.Series, top: list[float], duplicate: list[float], often: int) -> np.ndarray:
    """Shares by (text, rule); NaN if no share of the text can exceed its bound.

    A top n-gram has at most ceil(n / 2) times the characters of the top 2-gram, as each of its pairs occurs as often, and blanks add at
    most a third; duplicate n-grams are inside the duplicate 5-grams.
    """
    found, size = word.cut(texts), texts.str.len_chars().to_numpy()
    text = np.repeat(np.arange(len(texts)), np.diff(found.start))
    words = Words.of(hashed(found.joined, found.begin, found.end) ^ (text.astype(np.uint64) * MIX), found.length, text)
    joined = found.each((found.kind & word.SINGLE) != 0) > 0
    joined[joined] = texts.filter(pl.Series(joined)).to_frame("text").select(word.mostly(pl.col("text"), word.UNSPACED)).to_series()
    by_top = words.in_pairs(len(texts), often) > np.where(joined, least(top, CHARACTERS, 1), least(top, 1, 4 / 3)) * size
    by_duplicate = found.each(np.where(words.in_duplicates(5), found.length, 0)) > min(duplicate, default=np.inf) * size
    result = np.full((len(texts), len(top) + len(duplicate)), np.nan)
    for alike, times, blank in ((joined, CHARACTERS, 0), (~joined, 1, 1)):
        near = np.flatnonzero(by_top & alike)
        own = words.within(by_top & alike)
        for n in range(len(top) if len(near) else 0):
            result[near, n] = own.top((n + 2) * times, len(texts), often, blank)[near] / size[near]
        near = np.flatnonzero(by_duplicate & alike)
        own = words.within(by_duplicate & alike)
        for n in range(len(duplicate) if len(near) else 0):
            result[near, len(top) + n] = own.duplicate((n + 5) * times, len(texts))[near] / size[near]
    return result


def least(top: list[float], times: int, blanks: float) -> float:
    """The share of a top 2-gram below which no top n-gram (of n * times words) exceeds its bound."""
    runs = [(n * times, bound) for n, bound in enumerate(top, 2)]
    return min([bound / (-(-n // 2) * blanks if n > 2 else 1) for n, bound in runs], default=np.inf)


@dataclass
class Words:
    """The words of some texts, one after another."""

    hashes: np.ndarray  # mixed with the text's number, so that texts share none
    lengths: np.ndarray  # in characters
    text: np.ndarray
    pairs: np.ndarray  # upper bound: how often each word and the next one occur, with all pairs of their slot

    @classmethod
    def of(cls, hashes: np.ndarray, lengths: np.ndarray, text: np.ndarray) -> "Words":
        """Build with the pairs counted."""
        pairs = np.zeros(len(hashes), np.int64)
        slot = ((hashes[:-1] * MIX + hashes[1:]) * MIX >> np.uint64(64 - SLOTS)).astype(np.int64)
        pairs[:-1] = np.bincount(slot, minlength=1 << SLOTS)[slot]
        return cls(hashes, lengths, text, pairs)

    def within(self, texts: np.ndarray) -> "Words":
        """The words of `texts` (bool)."""
        inside = texts[self.text]
        return Words(self.hashes[inside], self.lengths[inside], self.text[inside], self.pairs[inside])

    def in_pairs(self, texts: int, often: int) -> np.ndarray:
        """An upper bound, for each text, of the characters of all places of a 2-gram that occurs at least `often` times."""
        most = np.zeros(texts, np.int64)
        if len(self.text):
            behind = np.append(self.lengths[1:], 0)
            first = np.flatnonzero(np.diff(self.text, prepend=-1))
            most[self.text[first]] = np.maximum.reduceat(self.pairs * (self.pairs >= often) * (self.lengths + 1 + behind), first)
        return most

    def in_duplicates(self, n: int) -> np.ndarray:
        """Which words are in a duplicate n-gram (bool)."""
        inside = np.zeros(len(self.hashes), bool)
        places, again, _ = self.runs(n, 2)
        for shift in range(n):
            inside[places[again] + shift] = True
        return inside

    def runs(self, n: int, often: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(places of n-grams that may occur `often` times, sorted by n-gram and place; equal to the one before; characters)."""
        rare = np.concatenate([[0], np.cumsum(self.pairs < often)])
        count = max(0, len(self.text) - n + 1)
        places = np.flatnonzero((rare[n - 1 :][:count] == rare[:count]) & (self.text[:count] == self.text[n - 1 :]))
        values = self.hashes[places]
        for shift in range(1, n):
            values *= MIX
            values += self.hashes[places + shift]
        order, again = in_order(values)
        places = places[order]
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        return places, again, ends[places + n] - ends[places]

    def top(self, n: int, texts: int, often: int, blank: int) -> np.ndarray:
        """Characters of all places of each text's most frequent n-gram (the first of equals); 0 if it occurs fewer than `often` times.

        blank: characters between two words.
        """
        places, again, characters = self.runs(n, often)
        starts = np.flatnonzero(~again)
        first, counts = places[starts], np.diff(starts, append=len(places))
        order = np.lexsort((-first, counts))  # a text's last entry is its most frequent n-gram, the first of equals
        found = np.zeros(texts, np.int64)
        found[self.text[first[order]]] = (counts * (counts >= often) * (characters[starts] + blank * (n - 1)))[order]
        return found

    def duplicate(self, n: int, texts: int) -> np.ndarray:
        """Characters of each text in duplicate n-grams; after one of them the next is counted from its end."""
        places, again, characters = self.runs(n, 2)
        repeated = np.flatnonzero(again | np.append(again[1:], False))
        repeated = repeated[np.argsort(places[repeated])]
        seen: set[int] = set()
        free, counted = 0, []
        for number, place, own in zip(repeated.tolist(), places[repeated].tolist(), np.cumsum(~again)[repeated].tolist(), strict=True):
            if place < free:
                continue
            if own in seen:
                counted.append(number)
                free = place + n
            else:
                seen.add(own)
        found = np.zeros(texts, np.int64)
        np.add.at(found, self.text[places[counted]], characters[counted])
        return found


def in_order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places sorted by value and then by place, whether the value equals the one before)."""
    bits = np.uint64(max(1, len(values).bit_length()))
    packed = pl.Series(((values >> bits) << bits) | np.arange(len(values), dtype=np.uint64)).sort().to_numpy()
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    same = values[order[1:]] == values[order[:-1]]
    if not np.array_equal(packed[1:] >> bits == packed[:-1] >> bits, same):  # very rare: values differ only in the lower bits
        order = np.argsort(values, kind="stable")
        same = values[order[1:]] == values[order[:-1]]
    return order, np.concatenate([[False], same])[: len(order)]
