"""The vectorised baselines against plain dictionaries, and the laws of probability."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from fmcycle.evaluation.ngram import discounts, interpolated, kneser_ney

VOCABULARY = 12
TEXT = re.findall(r"\w+", "the cat sat on the mat and the dog sat on the cat and the mat saw the dog that saw the cat on a mat")
WORDS = sorted(set(TEXT))


def sequences(length: int = 9, repeats: int = 3) -> list[np.ndarray]:
    ids = np.array([WORDS.index(word) for word in TEXT] * repeats)
    ids[::7] = (ids[::7] + 3) % len(WORDS)
    return [ids[start : start + length] for start in range(0, len(ids), length)]


def naive_kneser_ney(seen, history, word, order, vocabulary):
    """Chen and Goodman's recursion on dictionaries, one n-gram at a time."""
    grams = {n: Counter(tuple(s[i : i + n]) for s in seen for i in range(len(s) - n + 1)) for n in range(1, order + 1)}
    left = defaultdict(set)
    for n in range(1, order + 1):
        for s in seen:
            for i in range(len(s) - n + 1):
                left[tuple(s[i : i + n])].add(s[i - 1] if i else "start")
    counts = {n: grams[n] if n == order else {gram: len(left[gram]) for gram in grams[n]} for n in grams}

    def probability(history, n):
        if n == 0:
            return 1 / vocabulary
        context = tuple(history[len(history) - n + 1 :]) if n > 1 else ()
        if len(context) < n - 1:
            return probability(history, n - 1)
        followers = {gram: c for gram, c in counts[n].items() if gram[:-1] == context}
        if not followers:
            return probability(history, n - 1)
        d = discounts(np.array(list(counts[n].values())))
        own = counts[n].get((*context, word), 0)
        held_back = sum(d[min(c, 3)] for c in followers.values())
        return (own - d[min(own, 3)] + held_back * probability(history, n - 1)) / sum(followers.values())

    return probability(list(history), order)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_kneser_ney_equals_the_naive_recursion(order):
    seen, query = sequences(), sequences(length=6, repeats=1)
    found = kneser_ney(seen, query, VOCABULARY, order)
    plain = [[s.tolist() for s in part] for part in (seen, query)]
    wanted = [naive_kneser_ney(plain[0], s[:i], s[i], order, VOCABULARY) for s in plain[1] for i in range(len(s))]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("history", [[], [0], [3, 5], [11, 11, 11], sequences()[1][:4].tolist(), sequences()[0].tolist()])
def test_probabilities_sum_to_one_after_any_history(history):
    query = [np.array([*history, word]) for word in range(VOCABULARY)]
    ends = np.cumsum([len(each) for each in query]) - 1
    for probability in (kneser_ney(sequences(), query, VOCABULARY), interpolated(sequences(), sequences(4, 1), query, VOCABULARY)):
        assert probability[ends].sum() == pytest.approx(1)
        assert (probability > 0).all()


def test_interpolated_trigram_is_likelier_than_its_unigram_on_text_of_the_same_kind():
    query = sequences(length=8, repeats=1)
    bits = [-np.log2(interpolated(sequences(), sequences(5, 1), query, VOCABULARY, order)).mean() for order in (1, 2, 3)]
    assert bits[0] > bits[1] > bits[2]


def test_order_of_the_windows_does_not_matter():
    query = sequences(length=6, repeats=1)
    np.testing.assert_allclose(kneser_ney(sequences()[::-1], query, VOCABULARY), kneser_ney(sequences(), query, VOCABULARY))
