"""Supervised fine-tuning: predict what the assistant says, and where it stops."""

from dataclasses import dataclass

from fmcycle import speed


@dataclass
class SFT:
    """Cross-entropy of the tokens that `labels` (B, T) keeps, given all tokens before them; -100 is not trained on.

    Rows are padded at their right end, where a causal model can't see it.
    """

    def __call__(self, model, batch):
        output = model(input_ids=batch["input_ids"], use_cache=False).logits
        targets = batch["labels"][:, 1:]
        loss = speed.cross_entropy(output[:, :-1], model.get_output_embeddings(), targets)
        return {"loss": loss, "count": (targets != -100).sum()}
