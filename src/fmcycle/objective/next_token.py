"""Causal language modelling: predict every next token."""

from dataclasses import dataclass

from fmcycle.kernels import linear_cross_entropy, varlen_attention
from fmcycle.training import moe


@dataclass
class NextToken:
    """Cross-entropy of each token of `input_ids` (B, T) given the ones before it; the count is over predicted tokens.

    `labels` (B, T), if the batch has them, select the targets (-100: no target); `position_ids` (B, T) restart at 0 with every
    packed document. A model with experts adds its load-balancing loss, `balance`, weighted by its config's `router_aux_loss_coef`.
    """

    def __call__(self, model, batch):
        result = varlen_attention.result(model, batch, **moe.asked(model))
        targets = batch.get("labels", batch["input_ids"])[:, 1:]
        count = (targets != -100).sum() if "labels" in batch else targets.numel()
        loss = linear_cross_entropy.cross_entropy(result.logits[:, :-1], model.get_output_embeddings(), targets)
        return moe.balanced(model, result, {"loss": loss, "count": count})


def example() -> dict:
    """Return a decoder with texts whose padding has no label."""
    from fmcycle.config.example import decoder, tokens

    return {"model": decoder(), "batch": tokens()}
