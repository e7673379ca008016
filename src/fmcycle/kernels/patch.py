"""Replaces and restores the forwards of a Llama's layers and last norm; parameters and state dict are unchanged."""

import types
from collections.abc import Callable
from typing import Any

from torch import nn

LLAMA = "transformers.models.llama.modeling_llama"


def rewrite(model: nn.Module, layer: Callable, norm: Callable) -> nn.Module:
    """Make every decoder layer of transformers' Llama run `layer`, and its last norm `norm`; subclasses, which may differ, stay."""
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
