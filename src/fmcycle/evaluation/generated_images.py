"""Checks with a classifier trained on real images whether a diffusion model generates the requested class."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation import control
from fmcycle.evaluation.figures import mean, rate
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.model.inputs import batched
from fmcycle.ranges import NonNegativeInt, PositiveFloat, PositiveInt


@dataclass
class GeneratedImages:
    """`drawn_accuracy`: share of generated images classified as the requested class; `baseline/real_accuracy`: of real held-out images.

    `drawn_nearest`: mean distance (pixels in [-1, 1]) of generated images to the nearest image of the train split. If it is far below
    `baseline/real_nearest`, that of held-out images, the model reproduces images of the train split.

    `drawn_accuracy_over_baseline`: minus `baseline/chance_accuracy`, that of any picture; the real one is what could be reached.

    data: (split, processor) -> rows with `pixel_values`, `classes`, and `input_ids` if texts condition the model, which then gets
    captions of held-out rows. The classifier is a support vector machine (radial basis) on the pixels of the train split.
    """

    data: Callable
    split: str = "test"
    each: PositiveInt = 20
    steps: PositiveInt = 50
    guidance: PositiveFloat = 2.0
    batch_size: PositiveInt = 100
    seed: NonNegativeInt = 0

    baselines = ("chance", "real")

    def __call__(self, model, processor) -> dict[str, float]:
        from sklearn.neighbors import NearestNeighbors
        from sklearn.svm import SVC

        train, held = numbers(HeldOut(self.data, "train", processor)), HeldOut(self.data, self.split, processor)
        classifier, near = SVC(C=10.0).fit(*train), NearestNeighbors(n_neighbors=1).fit(train[0])
        pictures, labels = numbers(held)
        wanted, drawn = self.samples(model, held, labels)
        found = classifier.predict(drawn) == wanted
        metrics = rate("drawn_accuracy", found) | rate("baseline/real_accuracy", classifier.predict(pictures) == labels)
        random = np.full(len(found), 1 / len(held.source.classes))
        metrics |= mean("baseline/chance_accuracy", random) | control.over_strongest("drawn_accuracy", found, {"chance": random})
        for name, those in (("drawn_nearest", drawn), ("baseline/real_nearest", pictures)):
            metrics |= mean(name, near.kneighbors(those)[0][:, 0], seed=self.seed)
        for number, name in enumerate(held.source.classes):
            metrics |= rate(f"{name}/drawn_accuracy", found[wanted == number])
        return metrics

    def samples(self, model, held: HeldOut, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (requested class (n,), generated images as rows of pixels), `each` of every class."""
        generator, asked = torch.Generator().manual_seed(self.seed), np.repeat(np.arange(len(held.source.classes)), self.each)
        drawn = []
        for part in batched(asked, self.batch_size):
            if model.text_encoder is None:
                condition = {"labels": torch.from_numpy(part)}
            else:
                of_class = [np.flatnonzero(labels == number) for number in part]
                chosen = [held.rows[int(places[index % len(places)])] for index, places in enumerate(of_class)]
                condition = {"input_ids": held.source.collate(chosen)["input_ids"]}
            made = model.sample(len(part), condition, steps=self.steps, guidance=self.guidance, generator=generator)
            drawn.append(made.flatten(1).float().cpu().numpy())
        return asked, np.concatenate(drawn)


def numbers(held: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Return (images as rows of pixels, their classes)."""
    return np.stack([each.ravel() for each in held.column("pixel_values")]), np.array(held.column("labels"))


def example() -> dict:
    """Return a diffusion model of three classes, and the fewest steps."""
    from fmcycle.config.example import drawings
    from fmcycle.objective import denoising

    model = denoising.example()["model"]
    model.config.id2label = dict(enumerate(("cat", "dog", "owl")))
    return {"model": model, "settings": {"each": 1, "steps": 2}, **drawings()}
