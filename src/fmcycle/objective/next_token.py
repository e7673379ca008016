"""Predict every next token."""

from dataclasses import dataclass

from fmcycle.training import attention, speed


@dataclass
class NextToken:
    """Cross-entropy of each token of `input_ids` (B, T) given the ones before it; the count is over predicted tokens.

    `labels` (B, T), where the batch has them, keep the tokens that are predicted (-100: not); `position_ids` (B, T) begin anew
    with every packed document.
    """

    def __call__(self, model, batch):
        output = attention.output(model, batch)[:, :-1]
        targets = batch.get("labels", batch["input_ids"])[:, 1:]
        count = (targets != -100).sum() if "labels" in batch else targets.numel()
        return {"loss": speed.cross_entropy(output, model.get_output_embeddings(), targets), "count": count}
