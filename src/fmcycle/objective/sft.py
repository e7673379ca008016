"""Supervised fine-tuning: predict what the assistant says, and where it stops."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fmcycle.kernels import linear_cross_entropy, varlen_attention


@dataclass
class SFT:
    """Cross-entropy of the tokens that `labels` (B, T) keeps, given all tokens before them; -100 is not trained on.

    `normalize_by`: what weighs the same, a "token" (the count is over tokens) or an "answer" however short (the mean over its tokens;
    the count is over conversations). Rows are padded at their right end, where a causal model can't see it; packed rows have
    `position_ids` (B, T) that begin anew with every conversation.
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
    """Log-probabilities and number of labelled tokens of each packed document, with zeros behind the last: (B * T,) both."""
    begins = position_ids == 0
    begins[:, 0] = True
    document = (begins.flatten().cumsum(0) - 1).view_as(position_ids)[:, 1:].flatten()  # of the token that is predicted
    kept = targets_BT.flatten() != -100
    rows = linear_cross_entropy.log_probabilities(output_BTX.flatten(0, 1).unsqueeze(1), head, targets_BT.flatten().unsqueeze(1))
    sums = torch.zeros(position_ids.numel(), dtype=rows.dtype, device=rows.device).index_add(0, document, rows)
    return sums, torch.zeros_like(position_ids.flatten()).index_add(0, document, kept.long())


def example() -> dict:
    """Conversations of one turn, each all answer."""
    from fmcycle.config.example import decoder, tokens

    return {"model": decoder(), "batch": tokens()}
