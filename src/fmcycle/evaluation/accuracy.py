"""Accuracy of a classifier, beside classic baselines on the same rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.errors import InputError
from fmcycle.evaluation.baseline import baselines
from fmcycle.evaluation.figures import rate
from fmcycle.model.inputs import batched, given, placed
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class Accuracy:
    """Accuracy on held-out rows, of the model and of the `baselines` trained on the same train split.

    data: (split, processor) -> rows with `classes`. `baseline`: most training rows of the baselines; 0: no baselines. `each`: also
    report the accuracy of every class.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 2000
    baseline: NonNegativeInt = 20000
    batch_size: PositiveInt = 64
    each: bool = False

    def __call__(self, model, processor) -> dict[str, float]:
        rows = self.data(self.split, processor)
        own = [model.config.id2label[index] for index in sorted(model.config.id2label)]
        if own != rows.classes:
            raise InputError(f"the model names {', '.join(own)}, data.classes {', '.join(rows.classes)}: use the data it was trained on")
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: self.limit])
        held_out = [rows[int(index)] for index in chosen]
        labels = np.array([each["labels"] for each in held_out])
        right = self.predicted(model, rows, held_out) == labels
        metrics = rate("accuracy", right)
        if self.each:
            for number, name in enumerate(rows.classes):
                metrics |= rate(f"{name}/accuracy", right[labels == number])
        if not self.baseline:
            return metrics
        train = self.data("train", processor)
        seen = [train[int(index)] for index in np.random.default_rng(0).permutation(len(train))[: self.baseline]]
        known = np.array([each["labels"] for each in seen])
        for name, found in baselines(seen, known, held_out, processor).items():
            metrics |= rate(f"baseline/{name}_accuracy", found == labels)
        return metrics

    @torch.no_grad()
    def predicted(self, model, rows, held_out: list[dict]) -> np.ndarray:
        """Return the most likely class of each row: (rows,)."""
        found = []
        for part in batched(held_out, self.batch_size):
            found.append(model(**placed(model, given(model, rows.collate(part)))).logits.argmax(-1).cpu().numpy())
        return np.concatenate(found)


def example() -> dict:
    """Return a classifier of images; no baselines."""
    from transformers import ViTConfig, ViTForImageClassification

    from fmcycle.config.example import SIZES, drawings

    config = ViTConfig(**SIZES, image_size=8, patch_size=4, num_channels=1, id2label=dict(enumerate(("cat", "dog", "owl"))))
    return {"model": ViTForImageClassification(config), "settings": {"baseline": 0}, **drawings()}
