"""What an encoder of pictures has learnt without labels: logistic regression on its features, beside the same on raw pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation.interval import bootstrap, rate, row
from fmcycle.number import NonNegativeInt, PositiveInt


@dataclass
class Probe:
    """Accuracy of a linear probe on the mean of the last hidden states, of one on raw pixels, and the gain, by paired bootstrap.

    data: (split, processor) -> rows with `pixel_values`, `labels` and `classes`. Nothing is masked while features are made. The probes
    learn from the first `shots` rows of each class of the train split (null: all of them), standardised. Source: He et al. (2022).
    """

    data: Callable
    split: str = "test"
    shots: PositiveInt | None = None
    batch_size: PositiveInt = 128
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    def __call__(self, model, processor) -> dict[str, float]:
        train, test = (gathered(self.data(split, processor)) for split in ("train", self.split))
        if self.shots is not None:
            kept = np.concatenate([np.flatnonzero(train[1] == name)[: self.shots] for name in np.unique(train[1])])
            train = train[0][kept], train[1][kept]
        raw = correct(train[0].reshape(len(train[0]), -1), test[0].reshape(len(test[0]), -1), train[1], test[1])
        own = correct(self.features(model, train[0]), self.features(model, test[0]), train[1], test[1])
        gain = bootstrap(own.astype(float) - raw, resamples=self.resamples, seed=self.seed)
        return rate("probe_accuracy", own) | rate("baseline/pixels_accuracy", raw) | row("probe_gain", *gain, len(own))

    @torch.no_grad()
    def features(self, model, pictures: np.ndarray) -> np.ndarray:
        """Mean and class token of the encoder's last hidden states: (pictures, 2 * width)."""
        encoder, found = getattr(model, "vit", model), []
        if hasattr(encoder.config, "mask_ratio"):
            encoder.config.mask_ratio, masked = 0.0, encoder.config.mask_ratio
        try:
            for begin in range(0, len(pictures), self.batch_size):
                part = torch.from_numpy(pictures[begin : begin + self.batch_size]).to(model.device)
                hidden = encoder(pixel_values=part).last_hidden_state
                found.append(torch.cat([hidden[:, 0], hidden[:, 1:].mean(1)], 1).float().cpu().numpy())
        finally:
            if hasattr(encoder.config, "mask_ratio"):
                encoder.config.mask_ratio = masked
        return np.concatenate(found)


def gathered(rows) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (n, C, H, W), their classes (n,))."""
    every = [rows[index] for index in range(len(rows))]
    return np.stack([each["pixel_values"] for each in every]), np.array([each["labels"] for each in every])


def correct(seen: np.ndarray, held_out: np.ndarray, labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of `held_out` logistic regression on `seen` gets right: (held_out,) bool."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(seen, labels).predict(held_out) == wanted
