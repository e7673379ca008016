"""Accuracy of a classifier, beside classic baselines on the same rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.errors import InputError
from fmcycle.evaluation import control
from fmcycle.evaluation.baseline import baselines
from fmcycle.evaluation.figures import rate
from fmcycle.model.inputs import batched, given, placed
from fmcycle.processor.components import tokenizer_of
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class Accuracy:
    """Accuracy on held-out rows, of the model and of the `baselines` trained on the same train split.

    data: (split, processor) -> rows with `classes`, all of which the model knows. `baseline`: most training rows of the baselines; 0: only
    the most frequent class of the held-out rows. `each`: also report the accuracy of every class. `answered`: its answers.
    `accuracy_over_baseline`: the model minus the strongest of them, paired over rows.
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 2000
    baseline: NonNegativeInt = 20000
    batch_size: PositiveInt = 64
    each: bool = False

    baselines = ("most_frequent", "regression", "ridge", "nearest_neighbour", "k_means")

    def __call__(self, model, processor) -> dict[str, float]:
        rows = self.data(self.split, processor)
        own = [model.config.id2label[index] for index in sorted(model.config.id2label)]
        if strange := [name for name in rows.classes if name not in own]:
            raise InputError(f"the model names {', '.join(own)}; the rows' {', '.join(strange)} is none of them: use data with its classes")
        place = np.array([own.index(name) for name in rows.classes])
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: self.limit])
        held_out = [rows[int(index)] for index in chosen]
        labels = place[[each["labels"] for each in held_out]]
        found = self.predicted(model, rows, held_out)
        right = found == labels
        self.answered = [
            {"id": f"row {number}", "task": "class", "prompt": self.text(each, processor), "refused": False}
            | {"expected": own[label], "answer": own[answer]}
            for number, each, label, answer in zip(chosen, held_out, labels, found, strict=True)
        ]
        metrics = rate("accuracy", right)
        if self.each:
            for number, name in zip(place, rows.classes, strict=True):
                metrics |= rate(f"{name}/accuracy", right[labels == number])
        if not self.baseline:
            often = labels == np.bincount(labels).argmax()
            often_rate = rate("baseline/most_frequent_accuracy", often)
            return metrics | often_rate | control.over_strongest("accuracy", right, {"most_frequent": often})
        train = self.data("train", processor)
        seen = [train[int(index)] for index in np.random.default_rng(0).permutation(len(train))[: self.baseline]]
        known = place[[each["labels"] for each in seen]]
        others = {name: found == labels for name, found in baselines(seen, known, held_out, processor).items()}
        for name, found in others.items():
            metrics |= rate(f"baseline/{name}_accuracy", found)
        return metrics | control.over_strongest("accuracy", right, others)

    @staticmethod
    def text(row: dict, processor) -> str:
        """Return the text of a row; "" for an image or a sound."""
        return tokenizer_of(processor).decode(row["input_ids"], skip_special_tokens=True) if "input_ids" in row else ""

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
