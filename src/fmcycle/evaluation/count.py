"""N-gram counting with sorted integer keys, for the count-based baselines."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass
class Grams:
    """The n-grams of one order in the training tokens; a kind is a distinct n-gram.

    ids: (seen tokens,), the kind that ends there, -1 if too few tokens precede it; kind_context: (kinds,), the kind of order n-1 of
    its first n-1 tokens; counts: (kinds,), its occurrences.
    query_ids, query_contexts: (query tokens,), n-gram and context of the text to score; -1 if unseen.
    """

    ids: np.ndarray
    kind_context: np.ndarray
    counts: np.ndarray
    contexts: int
    query_ids: np.ndarray
    query_contexts: np.ndarray


def depth(lengths) -> np.ndarray:
    """Return the place of each token in its own sequence, from 0: (sum(lengths),)."""
    lengths = np.asarray(lengths, dtype=np.int64)
    return (np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)).astype(np.int32)


def previous(ids: np.ndarray) -> np.ndarray:
    """Return `ids` shifted by one token; -1 for the first."""
    return np.concatenate([np.full(1, -1, dtype=ids.dtype), ids[:-1]])


def grams(seen: list[np.ndarray], query: list[np.ndarray], order: int, vocabulary: int) -> Iterator[Grams]:
    """Yield the n-grams of orders 1 to `order` in the sequences `seen`, looked up in the sequences `query`; none crosses two sequences.

    The key of an n-gram is (id of its first n-1 tokens) * vocabulary + last token, so sorting int64 keys counts an order, in about
    a second and 40 bytes for each token. Token ids must lie in 0..vocabulary-1.
    """
    tokens, place = np.concatenate(seen).astype(np.int64), depth([len(each) for each in seen])
    text, text_place = np.concatenate(query).astype(np.int64), depth([len(each) for each in query])
    ids, query_ids, contexts = np.zeros(len(tokens), dtype=np.int32), np.zeros(len(text), dtype=np.int32), 1
    for n in range(1, order + 1):
        before, query_before = (previous(ids), previous(query_ids)) if n > 1 else (ids, query_ids)
        whole = place >= n - 1
        kinds, inverse, counts = np.unique(before[whole] * np.int64(vocabulary) + tokens[whole], return_inverse=True, return_counts=True)
        ids = np.full(len(tokens), -1, dtype=np.int32)
        ids[whole] = inverse
        query_contexts = np.where(text_place >= n - 1, query_before, -1)
        keys = query_contexts * np.int64(vocabulary) + text
        found = np.minimum(np.searchsorted(kinds, keys), len(kinds) - 1)
        query_ids = np.where((query_contexts >= 0) & (kinds[found] == keys), found, -1).astype(np.int32)
        yield Grams(ids, (kinds // vocabulary).astype(np.int32), counts.astype(np.int32), contexts, query_ids, query_contexts)
        contexts = len(kinds)
