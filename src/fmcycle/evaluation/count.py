"""N-gram counting with sorted integer keys: what the count-based baselines share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass
class Grams:
    """The n-grams of one order that were seen.

    ids: [seen tokens], which n-gram ends there, -1 where its sequence has not so many tokens before; kind_context: [kinds], the id of each
    kind's first n-1 tokens among the kinds of order n-1; counts: [kinds], how often each was seen.
    query_ids, query_contexts: [query tokens], the same for the text to score; -1 where never seen.
    """

    ids: np.ndarray
    kind_context: np.ndarray
    counts: np.ndarray
    contexts: int
    query_ids: np.ndarray
    query_contexts: np.ndarray


def depth(lengths) -> np.ndarray:
    """Place of each token in its own sequence: [sum(lengths)], from 0."""
    lengths = np.asarray(lengths, dtype=np.int64)
    return (np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)).astype(np.int32)


def previous(ids: np.ndarray) -> np.ndarray:
    """The id that ended one token earlier; -1 for the first."""
    return np.concatenate([np.full(1, -1, dtype=ids.dtype), ids[:-1]])


def grams(seen: list[np.ndarray], query: list[np.ndarray], order: int, vocabulary: int) -> Iterator[Grams]:
    """Orders 1 to `order` of the sequences `seen`, looked up for the sequences `query`; n-grams never cross two sequences.

    Each order's key is (id of the first n-1 tokens) * vocabulary + last token, so sorting int64 keys counts it: about a
    second and 40 bytes a token an order. Token ids must lie in 0..vocabulary-1.
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
