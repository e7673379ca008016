"""Words, lines and sentences in any script: expressions over `text` for the rules that count them, and words as arrays."""

from typing import NamedTuple

import numpy as np
import polars as pl

# Scripts without blanks between words: a letter with its marks is a word. In other scripts a word ends at a blank or at the Ethiopic
# word space.
UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}"
    r"\p{Tai_Tham}\p{Tai_Viet}\p{New_Tai_Lue}\p{Tai_Le}&&\p{L}]"
)
RUN = rf"{UNSPACED}\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--{UNSPACED}]+"  # a word without the signs around it
SPACED = rf"[\S--[{UNSPACED}፡]]"
WORD = rf"{UNSPACED}[\p{{M}}་]*|{SPACED}+፡?|፡"
# A letter is a syllable or a word, so that bounds on the length of words, made for alphabets, don't apply.
SYLLABIC = rf"[{UNSPACED}[\p{{Hangul}}\p{{Ethiopic}}\p{{Vai}}\p{{Cherokee}}\p{{Canadian_Aboriginal}}&&\p{{L}}]]"
# A sentence runs to a terminal and its closing marks before a blank, to a wide terminal, or to the line's end; "J." does not end one.
SENTENCE = r"(?:\b\p{Lu}\.|\S)(?:\b\p{Lu}\.|.)*?(?:\p{Sentence_Terminal}+[\p{Pe}\p{Pf}\"']*(?:\s|$)|[。！？｡]+[\p{Pe}\p{Pf}\"']*|$)"

END = r"[\p{Sentence_Terminal}།༎]"  # Tibetan's strokes end a sentence, but lack Unicode's property
UNENDED = r"[\p{Thai}\p{Lao}&&\p{L}]"  # scripts whose sentences end in a blank

# Kinds of characters, a bit each. A SINGLE is a word by itself, a MARK belongs to the letter before it, a COLON ends a word
SPACE, LETTER, NUMBER, MARK, SINGLE, COLON, KNOWN = (1 << bit for bit in range(7))
KINDS = {SPACE: r"\s", LETTER: r"\p{L}", NUMBER: r"\p{N}", MARK: r"[\p{M}་]", SINGLE: UNSPACED, COLON: "፡"}
ASCII = bytes(range(128))
_kind = np.zeros(0x110000, np.uint8)  # kinds of the characters met so far, by code point


def words(text: pl.Expr) -> pl.Expr:
    """Number of words."""
    return text.str.count_matches(WORD)


def mostly(text: pl.Expr, letters: str) -> pl.Expr:
    """True if more than half of the text's letters match `letters`."""
    text = pl.when(text.str.len_bytes() > text.str.len_chars()).then(text)  # plain ASCII has none of them
    count = text.str.count_matches(letters)
    return (count * 2 > pl.when(count > 0).then(text).str.count_matches(r"\p{L}")).fill_null(False)


def lines(text: pl.Expr) -> pl.Expr:
    """Number of lines, with blank ones but without an empty last one."""
    return text.str.count_matches("\n", literal=True) + 1 - text.str.ends_with("\n").cast(pl.UInt32)


class Words(NamedTuple):
    """The words of some texts, one after another: those of text i are start[i] to start[i + 1]."""

    joined: bytes  # the texts, a line end before and behind each
    begin: np.ndarray  # of each word, in bytes of `joined`
    end: np.ndarray
    length: np.ndarray  # in characters
    kind: np.ndarray  # uint8: has LETTER if the word has a letter, else all kinds of its characters
    start: np.ndarray

    def each(self, figure: np.ndarray) -> np.ndarray:
        """The sum of `figure`, a number for each word, over each text."""
        total = np.concatenate([[0], np.cumsum(figure, dtype=np.int64)])
        return total[self.start[1:]] - total[self.start[:-1]]

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """For each line of the texts, blank and last ones too: number of words, characters of the longest run without a blank."""
        begin = np.searchsorted(self.begin, np.flatnonzero(np.frombuffer(self.joined, np.uint8) == 10))
        length, touching = self.length, self.begin[1:] == self.end[:-1]
        if touching.any():  # touching words are one run, whose length is put at its first word
            first = np.flatnonzero(np.append(True, ~touching))
            length = np.zeros(len(length), np.int64)
            length[first] = np.add.reduceat(self.length, first)
        words = np.diff(begin)
        longest = np.zeros(len(words), np.int64)
        longest[words > 0] = np.maximum.reduceat(length, begin[:-1][words > 0]) if len(length) else 0
        return words, longest


def cut(texts: pl.Series) -> Words:
    """The words that WORD finds, several times faster. Pass about 100 kB of text at a time, which fit the processor's cache."""
    joined = b"\n" + texts.str.join("\n").cast(pl.Binary).item() + b"\n"
    letters, kind = np.frombuffer(joined, np.uint8), kinds(joined)
    seen = int(np.bitwise_or.reduce(kind))
    inside = (kind & SPACE) == 0
    if seen & (SINGLE | COLON):
        begin, end = _edges(kind, letters.view(np.int8) >= -64, inside)
    else:
        edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        begin, end = edges[::2], edges[1::2]
    within = kind[begin]
    other = np.flatnonzero((within & LETTER) == 0)
    if len(other):
        within[other] = np.bitwise_or.reduceat(kind, np.stack([begin[other], end[other]], 1).ravel())[::2]
    length = end - begin
    if not joined.isascii():
        following = np.flatnonzero((letters.view(np.int8) < -64) & inside)  # bytes of the same character
        length = length - np.bincount(np.searchsorted(begin, following, "right") - 1, minlength=len(begin))
    size = texts.str.len_bytes().to_numpy().astype(np.int64) + 1
    return Words(joined, begin, end, length, within, np.searchsorted(begin, np.concatenate([[0], np.cumsum(size)]) + 1))


def _edges(kind: np.ndarray, first: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(begin, end) of words if some letters are words by themselves. first: true at the first byte of a character."""
    single, mark = (kind & SINGLE) != 0, (kind & MARK) != 0
    edges = np.flatnonzero(mark[1:] != mark[:-1]) + 1
    after = single[edges[::2] - 1]  # runs of marks that belong to such a letter
    change = np.zeros(len(kind), np.int8)
    change[edges[::2][after]], change[edges[1::2][after]] = 1, -1
    plain = inside & ~single & ((kind & COLON) == 0) & (np.cumsum(change, dtype=np.int8) == 0)
    begins = plain | (inside & first & ((kind & (SINGLE | COLON)) != 0))
    begins[1:] &= ~(plain[:-1] & (plain | ((kind & COLON) != 0))[1:])
    ends = inside[:-1] & (begins[1:] | ~inside[1:])
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1


def kinds(joined: bytes) -> np.ndarray:
    """The kind of the character of each byte, uint8."""
    if not _kind[0]:
        _learn(np.arange(128))
    kind = np.frombuffer(joined.translate(_kind[:256].tobytes()), np.uint8)
    if joined.isascii():
        return kind
    point = np.frombuffer(joined.translate(None, ASCII).decode().encode("utf-32-le"), np.uint32)
    other = _kind[point]
    if not other.all():
        _learn(np.unique(point[other == 0]))
        other = _kind[point]
    kind = kind.copy()
    kind[np.frombuffer(joined, np.uint8) > 127] = np.repeat(other, 2 + (point >= 0x800) + (point >= 0x10000))
    return kind


def _learn(points: np.ndarray) -> None:
    """Store the kinds of these characters; there are too many to compute all of them."""
    letter = pl.Series([chr(point) for point in points.tolist()])
    _kind[points] = sum((letter.str.contains(what).to_numpy() * np.uint8(bit) for bit, what in KINDS.items()), np.uint8(KNOWN))
