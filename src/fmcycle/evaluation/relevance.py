"""Is an answer one at all? A deterministic judge of empty answers, loops, word salads and answers that fit any other prompt as well."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

WORD = re.compile(r"\w+|[^\w\s]")
FREQUENT = 300  # words with a place of their own; others are told apart by their last two letters, so that unknown words have an order too
ORDERS = 9  # shuffles of an answer's words; the true order has to beat all of them: a word salad does so once in ten
SHORTEST = 4  # words; the order of fewer says nothing
DISTINCT = 0.6  # share of different word triples from which on an answer is no loop
FIT = 0.05  # share of other prompts that may fit an answer as well as its own does
TEXTS = 6000  # training texts that words and their order are counted on


class Judge:
    """Judges answers by texts of the train split. texts: real texts in the language of the answers; prompts: what the answers are held to.

    `readable`: not empty, no loop, and its words stand in a likelier order than when shuffled, by the frequencies of word pairs.
    `related`: closer to its own prompt than to 95 % of the other prompts, by TF-IDF of 3 to 5 characters.
    """

    def __init__(self, texts: Sequence[str], prompts: Sequence[str], seed: int = 0):
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.seed, known = seed, list(texts)[:TEXTS]
        counts = Counter(word for text in known for word in words(text))
        self.frequent = {word for word, _ in counts.most_common(FREQUENT)}
        self.pairs: Counter = Counter()
        for text in known:
            kinds = self._kinds(words(text))
            self.pairs.update(pairwise(kinds))
        self.firsts, self.seconds = Counter[str](), Counter[str]()
        for (first, second), count in self.pairs.items():
            self.firsts[first] += count
            self.seconds[second] += count
        self.measure = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True).fit([*known, *prompts])
        self.others = self.measure.transform(sorted(set(prompts)))

    def readable(self, answer: str) -> bool:
        """Return whether an answer has words, is no loop, and is no word salad as far as its length lets one tell."""
        said = words(answer)
        if not any(word[0].isalnum() for word in said) or (len(said) >= SHORTEST and len(set(said)) == 1):
            return False
        triples = list(zip(said, said[1:], said[2:], strict=False))
        if len(said) >= 2 * SHORTEST and len(set(triples)) < DISTINCT * len(triples):
            return False
        random, own = np.random.default_rng(self.seed), self._likelihood(said)
        orders = (self._likelihood(random.permutation(said).tolist()) for _ in range(ORDERS))
        return len(said) < SHORTEST or all(own > other for other in orders)

    def related(self, answers: Sequence[str], prompts: Sequence[str]) -> np.ndarray:
        """Return whether each answer is closer to its own prompt than to almost all other ones: (answers,) bool."""
        if not answers:
            return np.zeros(0, dtype=bool)
        said, own = self.measure.transform(answers), self.measure.transform(prompts)
        near = np.asarray(said.multiply(own).sum(axis=1)).ravel()
        as_near = ((said @ self.others.T).toarray() >= near[:, None] - 1e-9).sum(axis=1) - 1  # its own prompt is one of them
        return (near > 0) & (as_near <= FIT * max(self.others.shape[0] - 1, 1))

    def _likelihood(self, said: Sequence[str]) -> float:
        """Return the mean log-probability of each word's kind after the one before, interpolated with its own frequency."""
        kinds, total = self._kinds(said), self.seconds.total() + len(self.seconds) + 1
        shares = [(self.pairs[one, two] + 2 * (self.seconds[two] + 1) / total) / (self.firsts[one] + 2) for one, two in pairwise(kinds)]
        return float(np.log(shares).mean())

    def _kinds(self, said: Sequence[str]) -> list[str]:
        """Return the kind of each word, between a start and an end: the word if it is frequent, else its ending."""
        own = [word if word in self.frequent or not word.isalpha() else f"-{word[-2:]}" for word in said]
        return ["^", *("#" if word.isdigit() else word for word in own), "$"]


def words(text: str) -> list[str]:
    """Return the words and marks of a text, in lower case."""
    return WORD.findall(text.lower())
