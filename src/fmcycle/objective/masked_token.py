"""Masked language modelling: predict masked tokens."""

from dataclasses import dataclass

import torch

from fmcycle.kernels import linear_cross_entropy
from fmcycle.ranges import Fraction, NonNegativeInt

WHOLE = 2**31


@dataclass
class MaskedToken:
    """Cross-entropy of a `share` of the tokens of `input_ids` (B, T): 80 % of them masked, 10 % random, 10 % unchanged.

    `mask_token_id` null: the padding token, which no text contains. For bidirectional models. Source: Devlin et al. (2019).
    """

    share: Fraction = 0.15
    mask_token_id: NonNegativeInt | None = None

    def __call__(self, model, batch):
        ids = batch["input_ids"]
        pad = model.config.pad_token_id or 0  # None while a run is planned, before `fit_to`
        mask_id = pad if self.mask_token_id is None else self.mask_token_id
        real = ids != pad
        chosen = (torch.randint_like(ids, WHOLE) < self.share * WHOLE) & real  # integers: a plan of the run can draw them too
        chosen[:, 0] |= ~chosen.any(1)  # at least one target in a short row
        fate = torch.randint_like(ids, 10)
        random_ids = torch.randint_like(ids, model.config.vocab_size)
        shown = torch.where(chosen & (fate < 8), mask_id, torch.where(chosen & (fate == 9), random_ids, ids))
        output = model(input_ids=shown, attention_mask=real.long()).logits
        targets = torch.where(chosen, ids, -100)
        return {"loss": linear_cross_entropy.cross_entropy(output, model.get_output_embeddings(), targets), "count": chosen.sum()}


def example() -> dict:
    """Return a bidirectional encoder with texts."""
    from transformers import BertConfig, BertForMaskedLM

    from fmcycle.config.example import SIZES, TOKENS, tokens

    model = BertForMaskedLM(BertConfig(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **SIZES, **TOKENS))
    return {"model": model, "batch": {"input_ids": tokens()["input_ids"]}}
