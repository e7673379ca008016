"""Contrastive learning: pull pairs (image and caption, or similar texts) together, push the rest of the batch apart."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fmcycle.model.inputs import given
from fmcycle.ranges import PositiveFloat


@dataclass
class Contrastive:
    """Cross-entropy of each row's partner among all partners of the micro-batch, in both directions; `accuracy`: it is the nearest.

    A batch has `pixel_values` and `input_ids` (a CLIP model, which has its own temperature), or `first` and `second`, texts for an encoder,
    whose mean hidden states are compared at `temperature`. The other rows of the micro-batch are the negatives, so
    trainer.micro_batch changes the result here. Source: Radford et al., CLIP (2021), figure 3; van den Oord et al. (2018).
    """

    temperature: PositiveFloat = 0.05

    def __call__(self, model, batch):
        if "pixel_values" in batch:
            out = model(**given(model, batch))
            one, other, scale = out.image_embeds, out.text_embeds, model.logit_scale.exp()
        else:
            one, other = (pooled(model, batch[side]) for side in ("first", "second"))
            scale = 1 / self.temperature
        scores = scale * one.float() @ other.float().T
        own = torch.arange(len(scores), device=scores.device)
        loss = F.cross_entropy(scores, own, reduction="sum") + F.cross_entropy(scores.T, own, reduction="sum")
        return {"loss": loss / 2, "count": len(scores), "accuracy": (scores.argmax(1) == own).sum()}


def pooled(model, side: dict) -> Tensor:
    """Return the mean of an encoder's hidden states over a text's tokens, normalised to length 1: (B, D)."""
    inputs = given(model, side)
    hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, :, None].to(hidden.dtype) if "attention_mask" in inputs else torch.ones_like(hidden[:, :, :1])
    return F.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1), dim=-1)


def example() -> dict:
    """Return a CLIP model with images and captions."""
    from transformers import CLIPConfig, CLIPModel

    from fmcycle.config.example import SIZES, pictures, tokens

    text, vision = {**SIZES, "vocab_size": 64, "eos_token_id": 3}, {**SIZES, "image_size": 8, "patch_size": 4, "num_channels": 1}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    return {"model": model, "batch": {"pixel_values": pictures(), "input_ids": tokens()["input_ids"]}}
