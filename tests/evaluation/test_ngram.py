"""The vectorised 5-gram against plain dictionaries, against values by hand, and the laws of probability."""

import re
from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest

from fmcycle.evaluation import ngram
from fmcycle.evaluation.ngram import discounts, kneser_ney

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
    probability = kneser_ney(sequences(), query, VOCABULARY)
    assert probability[ends].sum() == pytest.approx(1)
    assert (probability > 0).all()


def test_a_longer_context_is_likelier_on_text_of_the_same_kind():
    query = sequences(length=8, repeats=1)
    bits = [-np.log2(kneser_ney(sequences(), query, VOCABULARY, order)).mean() for order in (1, 2, 3)]
    assert bits[0] > bits[1] > bits[2]


def test_the_three_discounts_are_those_of_chen_and_goodman():
    """n1 = 8, n2 = 4, n3 = 2, n4 = 1: Y = 8 / 16; D1 = 1 - 2 Y n2 / n1, D2 = 2 - 3 Y n3 / n2, D3+ = 3 - 4 Y n4 / n3."""
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4] + [9] * 3)
    np.testing.assert_allclose(discounts(counts), [0, 0.5, 1.25, 2.0])


def test_order_of_the_windows_does_not_matter():
    query = sequences(length=6, repeats=1)
    np.testing.assert_allclose(kneser_ney(sequences()[::-1], query, VOCABULARY), kneser_ney(sequences(), query, VOCABULARY))


WRITTEN = [f"{' '.join(TEXT[n:] + TEXT[:n])} {n % 3}" for n in range(20)]


def table(path, count: int = 20) -> str:
    rows = [{"id": f"text/{n}", "split": "test" if n % 4 == 0 else "train", "text": WRITTEN[n]} for n in range(count)]
    pl.DataFrame(rows).write_parquet(path)
    return str(path)


def encode(texts: list[str]) -> list[list[int]]:
    return [[0, *(WORDS.index(word) + 1 if word in WORDS else 0 for word in text.split())] for text in texts]


def test_training_documents_alone_are_counted_all_of_them(tmp_path):
    path = table(tmp_path / "documents.parquet")
    query = encode([text for n, text in enumerate(WRITTEN) if n % 4 == 0])
    train = [np.array(ids) for ids in encode([text for n, text in enumerate(WRITTEN) if n % 4])]
    found, tokens = ngram.bits(path, encode, query, VOCABULARY, 10**6)
    assert tokens == sum(map(len, train))
    wanted = np.split(-np.log2(kneser_ney(train, [np.array(ids) for ids in query], VOCABULARY)), len(query))
    np.testing.assert_allclose(found, [part[1:].sum() for part in wanted])


def test_a_limit_of_tokens_takes_whole_documents_by_digest(tmp_path):
    path = table(tmp_path / "documents.parquet")
    whole = [ids.tolist() for ids in ngram.training_tokens(path, encode, 10**6)]
    for most in (1, 30, 100):
        some = [ids.tolist() for ids in ngram.training_tokens(path, encode, most)]
        assert some == whole[: len(some)] and sum(map(len, some[:-1])) < most <= sum(map(len, some))


def test_a_table_without_training_documents_gives_no_baseline(tmp_path):
    assert ngram.bits(table(tmp_path / "documents.parquet", 1), encode, [[0, 1, 2]], VOCABULARY, 100) == ([], 0)
