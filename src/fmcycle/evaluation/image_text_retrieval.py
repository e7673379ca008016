"""Retrieval of captions by images and of images by captions, among held-out pairs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation.figures import rate
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.evaluation.sentence_retrieval import among
from fmcycle.ranges import PositiveInt


@dataclass
class ImageTextRetrieval:
    """Recall at `k` in both directions over at most `limit` held-out pairs; `baseline/chance_...` is that of a random choice.

    data: (split, processor) -> rows with `pixel_values` and `input_ids`. Rows with the same caption count as one another's partners.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 500
    k: PositiveInt = 5
    batch_size: PositiveInt = 64

    def __call__(self, model, processor) -> dict[str, float]:
        held = HeldOut(self.data, self.split, processor, self.limit)
        pictures, texts = self.embedded(model, held)
        name = [tuple(ids) for ids in held.column("input_ids")]
        same = np.array([[one == other for other in name] for one in name])
        scores, count = pictures @ texts.T, len(held.rows)
        return (
            rate(f"text_recall@{self.k}", among(scores, same, self.k))
            | rate(f"image_recall@{self.k}", among(scores.T, same, self.k))
            | {f"baseline/chance_recall@{self.k}": min(1.0, self.k * float(same.sum(1).mean()) / count)}
        )

    @torch.no_grad()
    def embedded(self, model, held: HeldOut) -> tuple[np.ndarray, np.ndarray]:
        """Return the embeddings (images, texts), (rows, D) each, normalised to length 1."""
        pictures, texts = [], []
        for batch in held.batches(model, self.batch_size):
            out = model(**batch)
            pictures.append(out.image_embeds.float().cpu().numpy())
            texts.append(out.text_embeds.float().cpu().numpy())
        return np.concatenate(pictures), np.concatenate(texts)


def example() -> dict:
    """Return a CLIP model."""
    from transformers import CLIPConfig, CLIPModel

    from fmcycle.config.example import SIZES, TEXTS
    from fmcycle.processor.multimodal import clip

    processor = clip([text for _, text, _ in TEXTS], size=8, channels=1, vocab_size=300)
    text = {**SIZES, "vocab_size": 300, "eos_token_id": processor.tokenizer.eos_token_id}
    vision = {**SIZES, "image_size": 8, "patch_size": 4, "num_channels": 1}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    return {"model": model, "processor": processor, "option": "captions", "data": {}}
