"""A count-based baseline: a Kneser-Ney 5-gram of the training documents, on the documents that a model is measured on."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from fmcycle.evaluation.count import Grams, grams
from fmcycle.evaluation.held_out import digest
from fmcycle.model.inputs import batched

TOGETHER = 1000  # documents encoded at a time
BYTES = 8  # bytes of text read for each token that is wanted

Encode = Callable[[list[str]], list[list[int]]]


def bits(path: str, encode: Encode, query: Sequence[Sequence[int]], vocabulary: int, most: int) -> tuple[list[float], int]:
    """Return (the bits of each sequence of `query` without its first token, the number of training tokens counted); ([], 0) without any.

    path: a table of documents, whose split `train` is counted up to `most` tokens; encode: texts -> token ids as in `query`.
    """
    seen = training_tokens(path, encode, most)
    if not seen or not query:
        return [], 0
    asked = [np.asarray(ids) for ids in query]
    parts = np.split(kneser_ney(seen, asked, vocabulary), np.cumsum([len(ids) for ids in asked])[:-1])
    return [float(-np.log2(part[1:]).sum()) for part in parts], sum(len(ids) for ids in seen)


def training_tokens(path: str, encode: Encode, most: int) -> list[np.ndarray]:
    """Return the token ids of the training documents, by digest of their ids, until `most` tokens are reached: one array a document."""
    frame = pl.scan_parquet(path).filter(pl.col("split") == "train")
    sizes = sorted(frame.select("id", size=pl.col("text").str.len_bytes()).collect().to_dicts(), key=digest)
    ends = np.cumsum([row["size"] for row in sizes])
    names = [row["id"] for row in sizes[: int(np.searchsorted(ends, BYTES * most)) + 1]]
    texts = dict(frame.filter(pl.col("id").is_in(names)).select("id", "text").collect().iter_rows())
    found: list[np.ndarray] = []
    count = 0
    for part in batched(names, TOGETHER):
        for ids in encode([texts[name] for name in part]):
            if count >= most:
                return found
            found.append(np.asarray(ids, dtype=np.int32))
            count += len(ids)
    return found


def take(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return values[index], with 0 for index -1."""
    return np.where(index >= 0, values[index], 0)


def kneser_ney(seen: list[np.ndarray], query: list[np.ndarray], vocabulary: int, order: int = 5) -> np.ndarray:
    """Return the probability of each query token given the tokens before it in its sequence: (query tokens,).

    Interpolated modified Kneser-Ney; below the highest order a kind's count is its number of distinct left neighbours, the start of a
    sequence included. The unigrams interpolate with the uniform distribution, so no probability is 0.
    Source: Chen and Goodman, An Empirical Study of Smoothing Techniques (1998), section 4.1.6.
    """
    probability = np.full(sum(len(each) for each in query), 1 / vocabulary)
    lower: Grams | None = None
    for level in grams(seen, query, order, vocabulary):
        if lower is not None:
            probability = discounted(lower, left_neighbours(lower.ids, len(lower.counts), level.ids, len(level.counts)), probability)
        lower = level
    assert lower is not None
    return discounted(lower, lower.counts, probability)


def left_neighbours(ids: np.ndarray, kinds: int, longer_ids: np.ndarray, longer_kinds: int) -> np.ndarray:
    """Return the number of distinct tokens (or the start) seen before each kind: (kinds,)."""
    suffix = np.empty(longer_kinds, dtype=np.int32)
    inside = longer_ids >= 0
    suffix[longer_ids[inside]] = ids[inside]
    counts = np.bincount(suffix, minlength=kinds)
    counts[np.unique(ids[~inside & (ids >= 0)])] += 1
    return counts.astype(np.int32)


def discounted(level: Grams, counts: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Interpolate one order, with `counts` of its kinds, with the probabilities `lower` of the next lower order."""
    discount = discounts(counts)
    total = np.bincount(level.kind_context, weights=counts, minlength=level.contexts)
    held_back = np.bincount(level.kind_context, weights=discount[np.minimum(counts, 3)], minlength=level.contexts)
    in_context = take(total, level.query_contexts)
    here = take(counts, level.query_ids)
    own = here - discount[np.minimum(here, 3)]
    mixed = (own + take(held_back, level.query_contexts) * lower) / np.maximum(in_context, 1)
    return np.where(in_context > 0, mixed, lower)


def discounts(counts: np.ndarray) -> np.ndarray:
    """Return [0, D1, D2, D3+]; 0.75 if the text is too small to estimate a discount."""
    n = np.bincount(np.minimum(counts, 5), minlength=6)[:5].astype(float)
    base = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.75
    estimates = [k - (k + 1) * base * n[k + 1] / n[k] if n[k] else 0.75 for k in (1, 2, 3)]
    return np.array([0.0, *(estimate if 0 < estimate < k else 0.75 for k, estimate in zip((1, 2, 3), estimates, strict=True))])
