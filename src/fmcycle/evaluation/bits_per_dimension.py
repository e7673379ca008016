"""Bits per dimension of a decoder on held-out images, beside a histogram of each pixel."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from fmcycle.evaluation.figures import mean
from fmcycle.evaluation.held_out import HeldOut
from fmcycle.model.inputs import batched
from fmcycle.ranges import NonNegativeInt, PositiveInt


@dataclass
class BitsPerDimension:
    """Bits per pixel of held-out images, of the model and of a histogram for each pixel position (add-one smoothing).

    data: (split, processor) -> rows of `input_ids`: a start token, then levels.
    `bits_per_dimension_over_baseline`: the model minus the histogram, paired; below 0 is better.
    n: pixels; interval: bootstrap over images.
    Source: Chen et al., Image GPT (2020).
    """

    data: Callable
    split: str = "test"
    limit: PositiveInt = 1000
    batch_size: PositiveInt = 64
    resamples: PositiveInt = 1000
    seed: NonNegativeInt = 0

    baselines = ("histogram",)

    def __call__(self, model, processor) -> dict[str, float]:
        train, test = (
            np.array(HeldOut(self.data, split, processor, limit).column("input_ids"), dtype=np.int64)
            for split, limit in (("train", None), (self.split, self.limit))
        )
        counts = np.stack([np.bincount(column, minlength=model.config.vocab_size - 1) + 1 for column in train[:, 1:].T])
        share = counts / counts.sum(1, keepdims=True)
        counted = -np.log2(share[np.arange(share.shape[0]), test[:, 1:]]).sum(1)
        sizes = [test.shape[1] - 1] * len(test)
        given = self.bits(model, torch.from_numpy(test))
        options = {"resamples": self.resamples, "seed": self.seed}
        found = {"bits_per_dimension": given, "baseline/histogram_bits_per_dimension": counted}
        over = mean("bits_per_dimension_over_baseline", given - counted, sizes, **options)
        return {key: value for name, bits in found.items() for key, value in mean(name, bits, sizes, **options).items()} | over

    @torch.no_grad()
    def bits(self, model, pictures: torch.Tensor) -> np.ndarray:
        """Return the bits of each image under the model: (images,)."""
        found = []
        for part in batched(pictures.to(model.device), self.batch_size):
            logits = model(input_ids=part[:, :-1], use_cache=False).logits.float()
            nats = F.cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none").sum(1)
            found.append(nats.cpu().numpy() / np.log(2))
        return np.concatenate(found)


def example() -> dict:
    """Return a decoder of four grey levels."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from fmcycle.config.example import drawings

    config = GPT2Config(vocab_size=5, n_embd=32, n_layer=2, n_head=2, n_positions=65, bos_token_id=4, eos_token_id=4)
    return {"model": GPT2LMHeadModel(config), **drawings(), "option": "pixels", "data": {"format": {"count": 4}}}
