"""Linear probe of an image encoder: logistic regression on its features, beside the same on raw pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from fmcycle.evaluation import control
from fmcycle.evaluation.figures import rate, row
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.model.inputs import batched, placed
from fmcycle.ranges import NonNegativeInt, PositiveInt
from fmcycle.statistics.interval import ratio


@dataclass
class Probe:
    """Accuracy of a linear probe on the last hidden states, of one on raw pixels, and the paired gain, with its interval over groups.

    data: (split, processor) -> rows with `pixel_values`, `labels` and `classes`. Features are computed without masking. The probes
    are trained on all standardised rows of the train split; those of `probe_accuracy@K` on one row of each of the first K = `shots` groups
    of every class (null: not measured). patches: true: the states of all patches, concatenated; false: their mean and
    the class token, without positions.
    `probe_accuracy_over_baseline`: minus the stronger of pixels and the most frequent class, over groups. Source: He et al. (2022).
    """

    data: Callable
    split: str = "test"
    shots: PositiveInt | None = 5
    patches: bool = True
    batch_size: PositiveInt = 128
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = ("pixels", "most_frequent")

    def __call__(self, model, processor) -> dict[str, float]:
        train, test = (HeldOut(self.data, split, processor) for split in ("train", self.split))
        (seen, labels), (held_out, wanted), group = gathered(train), gathered(test), groups(test.source)
        features = self.features(model, seen), self.features(model, held_out)
        pixels = seen.reshape(len(seen), -1), held_out.reshape(len(held_out), -1)
        metrics: dict[str, float] = {}
        for shots in (None, *([self.shots] if self.shots else [])):
            kept, name = few(labels, shots, groups(train.source)), "" if shots is None else f"@{shots}"
            own, raw = (correct(each[0][kept], each[1], labels[kept], wanted) for each in (features, pixels))
            more, of = np.bincount(group, own.astype(float) - raw), np.bincount(group)
            metrics |= rate(f"probe_accuracy{name}", own) | rate(f"baseline/pixels_accuracy{name}", raw)
            often = wanted == np.bincount(labels).argmax()
            others = {"pixels": np.bincount(group, raw) / of, "most_frequent": np.bincount(group, often) / of}
            metrics |= control.over_strongest(f"probe_accuracy{name}", np.bincount(group, own) / of, others, seed=self.seed)
            metrics |= rate(f"baseline/most_frequent_accuracy{name}", often)
            metrics |= row(f"probe_gain{name}", *ratio(more, of, resamples=self.resamples, seed=self.seed), len(of))
        return metrics

    @torch.no_grad()
    def features(self, model, pictures: np.ndarray) -> np.ndarray:
        """Return the features (images, patches * width) or (images, 2 * width)."""
        encoder, found = getattr(model, "vit", model), []
        if hasattr(encoder.config, "mask_ratio"):
            encoder.config.mask_ratio, masked = 0.0, encoder.config.mask_ratio
        try:
            for pixels in batched(pictures, self.batch_size):
                part = placed(model, torch.from_numpy(pixels))
                count = (part.shape[-1] // encoder.config.patch_size) ** 2  # without this noise a masked autoencoder shuffles patches
                noise = torch.arange(count, device=part.device).float().expand(len(part), -1)
                order = {"noise": noise} if hasattr(encoder.config, "mask_ratio") else {}
                hidden = encoder(pixel_values=part, **order).last_hidden_state
                kept = hidden[:, 1:].flatten(1) if self.patches else torch.cat([hidden[:, 0], hidden[:, 1:].mean(1)], 1)
                found.append(kept.float().cpu().numpy())
        finally:
            if hasattr(encoder.config, "mask_ratio"):
                encoder.config.mask_ratio = masked
        return np.concatenate(found)


def gathered(held: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Return (images (n, C, H, W), their classes (n,))."""
    return np.stack(held.column("pixel_values")), np.array(held.column("labels"))


def groups(rows) -> np.ndarray:
    """Return the number of each row's group (n,): variants of one thing, such as an emoji in six skin tones, are one independent unit.

    Without a column `group` each row is its own group.
    """
    frame = getattr(rows, "frame", None)
    names = range(len(rows)) if frame is None or "group" not in frame.columns else frame["group"].to_list()
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names])


def few(labels: np.ndarray, shots: int | None, group: np.ndarray) -> np.ndarray:
    """Return the first row of each of the first `shots` groups of every class; all rows if `shots` is None."""
    if shots is None:
        return np.arange(len(labels))
    first = np.sort(np.unique(np.stack([labels, group]), axis=1, return_index=True)[1])
    return np.sort(np.concatenate([first[labels[first] == name][:shots] for name in np.unique(labels)]))


def correct(seen: np.ndarray, held_out: np.ndarray, labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return whether logistic regression trained on `seen` is right on each of `held_out`: (held_out,) bool."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(seen, labels).predict(held_out) == wanted


def example() -> dict:
    """Return a masked autoencoder."""
    from fmcycle.config.example import drawings
    from fmcycle.objective import masked_patch

    return {"model": masked_patch.example()["model"], **drawings()}
