"""Embeds texts or images: with an encoder and pooling, or with a CLIP, which puts both into one space."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from fmcycle.artifact import folder as artifact
from fmcycle.engine import inputs
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.model.inputs import batched, placed
from fmcycle.ranges import PositiveInt


class Embedding:
    """Returns vectors of length 1, so that a dot product is the cosine.

    pooling: over the tokens or patches of the last layer. null takes the pooling that `1_Pooling/config.json` in the folder names (the form
    of sentence-transformers), else the mean. Source: Reimers and Gurevych, Sentence-BERT (2019).
    """

    tasks = ("embed",)

    def __init__(self, folder: str, pooling: Literal["mean", "cls"] | None = None, batch: PositiveInt = 16, *, device=None, dtype=None):
        self.model, self.processor = model_store.load_model(folder, device, dtype)
        self.pooling, self.batch = pooling or pooling_of(Path(folder)), batch
        self.masks = hasattr(self.model.config, "mask_ratio")
        if self.masks:
            self.model.config.mask_ratio = 0.0  # a masked autoencoder embeds the whole image
        both = hasattr(self.model, "get_text_features")
        self.takes = ("text", "image") if both else ("image" if self.model.main_input_name == "pixel_values" else "text",)

    def warm_up(self) -> None:
        """Embed one text, so that the first client does not wait for lazy initialisation."""
        if "text" in self.takes:
            self.embed(["Hello"])

    @torch.inference_mode()
    def embed(self, items: list[str | bytes]) -> tuple[np.ndarray, int]:
        """Return ((n, d) float32, number of tokens) of texts (str) or images (bytes).

        Raises InputError for an item of a kind that the model does not read.
        """
        vectors: list[Any] = [None] * len(items)
        tokens = 0
        for kind in (str, bytes):
            chosen = [index for index, item in enumerate(items) if isinstance(item, kind)]
            for part_of in batched(chosen, self.batch):
                found, read = (self._texts if kind is str else self._pictures)([items[index] for index in part_of])
                tokens += read
                for index, vector in zip(part_of, torch.nn.functional.normalize(found.float(), dim=-1).cpu().numpy(), strict=True):
                    vectors[index] = vector
        return np.stack(vectors), tokens

    def _texts(self, texts: list) -> tuple[torch.Tensor, int]:
        if "text" not in self.takes:
            raise InputError("this model reads pictures, not texts")
        read, tokens = inputs.texts(self.model, self.processor, texts)
        given = placed(self.model, read)
        if "image" in self.takes:
            return self.model.get_text_features(**given).pooler_output, tokens
        return self._pooled(self.model.base_model(**given).last_hidden_state, given["attention_mask"]), tokens

    def _pictures(self, images: list) -> tuple[torch.Tensor, int]:
        if "image" not in self.takes:
            raise InputError("this model reads texts, not pictures")
        given: dict[str, Any] = placed(self.model, inputs.pictures(self.processor, images))
        if "text" in self.takes:
            return self.model.get_image_features(**given).pooler_output, 0
        if self.masks:
            patches = self.model.base_model.embeddings.patch_embeddings.num_patches
            given["noise"] = torch.arange(float(patches), device=self.model.device).expand(len(images), -1)
        hidden = self.model.base_model(**given).last_hidden_state
        return self._pooled(hidden, hidden.new_ones(hidden.shape[:2])), 0

    def _pooled(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.pooling == "cls":
            return hidden[:, 0]
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def pooling_of(folder: Path) -> Literal["mean", "cls"]:
    """Return the pooling that a model folder names. Raises InputError if it names another than the mean or the first token."""
    file = folder / "1_Pooling/config.json"
    if not file.is_file():
        return "mean"
    modes = [name for name, chosen in artifact.read_json(file).items() if name.startswith("pooling_mode_") and chosen]
    if modes == ["pooling_mode_cls_token"]:
        return "cls"
    if modes == ["pooling_mode_mean_tokens"]:
        return "mean"
    raise InputError(f"{file}: names {', '.join(modes) or 'no pooling'}; it must be pooling_mode_mean_tokens or pooling_mode_cls_token")
