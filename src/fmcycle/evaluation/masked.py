"""Masked-token accuracy of an encoder, beside unigram and bigram baselines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation import control
from fmcycle.evaluation.bits_per_byte import documents
from fmcycle.evaluation.figures import rate
from fmcycle.evaluation.held_out import texts
from fmcycle.model.inputs import batched
from fmcycle.ranges import ExistingPath, Fraction, NonNegativeInt, PositiveInt


@dataclass
class Masked:
    """Accuracy on a random `share` of the tokens of held-out documents, all masked, of the model and of unigram and bigram baselines.

    windows: () -> arrays of token ids that the model was trained on. The bigram always sees the token before, the model only
    if it is not masked. `masked_accuracy_over_baseline`: the model minus the stronger of them, paired. n: masked tokens.
    """

    documents: ExistingPath
    windows: Callable
    split: str = "test"
    limit: PositiveInt = 200
    context: PositiveInt = 128
    share: Fraction = 0.15
    batch_size: PositiveInt = 32
    seed: NonNegativeInt = 0

    baselines = ("unigram", "bigram")

    def __call__(self, model, processor) -> dict[str, float]:
        read = documents(processor, texts(self.documents, self.split, self.limit))
        ids = np.array([token for each in read for token in each], dtype=np.int64)
        rows = torch.from_numpy(ids[: len(ids) // self.context * self.context]).view(-1, self.context)
        chosen = torch.rand(rows.shape, generator=torch.Generator().manual_seed(self.seed)) < self.share
        chosen[:, 0] = False  # the bigram needs a token before
        right = self.predicted(model, rows, chosen) == rows[chosen]
        seen = np.concatenate([np.asarray(window, dtype=np.int64) for window in self.windows()])
        most, follows = counted(seen, model.config.vocab_size)
        wanted, before = rows[chosen].numpy(), rows.roll(1, 1)[chosen].numpy()
        others = {"unigram": wanted == most, "bigram": wanted == follows[before]}
        metrics = rate("masked_accuracy", right.numpy()) | control.over_strongest("masked_accuracy", right.numpy(), others, seed=self.seed)
        for name, found in others.items():
            metrics |= rate(f"baseline/{name}_accuracy", found)
        return metrics

    @torch.no_grad()
    def predicted(self, model, rows: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Return the most likely token at each chosen place: (places,)."""
        shown, found = torch.where(chosen, model.config.pad_token_id, rows), []
        for part, places in zip(batched(shown, self.batch_size), batched(chosen, self.batch_size), strict=True):
            found.append(model(input_ids=part.to(model.device)).logits.argmax(-1).cpu()[places])
        return torch.cat(found)


def counted(seen: np.ndarray, vocabulary: int) -> tuple[int, np.ndarray]:
    """Return (the most frequent token, the most frequent follower of each token; if it has none, the most frequent token)."""
    most = int(np.bincount(seen, minlength=vocabulary).argmax())
    pairs, counts = np.unique(seen[:-1] * vocabulary + seen[1:], return_counts=True)
    order = np.argsort(counts, kind="stable")  # the last one written wins
    follows = np.full(vocabulary, most)
    follows[pairs[order] // vocabulary] = pairs[order] % vocabulary
    return most, follows


def example() -> dict:
    """Return an encoder that predicts masked tokens, and the tokens that it was trained on."""
    from transformers import BertConfig, BertForMaskedLM

    from fmcycle.config.example import SIZES, TOKENS

    windows = {"windows": lambda: [np.arange(8, 200)]}
    return {"model": BertForMaskedLM(BertConfig(**SIZES, **TOKENS | {"vocab_size": 300})), "settings": windows}
