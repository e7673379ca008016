"""Supervised fine-tuning: predict what the assistant says, and where it stops."""

from dataclasses import dataclass
from typing import Literal

from fmcycle import speed


@dataclass
class SFT:
    """Cross-entropy of the tokens that `labels` (B, T) keeps, given all tokens before them; -100 is not trained on.

    `each`: what weighs the same, a "token" (the count is over tokens) or an "answer" however short (the mean over its tokens;
    the count is over rows). Rows are padded at their right end, where a causal model can't see it.
    """

    each: Literal["token", "answer"] = "token"

    def __call__(self, model, batch):
        output = model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1]
        targets, head = batch["labels"][:, 1:], model.get_output_embeddings()
        tokens = (targets != -100).sum(-1)
        if self.each == "token":
            return {"loss": speed.cross_entropy(output, head, targets), "count": tokens.sum()}
        answers = tokens > 0
        means = -speed.log_probabilities(output, head, targets)[answers] / tokens[answers]
        return {"loss": means.sum(), "count": answers.sum()}
