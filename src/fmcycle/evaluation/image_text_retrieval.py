"""Retrieval of captions by images and of images by captions, among held-out pairs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation import control
from fmcycle.evaluation.figures import mean, rate
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.evaluation.sentence_retrieval import among
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import PositiveInt


@dataclass
class ImageTextRetrieval:
    """Recall at `k` in both directions over at most `limit` held-out pairs; beside two baselines, and minus the stronger, paired.

    `chance`: a random choice; `pixels`: the caption of the nearest of `learned` training images, compared by TF-IDF.

    data: (split, processor) -> rows with `pixel_values` and `input_ids`. Rows with the same caption count as one another's partners.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 500
    k: PositiveInt = 5
    batch_size: PositiveInt = 64
    learned: PositiveInt = 5000

    baselines = ("chance", "pixels")

    def __call__(self, model, processor) -> dict[str, float]:
        held = HeldOut(self.data, self.split, processor, self.limit)
        pictures, texts = self.embedded(model, held)
        captions = [tuple(ids) for ids in held.column("input_ids")]
        same = np.array([[one == other for other in captions] for one in captions])
        scores = pictures @ texts.T
        like = self.pixels(held, HeldOut(self.data, "train", processor, self.learned), tokenizer_of(processor))
        metrics: dict[str, float] = {}
        for side, own, other, partners in (("text", scores, like, same), ("image", scores.T, like.T, same.T)):
            name, right = f"{side}_recall@{self.k}", among(own, partners, self.k)
            others = {"chance": control.chance(partners, self.k), "pixels": among(other, partners, self.k)}
            metrics |= rate(name, right) | control.over_strongest(name, right, others)
            for each, found in others.items():
                metrics |= mean(f"baseline/{each}_{name}", found)
        return metrics

    @staticmethod
    def pixels(held: HeldOut, train: HeldOut, tokenizer) -> np.ndarray:
        """Return how alike the caption of the nearest training image is to each held-out caption, by TF-IDF: (images, texts)."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.neighbors import NearestNeighbors

        seen, asked = (np.stack([each.ravel() for each in rows.column("pixel_values")]) for rows in (train, held))
        known, texts = ([tokenizer.decode(ids, skip_special_tokens=True) for ids in rows.column("input_ids")] for rows in (train, held))
        nearest = NearestNeighbors(n_neighbors=1).fit(seen).kneighbors(asked, return_distance=False)[:, 0]
        counted = TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]").fit(known)
        return (counted.transform([known[place] for place in nearest]) @ counted.transform(texts).T).toarray()

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
