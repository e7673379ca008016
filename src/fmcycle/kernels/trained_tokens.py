"""Embedding and output layer of a frozen matrix of which peft trains single rows, without a copy of the matrix.

peft (`trainable_token_indices`) copies the whole matrix at every forward to write the trained rows into it, and its backward makes a
gradient of the matrix's size. Here the rows replace the frozen ones in the result: a lookup takes them at their tokens, a product of the
output layer at their columns. Parameters, state dict and the saved adapter are peft's.
"""

import types
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmcycle.kernels.patch import restore

Output = tuple[Tensor, Tensor | None, Tensor | None]  # weight (V, D), trained rows (k, D), their places (k,)


def fuse(model: nn.Module) -> nn.Module:
    """Make peft's layers of trained token rows run `_forward`; other modules stay unchanged."""
    module: Any
    for module in model.modules():
        if _trains_rows(module) and isinstance(module.base_layer, nn.Embedding | nn.Linear):
            module.forward = types.MethodType(_forward, module)
    return model


def plain(model: nn.Module) -> nn.Module:
    """Undo `fuse`."""
    return restore(model, _forward)


def output(head: Any) -> Output | None:
    """Return (weight (V, D), trained rows (k, D), their places (k,)) of an output layer without bias; None for any other module.

    The trained rows replace those of `weight`; None if it has none.
    """
    if isinstance(head, nn.Linear):
        return (head.weight, None, None) if head.bias is None else None
    layer = getattr(head, "token_adapter", None)
    base = getattr(layer, "base_layer", None)
    if layer is None or not isinstance(base, nn.Linear) or base.bias is not None or base.weight.requires_grad:
        return None
    return (base.weight, *_rows(layer))


def product(hidden: Tensor, weight: Tensor, trained: Tensor | None, places: Tensor | None) -> Tensor:
    """Return hidden (..., D) times the weight (V, D), whose rows `places` (k,) are `trained` (k, D): (..., V)."""
    logits = F.linear(hidden, weight)
    if trained is None or places is None:
        return logits
    return logits.index_copy_(-1, places, F.linear(hidden, trained.to(weight.dtype)).to(logits.dtype))


def _trains_rows(module: Any) -> bool:
    return hasattr(module, "trainable_tokens_delta") and hasattr(module, "token_indices")


def _rows(layer: Any) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Return (trained rows, their places) of the active adapters of peft's layer; None if they don't apply."""
    active = [name for name in layer.active_adapters if name in layer.trainable_tokens_delta]
    if layer.merged or layer.disable_adapters or not active:
        return None, None
    trained = torch.cat([layer.trainable_tokens_delta[name] for name in active])
    return trained, torch.tensor([place for name in active for place in layer.token_indices[name]], device=trained.device)


def _forward(self, x: Tensor, *args, **kwargs) -> Tensor:
    """TrainableTokensLayer.forward."""
    base = self.base_layer
    if base.weight.requires_grad or getattr(base, "bias", None) is not None or getattr(base, "max_norm", None) is not None:
        return type(self).forward(self, x, *args, **kwargs)
    trained, places = _rows(self)
    if trained is None or places is None:
        return type(self).forward(self, x, *args, **kwargs)
    self._check_overlapping_tokens(self.active_adapters)
    if isinstance(base, nn.Linear):
        return product(x, base.weight, trained, places)
    found = base(x)
    scale = self._get_embed_scale()  # of embeddings that multiply what they look up
    trained = trained.to(base.weight.dtype) if scale is None else (trained * scale).to(base.weight.dtype)
    same = x.unsqueeze(-1) == places
    return torch.where(same.any(-1, keepdim=True), F.embedding(same.int().argmax(-1), trained), found)
