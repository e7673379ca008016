"""Retrieval of a text's partner among held-out texts, for encoders whose mean hidden state is a text's embedding."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation import control
from fmcycle.evaluation.figures import mean, rate
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.model.inputs import batched
from fmcycle.processor.components import pad, tokenizer_of
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class SentenceRetrieval:
    """`recall@k`: the partner is among the `k` nearest of at most `limit` texts; `cosine_gap`: its cosine minus the others' mean.

    data: (split, processor) -> rows with `first` and `second`, each {"input_ids"}. Rows with the same second text count as one
    another's partners. `baseline/words_recall@k`: nearest by TF-IDF of words and word pairs, fitted on the held-out texts;
    `chance`: a random choice. `recall@k_over_baseline`: minus the stronger, paired.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 500
    k: PositiveInt = 1
    batch_size: PositiveInt = 32
    seed: NonNegativeInt = 0

    baselines = ("words", "chance")

    def __call__(self, model, processor) -> dict[str, float]:
        held = HeldOut(self.data, self.split, processor, self.limit)
        sides = [[each["input_ids"] for each in held.column(side)] for side in ("first", "second")]
        one, other = (self.vectors(model, ids, pad(processor)) for ids in sides)
        same = np.array([[ids == partner for partner in sides[1]] for ids in sides[1]])
        cosine = one @ other.T
        apart = np.where(same, np.nan, cosine)
        alone = same.all(1)  # a text that is everyone's partner has no others to compare
        gap = np.diagonal(cosine)[~alone] - np.nanmean(apart[~alone], axis=1)
        right, counted = among(cosine, same, self.k), among(words(sides, tokenizer_of(processor)), same, self.k)
        random = control.chance(same, self.k)
        return (
            rate(f"recall@{self.k}", right)
            | mean("cosine_gap", gap, seed=self.seed)
            | rate(f"baseline/words_recall@{self.k}", counted)
            | mean(f"baseline/chance_recall@{self.k}", random, seed=self.seed)
            | control.over_strongest(f"recall@{self.k}", right, {"words": counted, "chance": random}, seed=self.seed)
        )

    @torch.no_grad()
    def vectors(self, model, texts: list[list[int]], fill: int) -> np.ndarray:
        """Return the mean hidden state over each text's tokens, normalised to length 1: (texts, D). Batches hold similar lengths."""
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
    """Return whether one of a row's partners is among its `k` best: (rows,) bool."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(same, best, axis=1).max(axis=1)


def words(sides: list[list[list[int]]], tokenizer) -> np.ndarray:
    """Return the TF-IDF cosines (first texts, second texts)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    first, second = ([tokenizer.decode(ids, skip_special_tokens=True) for ids in side] for side in sides)
    counted = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit([*first, *second])
    return (counted.transform(first) @ counted.transform(second).T).toarray()


def example() -> dict:
    """Return an encoder of sentences."""
    from transformers import BertConfig, BertModel

    from fmcycle.config.example import SIZES, TOKENS

    return {"model": BertModel(BertConfig(**SIZES, **TOKENS | {"vocab_size": 300})), "option": "text_pairs", "data": {}}
