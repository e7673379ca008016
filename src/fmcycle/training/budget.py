"""Training budget: steps, batch size, precision, seed and learning-rate schedule. Part of a run's identity."""

import math
from dataclasses import dataclass
from typing import Literal

from fmcycle.ranges import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt


@dataclass
class Budget:
    """`global_batch`: rows of one optimizer step over all devices; `warmup`, `decay`: shares of max_steps; `clip` 0: no clipping.

    `max_steps` 0: writes the initial model without training.
    `validate_every`: steps between two validations on the first `validation_rows` rows of the split; 0: only at the end.
    `nonfinite`: a step whose loss or gradient is not finite stops the run, or is skipped and counted ("skip").
    """

    max_steps: NonNegativeInt
    global_batch: PositiveInt
    seed: NonNegativeInt = 0
    precision: Literal["32-true", "bf16-mixed", "bf16-true"] = "32-true"
    schedule: Literal["constant", "cosine", "wsd"] = "wsd"
    warmup: Fraction = 0.03
    decay: Fraction = 0.4
    min_lr_ratio: Fraction = 0.0
    clip: NonNegativeFloat = 1.0
    validate_every: NonNegativeInt = 0
    validation_rows: PositiveInt = 64
    nonfinite: Literal["stop", "skip"] = "stop"

    def rate(self, step: int) -> float:
        """Return the factor on the learning rate, min_lr_ratio..1, at optimizer step `step` of 0..max_steps-1.

        wsd: warm-up, stable, linear decay over the last `decay` (Hu et al., 2024); cosine: Loshchilov and Hutter (2017).
        """
        warm = min(1.0, (step + 1) / max(1.0, self.warmup * self.max_steps))
        if self.schedule == "wsd":
            fall = min(1.0, (self.max_steps - step) / max(1.0, self.decay * self.max_steps))
        elif self.schedule == "cosine":
            fall = 0.5 + 0.5 * math.cos(math.pi * step / self.max_steps)
        else:
            fall = 1.0
        return warm * (self.min_lr_ratio + (1 - self.min_lr_ratio) * fall)
