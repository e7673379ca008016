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
    chosen answer's negative log-likelihood per token, which keeps it likely (Pang et al., 2024, Iterative Reasoning Preference
    Optimization, eq. 1): the margin alone also grows while both answers become less likely.
    Metrics: `accuracy`, the share of pairs whose margin grew, and by how many nats an answer's log-probability changed,
    `chosen_logp_change` and `rejected_logp_change`.
    """

    columns = ("reference_chosen", "reference_rejected")

    beta: PositiveFloat = 0.1
    label_smoothing: Fraction = 0.0
    sft_weight: NonNegativeFloat = 0.0

    def __call__(self, model, batch):
        chosen, rejected = logps(model, batch["chosen"]), logps(model, batch["rejected"])
        gained, lost = chosen - batch["reference_chosen"], rejected - batch["reference_rejected"]
        margin = gained - lost
        loss = -(1 - self.label_smoothing) * F.logsigmoid(self.beta * margin) - self.label_smoothing * F.logsigmoid(-self.beta * margin)
        loss = loss - self.sft_weight * chosen / (batch["chosen"]["labels"][:, 1:] != -100).sum(-1)
        accuracy = (1 + margin.detach().sign()).sum() / 2  # no change counts a half
        changes = {"chosen_logp_change": gained.sum(), "rejected_logp_change": lost.sum()}
        return {"loss": loss.sum(), "count": len(margin), "accuracy": accuracy} | changes

    @staticmethod
    def reference_chosen(model, batch) -> Tensor:
        """Return log p(chosen) under a reference model: (B,)."""
        return logps(model, batch["chosen"])

    @staticmethod
    def reference_rejected(model, batch) -> Tensor:
        """Return log p(rejected) under a reference model: (B,)."""
        return logps(model, batch["rejected"])


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
    reference = {"reference_chosen": torch.linspace(-1, 1, 8), "reference_rejected": torch.zeros(8)}
    return {"model": decoder(), "batch": {"chosen": chosen, "rejected": rejected} | reference}
