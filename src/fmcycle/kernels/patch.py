"""Other forwards for the layers and the last norm of a Llama, and its own again; parameters and state dict stay as they are."""

import types
from collections.abc import Callable
from typing import Any

from torch import nn

LLAMA = "transformers.models.llama.modeling_llama"


def rewrite(model: nn.Module, layer: Callable, norm: Callable) -> nn.Module:
    """Every decoder layer of transformers' Llama computes `layer`, its last norm `norm`; a subclass, which may compute else, stays."""
    module: Any
    for module in model.modules():
        kind = type(module)
        if kind.__module__ == LLAMA and kind.__name__ == "LlamaDecoderLayer":
            module.forward = types.MethodType(layer, module)
        elif kind.__module__ == LLAMA and kind.__name__ == "LlamaModel":
            module.norm.forward = types.MethodType(norm, module.norm)
    return model


def restore(model: nn.Module, *forwards: Callable) -> nn.Module:
    """Undo `rewrite` with any of `forwards`."""
    for module in model.modules():
        if getattr(module.__dict__.get("forward"), "__func__", None) in forwards:
            del module.forward
    return model
