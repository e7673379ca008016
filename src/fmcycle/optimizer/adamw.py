"""Fused AdamW with weight decay on matrices only."""

import torch
from torch import nn

from fmcycle.optimizer.group import split
from fmcycle.ranges import Fraction, NonNegativeFloat, PositiveFloat


def adamw(
    model: nn.Module,
    *,
    lr: PositiveFloat = 1e-3,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.95,
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.1,
) -> torch.optim.Optimizer:
    """Return AdamW over the trainable parameters of `model`; embeddings, norms and biases get no weight decay.

    Source: Loshchilov and Hutter (2019).
    """
    kinds = split(model)
    groups = [
        {"params": kinds["matrix"], "weight_decay": weight_decay},
        {"params": kinds["embedding"] + kinds["vector"], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, betas=(beta1, beta2), eps=eps, fused=True)
