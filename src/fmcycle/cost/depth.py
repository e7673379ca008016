"""Extends what a step of a few layers takes to a model of many equal ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from fmcycle.kernels.patch import LLAMA

FEW = (2, 3)  # numbers of layers that run
DEEP = 8  # a model of more layers is extended


@dataclass
class Amounts:
    """Of one step, in bytes: peaks of forward, backward and update above the model; gradients, the optimizer's state, and the peak of
    small tensors. micro, work: amounts of each kind of work, of the micro-batch and of the optimizer."""

    forward: int
    backward: int
    update: int
    gradients: int
    optimizer: int
    small: int
    micro: dict[str, float]
    work: dict[str, float]


def extended(model: nn.Module, run: Callable[[], Amounts]) -> Amounts:
    """Return the amounts of `run` on `model`. Of a Llama of many equal layers only FEW run, because every amount grows by the same with
    each of them.

    The backward's peak may move from its beginning to its end: its growth is the larger of the two, so that it is never too small.
    """
    decoder: Any = _equal(model)
    if decoder is None:
        return run()
    layers, found = decoder.layers, []
    try:
        for count in FEW:
            decoder.layers = nn.ModuleList(list(layers)[:count])
            found.append(run())
    finally:
        decoder.layers = layers
    few, more = found
    steps, wide = (len(layers) - FEW[1]), FEW[1] - FEW[0]

    def at(name: str) -> int:
        return getattr(more, name) + (getattr(more, name) - getattr(few, name)) * steps // wide

    def of(name: str) -> dict[str, float]:
        first, second = getattr(few, name), getattr(more, name)
        return {kind: second[kind] + (second[kind] - first[kind]) * steps / wide for kind in second}

    growth = max(getattr(more, name) - getattr(few, name) for name in ("forward", "backward", "gradients"))
    rest = {name: at(name) for name in ("forward", "update", "gradients", "optimizer", "small")}
    return Amounts(**rest, backward=more.backward + growth * steps // wide, micro=of("micro"), work=of("work"))


def _equal(model: nn.Module) -> Any:
    """Return the part of a Llama that has its layers, if they are many and equal in shapes and in what is trained; else None."""
    module: Any
    for module in model.modules():
        if type(module).__module__ == LLAMA and type(module).__name__ == "LlamaModel" and len(module.layers) > DEEP:
            return module if len({_shape(layer) for layer in module.layers}) == 1 else None
    return None


def _shape(layer: nn.Module) -> tuple:
    own = tuple((name, tuple(weight.shape), weight.requires_grad) for name, weight in layer.named_parameters())
    return own, tuple((name, type(module)) for name, module in layer.named_modules())
