"""Is a text nearer to its partner than to the partners of others? For encoders whose mean hidden state is a text's vector."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation.figures import mean, rate
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.model.inputs import batched
from fmcycle.processor.components import pad, tokenizer_of
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class SentenceRetrieval:
    """`recall@k`: the partner of a held-out text is among the `k` nearest of at most `limit`; `cosine_gap`: how much nearer than others.

    data: (split, processor) -> rows with `first` and `second`, each {"input_ids"}. Rows whose second text is the same count as one
    another's partners. `baseline/words_recall@k`: nearest by TF-IDF of words and word pairs, of the held-out texts themselves.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 500
    k: PositiveInt = 1
    batch_size: PositiveInt = 32
    seed: NonNegativeInt = 0

    def __call__(self, model, processor) -> dict[str, float]:
        held = HeldOut(self.data, self.split, processor, self.limit)
        sides = [[each["input_ids"] for each in held.column(side)] for side in ("first", "second")]
        one, other = (self.vectors(model, ids, pad(processor)) for ids in sides)
        same = np.array([[ids == partner for partner in sides[1]] for ids in sides[1]])
        cosine = one @ other.T
        apart = np.where(same, np.nan, cosine)
        alone = same.all(1)  # a text that is everyone's partner is told apart from nothing
        gap = np.diagonal(cosine)[~alone] - np.nanmean(apart[~alone], axis=1)
        return (
            rate(f"recall@{self.k}", among(cosine, same, self.k))
            | mean("cosine_gap", gap, seed=self.seed)
            | rate(f"baseline/words_recall@{self.k}", among(words(sides, tokenizer_of(processor)), same, self.k))
        )

    @torch.no_grad()
    def vectors(self, model, texts: list[list[int]], fill: int) -> np.ndarray:
        """The mean hidden state over each text's tokens, of length 1: (texts, D). Neighbours in a batch are of like length."""
        order = np.argsort([len(ids) for ids in texts], kind="stable")
        found: list[np.ndarray] = [np.empty(0)] * len(texts)
        for places in batched(order, self.batch_size):
            rows = [torch.tensor(texts[place]) for place in places]
            ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill).to(model.device)
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(each) for each in rows], batch_first=True).to(model.device)
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float() * mask[:, :, None]
            pooled = torch.nn.functional.normalize(hidden.sum(1) / mask.sum(1, keepdim=True), dim=-1).cpu().numpy()
            for place, vector in zip(places, pooled, strict=True):
                found[place] = vector
        return np.stack(found)


def among(scores: np.ndarray, same: np.ndarray, k: int) -> np.ndarray:
    """For each row, is one of its partners among its `k` best? (rows,) bool."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(same, best, axis=1).max(axis=1)


def words(sides: list[list[list[int]]], tokenizer) -> np.ndarray:
    """Cosines by TF-IDF: (first texts, second texts)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    first, second = ([tokenizer.decode(ids, skip_special_tokens=True) for ids in side] for side in sides)
    counted = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit([*first, *second])
    return (counted.transform(first) @ counted.transform(second).T).toarray()
