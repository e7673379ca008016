"""Direct Preference Optimization."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from fmcycle.kernels import linear_cross_entropy
from fmcycle.ranges import Fraction, NonNegativeFloat, PositiveFloat


@dataclass
class DPO:
    """Raise the log-probability of chosen over rejected answers against a reference (Rafailov et al., 2023, eq. 7).

    `label_smoothing`: assumed share of pairs with swapped labels (Mitchell, 2023). `sft_weight`: weight of the
    chosen answer's negative log-likelihood per token, which keeps it likely (Pang et al., 2024, eq. 1).
    """

    columns = ("reference_margin",)

    beta: PositiveFloat = 0.1
    label_smoothing: Fraction = 0.0
    sft_weight: NonNegativeFloat = 0.0

    def __call__(self, model, batch):
        chosen, rejected = logps(model, batch["chosen"]), logps(model, batch["rejected"])
        margin = chosen - rejected - batch["reference_margin"]
        loss = -(1 - self.label_smoothing) * F.logsigmoid(self.beta * margin) - self.label_smoothing * F.logsigmoid(-self.beta * margin)
        loss = loss - self.sft_weight * chosen / (batch["chosen"]["labels"][:, 1:] != -100).sum(-1)
        return {"loss": loss.sum(), "count": len(margin), "accuracy": (margin > 0).sum()}

    @staticmethod
    def reference_margin(model, batch) -> Tensor:
        """Return log p(chosen) - log p(rejected) under a reference model: (B,)."""
        return logps(model, batch["chosen"]) - logps(model, batch["rejected"])


def logps(model, side: dict[str, Tensor]) -> Tensor:
    """Return the log-probability of each row's labelled tokens: (B,)."""
    output = model(input_ids=side["input_ids"], use_cache=False).logits
    return linear_cross_entropy.log_probabilities(output[:, :-1], model.get_output_embeddings(), side["labels"][:, 1:])


def example() -> dict:
    """Return a decoder with pairs of answers."""
    import torch

    from fmcycle.config.example import decoder, tokens

    chosen = tokens()
    rejected = {name: column.flip(0) for name, column in chosen.items()}
    return {"model": decoder(), "batch": {"chosen": chosen, "rejected": rejected, "reference_margin": torch.linspace(-1, 1, 8)}}
