"""Supervised fine-tuning: predict the assistant's answers and their ends."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fmcycle.kernels import linear_cross_entropy, varlen_attention


@dataclass
class SFT:
    """Cross-entropy of the tokens in `labels` (B, T), given all tokens before them; -100 is no target.

    `normalize_by`: the unit of equal weight, a "token" (the count is over tokens) or an "answer" of any length (the mean over its
    tokens; the count is over conversations). Rows are padded on the right, which a causal model can't see; packed rows have
    `position_ids` (B, T) that restart at 0 with every conversation.
    """

    normalize_by: Literal["token", "answer"] = "token"

    def __call__(self, model, batch):
        output = varlen_attention.output(model, batch)[:, :-1]
        targets, head = batch["labels"][:, 1:], model.get_output_embeddings()
        if self.normalize_by == "token":
            return {"loss": linear_cross_entropy.cross_entropy(output, head, targets), "count": (targets != -100).sum()}
        if "position_ids" in batch:
            sums, tokens = _by_document(output, head, targets, batch["position_ids"])
        else:
            sums, tokens = linear_cross_entropy.log_probabilities(output, head, targets), (targets != -100).sum(-1)
        answers = tokens > 0
        means = -sums[answers] / tokens[answers]
        return {"loss": means.sum(), "count": answers.sum()}


def _by_document(output_BTX: Tensor, head, targets_BT: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probability and number of targets of each packed document, zeros after the last: (B * T,) each."""
    begins = position_ids == 0
    begins[:, 0] = True
    document = (begins.flatten().cumsum(0) - 1).view_as(position_ids)[:, 1:].flatten()  # of the predicted token
    kept = targets_BT.flatten() != -100
    rows = linear_cross_entropy.log_probabilities(output_BTX.flatten(0, 1).unsqueeze(1), head, targets_BT.flatten().unsqueeze(1))
    sums = torch.zeros(position_ids.numel(), dtype=rows.dtype, device=rows.device).index_add(0, document, rows)
    return sums, torch.zeros_like(position_ids.flatten()).index_add(0, document, kept.long())


def example() -> dict:
    """Return a decoder with conversations of one turn, all of it answer."""
    from fmcycle.config.example import decoder, tokens

    return {"model": decoder(), "batch": tokens()}
