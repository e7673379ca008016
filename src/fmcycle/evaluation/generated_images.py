"""Are the pictures that a diffusion model draws those that were asked for? A classifier trained on real ones says so."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation.figures import mean, rate
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.model.inputs import batched
from fmcycle.ranges import NonNegativeInt, PositiveFloat, PositiveInt


@dataclass
class GeneratedImages:
    """Share of drawn pictures that a classifier of real ones takes for their class; and what it is right in for real held-out ones.

    `drawn_nearest`: how far drawn pictures are from the nearest of the train split, a mean distance between numbers in [-1, 1]; much
    less than `baseline/real_nearest`, that of held-out ones, says that pictures of the train split are drawn again.

    data: (split, processor) -> rows with `pixel_values`, `classes`, and `input_ids` where the model follows a text: then captions of
    held-out rows are asked for. The classifier is a support vector machine (radial basis) on the numbers of the train split's pictures.
    """

    data: Callable
    split: str = "test"
    each: PositiveInt = 20
    steps: PositiveInt = 50
    guidance: PositiveFloat = 2.0
    batch_size: PositiveInt = 100
    seed: NonNegativeInt = 0

    def __call__(self, model, processor) -> dict[str, float]:
        from sklearn.neighbors import NearestNeighbors
        from sklearn.svm import SVC

        train, held = numbers(HeldOut(self.data, "train", processor)), HeldOut(self.data, self.split, processor)
        classifier, near = SVC(C=10.0).fit(*train), NearestNeighbors(n_neighbors=1).fit(train[0])
        pictures, labels = numbers(held)
        wanted, drawn = self.samples(model, held, labels)
        found = classifier.predict(drawn) == wanted
        metrics = rate("drawn_accuracy", found) | rate("baseline/real_accuracy", classifier.predict(pictures) == labels)
        for name, those in (("drawn_nearest", drawn), ("baseline/real_nearest", pictures)):
            metrics |= mean(name, near.kneighbors(those)[0][:, 0], seed=self.seed)
        for number, name in enumerate(held.source.classes):
            metrics |= rate(f"{name}/drawn_accuracy", found[wanted == number])
        return metrics

    def samples(self, model, held: HeldOut, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(class asked for (n,), pictures as rows of numbers): `each` of every class."""
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
    """(pictures as rows of numbers, their classes)."""
    return np.stack([each.ravel() for each in held.column("pixel_values")]), np.array(held.column("labels"))
