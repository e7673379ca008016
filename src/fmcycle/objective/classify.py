"""Predict a row's class."""

from dataclasses import dataclass

import torch.nn.functional as F

from fmcycle.given import given


@dataclass
class Classify:
    """Cross-entropy of `labels` (B,) under the logits (B, classes) of a model that classifies texts, pictures or sound."""

    def __call__(self, model, batch):
        logits = model(**given(model, batch)).logits
        correct = (logits.argmax(-1) == batch["labels"]).sum()
        return {"loss": F.cross_entropy(logits.float(), batch["labels"], reduction="sum"), "count": len(logits), "accuracy": correct}
