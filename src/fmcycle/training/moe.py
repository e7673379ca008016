"""Mixtures of experts: a router that favours few of them leaves the others untrained, so how even it is belongs to the loss."""

from typing import Any

WEIGHT = "router_aux_loss_coef"  # transformers' name, in the configs of all its models with a router


def asked(model: Any) -> dict:
    """What the forward of a model with a router is asked for beside its logits."""
    return {"output_router_logits": True} if _weight(model) else {}


def balanced(model: Any, result: Any, found: dict) -> dict:
    """`found` {"loss", "count"} with `balance` in the loss: where all are used alike, the number of experts that a token goes through.

    Source: Fedus et al., Switch Transformers (2021), section 2.2.
    """
    if not _weight(model):
        return found
    balance = result.aux_loss * found["count"]
    return found | {"loss": found["loss"] + _weight(model) * balance, "balance": balance.detach()}


def _weight(model: Any) -> float:
    return getattr(model.config, WEIGHT, None) or 0.0
