"""Count-based baselines from the model's training tokens: an interpolated trigram and a Kneser-Ney 5-gram."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fmcycle.evaluation.bits_per_byte import documents
from fmcycle.evaluation.count import Grams, grams
from fmcycle.evaluation.figures import mean
from fmcycle.evaluation.held_out import texts
from fmcycle.ranges import ExistingPath, NonNegativeInt, PositiveInt


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


def interpolated(seen: list[np.ndarray], tuning: list[np.ndarray], query: list[np.ndarray], vocabulary: int, order: int = 3) -> np.ndarray:
    """Return the probability of each query token by relative frequencies, orders interpolated with weights fitted on `tuning`.

    One weight for each power of two of the context's count, by EM on text that is neither training nor test text.
    Source: Jelinek and Mercer (1980), as in Chen and Goodman (1998), section 2.3.
    """
    split = sum(len(each) for each in tuning)
    probability = np.full(split + sum(len(each) for each in query), 1 / vocabulary)
    for level in grams(seen, [*tuning, *query], order, vocabulary):
        total = np.bincount(level.kind_context, weights=level.counts, minlength=level.contexts)
        in_context = take(total, level.query_contexts)
        here = take(level.counts, level.query_ids) / np.maximum(in_context, 1)
        bucket = np.where(in_context > 0, np.log2(np.maximum(in_context, 1)).astype(int) + 1, 0)
        weight = fitted(here[:split], probability[:split], bucket[:split], int(bucket.max()) + 1)
        probability = weight[bucket] * here + (1 - weight[bucket]) * probability
    return probability[split:]


def fitted(here: np.ndarray, lower: np.ndarray, bucket: np.ndarray, buckets: int, rounds: int = 30) -> np.ndarray:
    """Return the maximum-likelihood weight of `here` against `lower` in each bucket, by EM; 0 in bucket 0 (unseen context)."""
    weight, size = np.full(buckets, 0.5), np.bincount(bucket, minlength=buckets)
    for _ in range(rounds):
        weight[0] = 0
        share = weight[bucket] * here
        share = share / (share + (1 - weight[bucket]) * lower)
        weight = np.where(size > 0, np.bincount(bucket, weights=share, minlength=buckets) / np.maximum(size, 1), 0.5)
    weight[0] = 0
    return np.minimum(weight, 0.999)  # unseen unigrams keep a probability


@dataclass
class NGram:
    """Bits per byte of the baselines on held-out documents, trained on the model's training tokens.

    windows: () -> arrays of token ids, the windows (or documents) of the run, in any order. Interval: bootstrap over documents; n: bytes.
    """

    documents: ExistingPath
    windows: Callable
    split: str = "test"
    tuning: str = "validation"
    limit: PositiveInt | None = 400
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    def __call__(self, model, processor) -> dict[str, float]:
        seen = [np.asarray(window) for window in self.windows()]
        asked, others = (texts(self.documents, split, self.limit) for split in (self.split, self.tuning))
        query, tuning = ([np.array(ids) for ids in documents(processor, each)] for each in (asked, others))
        vocabulary = model.config.vocab_size
        found = {"trigram": interpolated(seen, tuning, query, vocabulary), "kneser_ney_5gram": kneser_ney(seen, query, vocabulary)}
        sizes = [len(text.encode()) for text in asked]
        ends = np.cumsum([len(each) for each in query])
        metrics: dict[str, float] = {"seen_tokens": sum(len(window) for window in seen)}
        for name, probability in found.items():
            bits = [-np.log2(part[1:]).sum() for part in np.split(probability, ends[:-1])]
            metrics |= mean(f"baseline/{name}_bits_per_byte", bits, sizes, resamples=self.resamples, seed=self.seed)
        return metrics


def example() -> dict:
    """Return the tokens that the model was trained on."""
    return {"settings": {"windows": lambda: [np.arange(8, 200)]}}
