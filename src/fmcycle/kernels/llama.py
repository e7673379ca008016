"""A Llama layer in fp32, faster and in less memory than operation by operation; parameters and state dict are unchanged.

One product computes queries, keys and values; products include the residual sums; elementwise work runs on rows that are still in the
processor's cache. The backward recomputes cheap values (norms, silu(gate) * up), and a frozen matrix gets no gradient. transformers' own
code runs for any other model (another architecture, biases, half precision), with a cache of keys, and while a model is compiled.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from fmcycle.kernels.patch import restore, rewrite
from fmcycle.kernels.rowwise import Norm, gated, gated_backward, normalise, normalise_backward, rotate


def fuse(model: nn.Module) -> nn.Module:
    """Rewrite the decoder layers and the last norm of a Llama without adapters; any other model stays unchanged."""
    return model if hasattr(model, "peft_config") else rewrite(model, _layer, _norm)


def plain(model: nn.Module) -> nn.Module:
    """Undo `fuse`."""
    return restore(model, _layer, _norm)


def _simple(*tensors: Tensor) -> bool:
    first = tensors[0]
    return first.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and all(tensor.dtype == torch.float32 for tensor in tensors)


def _norm(self, hidden_states: Tensor) -> Tensor:
    if torch.compiler.is_compiling() or not _simple(hidden_states, self.weight):
        return type(self).forward(self, hidden_states)
    return Norm.apply(hidden_states, self.weight, self.variance_epsilon)


def _layer(self, hidden_states: Tensor, attention_mask=None, position_embeddings=None, past_key_values=None, **kwargs) -> Tensor:
    """LlamaDecoderLayer.forward; with gradient checkpointing, `_fused` is wrapped as transformers wraps its forward."""
    weights = None if torch.compiler.is_compiling() or past_key_values is not None else _weights(self)
    if weights is None or not _simple(hidden_states, *weights):
        rest = {"attention_mask": attention_mask, "position_embeddings": position_embeddings, "past_key_values": past_key_values}
        return type(self).forward(self, hidden_states, **rest, **kwargs)
    run = functools.partial(_fused, self, weights, attention_mask, position_embeddings, kwargs)
    return self._gradient_checkpointing_func(run, hidden_states) if self.gradient_checkpointing and self.training else run(hidden_states)


def _fused(layer: Any, weights: list[Tensor], attention_mask, position_embeddings, kwargs: dict, hidden_states: Tensor) -> Tensor:
    """Compute the layer in three functions around the attention, which goes through transformers' interface."""
    from transformers.models.llama.modeling_llama import ALL_ATTENTION_FUNCTIONS, eager_attention_forward

    attention, (first, q, k, v, o, second, gate, up, down) = layer.self_attn, weights
    eps = layer.input_layernorm.variance_epsilon
    *parts, hidden_states = Projections.apply(hidden_states, first, eps, *position_embeddings, attention.head_dim, q, k, v)
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, eager_attention_forward)
    dropout = attention.attention_dropout if layer.training else 0.0
    attended = attend(attention, *parts, attention_mask, dropout=dropout, scaling=attention.scaling, **kwargs)[0]
    hidden_states = Added.apply(attended.flatten(2), hidden_states, o)
    return MLP.apply(hidden_states, second, eps, gate, up, down)


def _weights(layer: Any) -> list[Tensor] | None:
    """Return the layer's nine weights in the order of their use; None if it has other modules or is not gated by silu."""
    attention, mlp = layer.self_attn, layer.mlp
    linear = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    if mlp.config.hidden_act != "silu" or any(type(module) is not nn.Linear or module.bias is not None for module in linear):
        return None
    weights = [module.weight for module in linear]
    return [layer.input_layernorm.weight, *weights[:4], layer.post_attention_layernorm.weight, *weights[4:]]


class Projections(torch.autograd.Function):
    """Norm, then queries, keys and values, rotated: (B, T, D) to three of (B, heads, T, head), and the input as a fourth output.

    Saves only its input. The backward adds the residual's gradient while the norm's is still in the cache.
    """

    @staticmethod
    def forward(ctx, hidden, weight, eps, cos, sin, head, *weights):
        batch, length, width = hidden.shape
        x, scale = normalise(hidden.reshape(-1, width), weight, eps)
        both = (x @ torch.cat(weights).T).view(batch, length, -1, head)
        q, k, v = both.split([len(part) // head for part in weights], dim=2)
        cos, sin = cos[..., None, : head // 2], sin[..., None, : head // 2]
        rotate(q, cos, sin, q)
        rotate(k, cos, sin, k)
        ctx.save_for_backward(hidden, weight, scale, cos, sin, *weights)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), hidden.view_as(hidden)

    @staticmethod
    def backward(ctx, dq, dk, dv, rest):
        hidden, weight, scale, cos, sin, *weights = ctx.saved_tensors
        dq, dk, dv = (dy.transpose(1, 2) for dy in (dq, dk, dv))
        sizes = [dy.shape[2] for dy in (dq, dk, dv)]
        grad = hidden.new_empty(*dq.shape[:2], sum(sizes), dq.shape[-1])
        q, k, v = grad.split(sizes, dim=2)
        rotate(dq, cos, -sin, q)
        rotate(dk, cos, -sin, k)
        v.copy_(dv)
        rows, grad = hidden.reshape(-1, hidden.shape[-1]), grad.flatten(2).flatten(0, 1)
        of_weights: Any = [None] * 3
        if any(ctx.needs_input_grad[6:]):
            of_weights = (grad.T @ normalise(rows, weight, 0.0, scale)[0]).split([len(part) for part in weights])
        rest = rest.reshape(rows.shape)
        dx, of_norm = normalise_backward(grad @ torch.cat(weights), rows, weight, scale, rest, trained=ctx.needs_input_grad[1])
        return dx.view_as(hidden), of_norm, None, None, None, None, *of_weights


class Added(torch.autograd.Function):
    """rest + x W^T."""

    @staticmethod
    def forward(ctx, x, rest, weight):
        ctx.save_for_backward(x, weight)
        return torch.addmm(rest.reshape(-1, rest.shape[-1]), x.flatten(0, 1), weight.T).view_as(rest)

    @staticmethod
    def backward(ctx, dy):
        x, weight = ctx.saved_tensors
        flat = dy.reshape(-1, dy.shape[-1])
        return (flat @ weight).view_as(x), dy, flat.T @ x.flatten(0, 1) if ctx.needs_input_grad[2] else None


class MLP(torch.autograd.Function):
    """hidden + down(silu(gate(n)) * up(n)), n the norm of hidden (Shazeer, 2020). Saves hidden, gate and up."""

    @staticmethod
    def forward(ctx, hidden, weight, eps, gate_weight, up_weight, down_weight):
        rows = hidden.reshape(-1, hidden.shape[-1])
        x, scale = normalise(rows, weight, eps)
        gate, up = x @ gate_weight.T, x @ up_weight.T
        del x
        product = gated(gate, up)
        ctx.save_for_backward(hidden, weight, scale, gate, up, gate_weight, up_weight, down_weight)
        return torch.addmm(rows, product, down_weight.T).view_as(hidden)

    @staticmethod
    def backward(ctx, dy):
        hidden, weight, scale, gate, up, gate_weight, up_weight, down_weight = ctx.saved_tensors
        dy = dy.reshape(-1, dy.shape[-1])
        of_gate, of_up = torch.empty_like(gate), torch.empty_like(up)
        product = gated_backward(dy @ down_weight, gate, up, of_gate, of_up)
        of_down = dy.T @ product if ctx.needs_input_grad[5] else None
        del product
        rows = hidden.reshape(-1, hidden.shape[-1])
        found: Any = (None, None)
        if any(ctx.needs_input_grad[3:5]):
            x = normalise(rows, weight, 0.0, scale)[0]
            found = of_gate.T @ x, of_up.T @ x
            del x
        dx = (of_gate @ gate_weight).addmm_(of_up, up_weight)
        dx, of_norm = normalise_backward(dx, rows, weight, scale, dy, trained=ctx.needs_input_grad[1])
        return dx.view_as(hidden), of_norm, None, *found, of_down
