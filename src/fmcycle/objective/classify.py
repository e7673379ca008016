"""Predict a row's class."""

from dataclasses import dataclass

import torch.nn.functional as F


@dataclass
class Classify:
    """Cross-entropy of `labels` (B,) under a sequence-classification model's logits (B, classes)."""

    def __call__(self, model, batch):
        logits = model(input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask")).logits
        correct = (logits.argmax(-1) == batch["labels"]).sum()
        return {"loss": F.cross_entropy(logits.float(), batch["labels"], reduction="sum"), "count": len(logits), "accuracy": correct}
