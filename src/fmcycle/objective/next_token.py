"""Predict every next token."""

from dataclasses import dataclass

from fmcycle.kernels import linear_cross_entropy, varlen_attention
from fmcycle.training import moe


@dataclass
class NextToken:
    """Cross-entropy of each token of `input_ids` (B, T) given the ones before it; the count is over predicted tokens.

    `labels` (B, T), where the batch has them, keep the tokens that are predicted (-100: not); `position_ids` (B, T) begin anew
    with every packed document. A model with experts also keeps them evenly used: `balance`, by its config's `router_aux_loss_coef`.
    """

    def __call__(self, model, batch):
        result = varlen_attention.result(model, batch, **moe.asked(model))
        targets = batch.get("labels", batch["input_ids"])[:, 1:]
        count = (targets != -100).sum() if "labels" in batch else targets.numel()
        loss = linear_cross_entropy.cross_entropy(result.logits[:, :-1], model.get_output_embeddings(), targets)
        return moe.balanced(model, result, {"loss": loss, "count": count})


def example() -> dict:
    """Texts whose padding has no label."""
    from fmcycle.config.example import decoder, tokens

    return {"model": decoder(), "batch": tokens()}
