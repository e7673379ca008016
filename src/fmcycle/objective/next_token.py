"""Predict every next token."""

from dataclasses import dataclass

from fmcycle import speed


@dataclass
class NextToken:
    """Cross-entropy of each token of `input_ids` (B, T) given the ones before it; the count is over predicted tokens."""

    def __call__(self, model, batch):
        output = model(input_ids=batch["input_ids"], use_cache=False).logits
        targets = batch["input_ids"][:, 1:]
        return {"loss": speed.cross_entropy(output[:, :-1], model.get_output_embeddings(), targets), "count": targets.numel()}
