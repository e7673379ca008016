"""Monitors whether words or languages differ from the reference."""

import functools
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from fmcycle.monitor.finding import finding
from fmcycle.ranges import Fraction, PositiveInt
from fmcycle.statistics.permutation import permutation

# frequent words that distinguish languages of Latin script, and the scripts of other languages
LATIN = {
    "English": "the of and to is in that it for what how does do you which a an with",
    "German": "der die das und ist nicht ein eine zu mit wie was ich für auf den von",
    "French": "le la les des est et un une que qui pour dans quel quelle comment du pas",
    "Spanish": "el los las es y un una que por para cómo qué del con se no en",
    "Italian": "il lo gli è e un una che per di come non sono del della cosa con",
    "Portuguese": "o os as é e um uma que por para como não do da em com qual",
    "Dutch": "de het een en is van niet dat wat hoe te voor met op zijn ik aan",
}
SCRIPTS = {
    "Cyrillic": r"\p{Cyrillic}", "Greek": r"\p{Greek}", "Arabic": r"\p{Arabic}", "Hebrew": r"\p{Hebrew}", "Chinese": r"\p{Han}",
    "Japanese": r"[\p{Hiragana}\p{Katakana}]", "Korean": r"\p{Hangul}", "Devanagari": r"\p{Devanagari}", "Thai": r"\p{Thai}",
}  # fmt: skip


@dataclass
class Vocabulary:
    """Jensen-Shannon divergence (Lin, 1991) in bits between the words of window and reference, minus its value by chance.

    Alarms if the difference exceeds `bound` and is significant at `alpha` in a permutation test.
    """

    side: Literal["prompt", "answer"]
    bound: Fraction = 0.2
    alpha: Fraction = 0.01
    words: PositiveInt = 2000  # the most frequent ones; all rarer words count as one

    def __call__(self, reference: pl.DataFrame, window: pl.DataFrame) -> dict:
        texts = [frame[self.side].str.to_lowercase().str.extract_all(r"[\p{L}\p{N}]+").to_list() for frame in (reference, window)]
        common = Counter(word for text in texts[0] + texts[1] for word in text)
        # sorts ties by the word, so that the same texts give the same figures
        rank = {word: place for place, (word, _) in enumerate(sorted(common.items(), key=lambda item: (-item[1], item[0]))[: self.words])}
        before, now = (counts(rows, rank) for rows in texts)
        value, p = permutation(divergence, before, now)
        fresh = [word for word, _ in sorted(rank.items(), key=lambda item: before[:, item[1]].sum() - now[:, item[1]].sum())][:5]
        what = f"words of a {self.side} (p {p:.3g}); most gained: {', '.join(fresh)}"
        return finding(value, value, value, len(now), self.bound, p <= self.alpha and value > self.bound, what)


@dataclass
class Language:
    """Total variation between the languages of window and reference, minus its value by chance; alarms as `Vocabulary` does."""

    side: Literal["prompt", "answer"]
    bound: Fraction = 0.1
    alpha: Fraction = 0.01

    def __call__(self, reference: pl.DataFrame, window: pl.DataFrame) -> dict:
        before, now = ([language(text) for text in frame[self.side]] for frame in (reference, window))
        names = {name: place for place, name in enumerate(sorted({*before, *now}))}
        first, second = (np.eye(len(names))[[names[name] for name in rows]] for rows in (before, now))
        value, p = permutation(variation, first, second)
        order = sorted(Counter(now).items(), key=lambda item: (-item[1], item[0]))
        shares = ", ".join(f"{name} {count / len(now):.0%}" for name, count in order)
        alarm = p <= self.alpha and value > self.bound
        return finding(value, value, value, len(now), self.bound, alarm, f"languages of a {self.side} (p {p:.3g}): {shares}")


def counts(rows: list[list[str]], rank: dict[str, int]) -> np.ndarray:
    """Return (texts, words + 1): how often each text has each word; the last column is for all other words."""
    table = np.zeros((len(rows), len(rank) + 1), dtype=np.float32)
    for place, row in enumerate(rows):
        for word in row:
            table[place, rank.get(word, len(rank))] += 1
    return table


def divergence(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence in bits of two vectors of counts; 0 if one has no counts."""
    if not first.sum() or not second.sum():
        return 0.0
    p, q = (counted.astype(np.float64) / counted.sum(dtype=np.float64) for counted in (first, second))
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def entropy(p: np.ndarray) -> float:
    """Return Shannon's entropy in bits."""
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def variation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the total variation distance of two vectors of counts."""
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


@functools.lru_cache(16384)  # the reference comes again with each window
def language(text: str) -> str:
    """Return the likeliest language of a text by its script and frequent words; "unclear" for a text with none, such as code."""
    frame = pl.Series([text])
    scripts = {name: frame.str.count_matches(pattern)[0] for name, pattern in SCRIPTS.items()}
    if max(scripts.values()) > len(text) / 5:
        return "Japanese" if scripts["Japanese"] and scripts["Chinese"] else max(scripts, key=lambda name: scripts[name])
    words = text.lower().split()
    hits = {name: sum(word.strip(".,;:!?\"'()") in small for word in words) for name, small in SMALL.items()}
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else "unclear"


SMALL = {name: frozenset(words.split()) for name, words in LATIN.items()}
