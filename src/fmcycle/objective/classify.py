"""Classification: predict a row's class."""

from dataclasses import dataclass

import torch.nn.functional as F

from fmcycle.model.inputs import given


@dataclass
class Classify:
    """Cross-entropy of `labels` (B,) under the logits (B, classes) of a model that classifies texts, images or audio."""

    def __call__(self, model, batch):
        logits = model(**given(model, batch)).logits
        correct = (logits.argmax(-1) == batch["labels"]).sum()
        return {"loss": F.cross_entropy(logits.float(), batch["labels"], reduction="sum"), "count": len(logits), "accuracy": correct}


def example() -> dict:
    """Return a classifier with texts of three classes."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    from fmcycle.config.example import SIZES, TOKENS, tokens

    model = LlamaForSequenceClassification(LlamaConfig(**SIZES, **TOKENS | {"num_labels": 3}))
    return {"model": model, "batch": {"input_ids": tokens()["input_ids"], "labels": torch.arange(8) % 3}}
