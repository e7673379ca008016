"""Load-balancing loss for mixtures of experts: without it the router favours few experts and leaves the others untrained."""

from typing import Any

WEIGHT = "router_aux_loss_coef"  # transformers' name, in the configs of all its models with a router


def asked(model: Any) -> dict:
    """Return the keyword arguments that make a model with a router return its router logits; {} for other models."""
    return {"output_router_logits": True} if _weight(model) else {}


def balanced(model: Any, result: Any, found: dict) -> dict:
    """Return `found` {"loss", "count"} with `balance` added to the loss; with even routing it equals the number of experts a token uses.

    Source: Fedus et al., Switch Transformers (2021), section 2.2.
    """
    if not _weight(model):
        return found
    balance = result.aux_loss * found["count"]
    return found | {"loss": found["loss"] + _weight(model) * balance, "balance": balance.detach()}


def _weight(model: Any) -> float:
    return getattr(model.config, WEIGHT, None) or 0.0
