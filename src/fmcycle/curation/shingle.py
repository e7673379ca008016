"""Hash texts into words and word n-grams, by which near duplicates and contamination are found.

A hash is a function of the word alone, the same on every machine and in every version of the libraries under it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from fmcycle.curation.word import UNSPACED

MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it can be inverted
LONGEST = 1 << 16  # bytes of a word that are hashed: a longer one is not a word, and is hashed by its beginning and its length

_random = np.random.default_rng(20_240_229)
_PLACE = _random.integers(0, 2**64, 64, dtype=np.uint64) | np.uint64(1)
_FIRST = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)  # keeps so many bytes of eight


class Hashes(NamedTuple):
    """`value` uint64, one a word or n-gram; text i has value[start[i] : start[i + 1]] (start: int64, one more than there are texts)."""

    value: np.ndarray
    start: np.ndarray

    def of(self, text: int) -> np.ndarray:
        return self.value[self.start[text] : self.start[text + 1]]


def words(texts: pl.Series) -> Hashes:
    """The words of each text, in their order: runs of letters, marks and digits, in lower case."""
    joined, size = _spaced(texts)
    letters = np.frombuffer(joined, np.uint8)
    # small letters, digits, and all beyond ASCII: differences of bytes wrap round, so that one comparison is a range
    inside = (letters - np.uint8(97) < 26) | (letters - np.uint8(48) < 10) | (letters >= 128)
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1  # begins and ends in turn, as the first and last byte is a line end
    begin = edges[::2]
    start = np.searchsorted(begin, np.concatenate([[0], np.cumsum(size)]) + 1)
    return Hashes(mix(hashed(joined, begin, edges[1::2])), start)


def _spaced(texts: pl.Series) -> tuple[bytes, np.ndarray]:
    """(all texts in lower case, a line end before and behind each; bytes of each with the line end behind it)."""
    text = texts.str.to_lowercase()
    other = (text.str.len_bytes() != text.str.len_chars()).arg_true()
    if len(other):  # only non-ASCII texts, because regular expressions are slow
        place = np.arange(len(text))
        place[other] = len(text) + np.arange(len(other))
        apart = text.gather(other).str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.replace_all(UNSPACED, " $0 ")
        text = text.append(apart).gather(place)
    size = text.str.len_bytes().to_numpy().astype(np.int64) + 1
    return ("\n" + text.str.join("\n").item() + "\n").encode() if len(text) else b"", size


def hashed(joined: bytes, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Hashes of the words joined[begin:end], eight bytes at a time; `mix` must finish them."""
    eight = np.ndarray((len(joined) + 1,), "<u8", joined + bytes(8), strides=(1,))  # the eight bytes from each byte on
    length = end - begin
    value = length.astype(np.uint64) * _PLACE[63]
    for done in range(0, min(int(length.max(initial=0)), LONGEST), 8):
        more = np.flatnonzero(length > done) if done else slice(None)
        chunk = eight[begin[more] + done] & _FIRST[np.minimum(length[more] - done, 8)]
        mixed = (value[more] ^ chunk) * MIX
        value[more] = mixed ^ (mixed >> np.uint64(32))
    return value


def mix(value: np.ndarray) -> np.ndarray:
    """Every bit of the result depends on every bit of `value` (uint64). Source: the finalizer of MurmurHash3 (Appleby, public domain)."""
    value = value ^ (value >> np.uint64(33))
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(33)
    return value


def grams(found: Hashes, n: int) -> Hashes:
    """The word n-grams of each text in their order, with repeats. A text of fewer words is one n-gram, one without words none."""
    word, start = found
    count = np.diff(start)
    padded = np.concatenate([word, np.zeros(n, np.uint64)])
    value = np.zeros(len(word), np.uint64)
    for place in range(n):
        value += padded[place : place + len(word)] * _PLACE[place]
    whole = np.ones(len(word), bool)
    for back in range(1, n):  # the last words of a text begin no n-gram of it
        whole[(start[1:] - back)[count >= back]] = False
    for size in range(1, n):
        short = start[:-1][count == size]
        value[short] = (padded[short[:, None] + np.arange(size)] * _PLACE[:size]).sum(1) ^ _PLACE[62]
        whole[short] = True
    counts = np.where(count >= n, count - n + 1, (count > 0).astype(np.int64))
    return Hashes(mix(value[whole]), np.concatenate([[0], np.cumsum(counts)]))


def smallest(found: Hashes, limit: int | None = None) -> list[np.ndarray]:
    """The distinct hashes of each text, sorted; at most the smallest `limit`, a uniform sample of the text's n-grams.

    Source: Broder (1997), On the resemblance and containment of documents: the sketch of the s smallest.
    """
    return [np.unique(found.of(text))[:limit] for text in range(len(found.start) - 1)]


def jaccard(one: np.ndarray, other: np.ndarray, limit: int | None = None) -> float:
    """Jaccard overlap of two texts' `smallest`: exact if both are whole, else estimated by the `limit` smallest of both together."""
    union = np.union1d(one, other)[:limit]
    return float(np.isin(union, np.intersect1d(one, other, assume_unique=True), assume_unique=True).mean()) if len(union) else 0.0


def pieces(frame: pl.DataFrame, size: int = 1 << 19) -> Iterator[pl.DataFrame]:
    """Slices of about `size` bytes of `text`, so that the arrays made of one stay in the processor's cache."""
    ends = frame["text"].str.len_bytes().cum_sum().to_numpy()
    low = 0
    while low < frame.height:
        high = max(low + 1, int(np.searchsorted(ends, (ends[low - 1] if low else 0) + size, side="right")))
        yield frame.slice(low, high - low)
        low = high
