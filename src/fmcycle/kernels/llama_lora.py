"""LoRA on a frozen Llama in fp32 on a CPU, faster and in less memory than layer by layer; parameters and state dict are unchanged.

A layer multiplies by W + s B A, computed when it is needed: one product instead of three, forward and backward, and no gradient of W.
The backward recomputes cheap values (norms, silu(gate) * up). peft's own code runs for any other model (another architecture, DoRA,
biases, dropout, half precision, a merged or disabled adapter), with a cache of keys, and while a model is compiled.
"""

from typing import Any

import torch
from torch import Tensor, nn

from fmcycle.kernels.patch import restore, rewrite
from fmcycle.kernels.rowwise import Norm, gated, gated_backward, normalise, normalise_backward, rotate

Part = tuple[Tensor, Tensor | None, Tensor | None, float]  # W (out, in), A (r, in), B (out, r), s


def fuse(model: nn.Module) -> nn.Module:
    """Rewrite the decoder layers and the last norm of a peft model with LoRA; any other model stays unchanged."""
    return rewrite(model, _layer, _norm) if hasattr(model, "peft_config") else model


def plain(model: nn.Module) -> nn.Module:
    """Undo `fuse`."""
    return restore(model, _layer, _norm)


def part_of(module: Any) -> Part | None:
    """Return the weights of a frozen linear layer, plain or with one ordinary LoRA adapter; None for any other module."""
    if type(module) is nn.Linear:
        return (module.weight, None, None, 0.0) if _frozen(module) else None
    if not hasattr(module, "lora_A") or type(module.base_layer) is not nn.Linear or not _frozen(module.base_layer):
        return None
    active = [name for name in module.active_adapters if name in module.lora_A]
    if len(active) != 1 or module.merged or module.disable_adapters or module.fan_in_fan_out or active[0] in module.lora_variant:
        return None
    name = active[0]
    dropout = module.lora_dropout[name]
    if module.lora_bias.get(name) or not (isinstance(dropout, nn.Identity) or not module.training):
        return None
    down, up = module.lora_A[name].weight, module.lora_B[name].weight
    return (module.base_layer.weight, down, up, module.scaling[name]) if down.dtype == torch.float32 else None


def _frozen(linear: nn.Linear) -> bool:
    return linear.bias is None and not linear.weight.requires_grad and linear.weight.dtype == torch.float32


def _simple(x: Tensor) -> bool:
    cpu = x.device.type == "cpu" and x.dtype == torch.float32  # this rewrite suits the caches and kernels of a CPU only
    return cpu and not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")


def _norm(self, hidden_states: Tensor) -> Tensor:
    if self.weight.requires_grad or not _simple(hidden_states):
        return type(self).forward(self, hidden_states)
    return Norm.apply(hidden_states, self.weight, self.variance_epsilon)


def _layer(self, hidden_states: Tensor, attention_mask=None, position_embeddings=None, past_key_values=None, **kwargs) -> Tensor:
    """LlamaDecoderLayer.forward; the attention goes through transformers' interface."""
    from transformers.models.llama.modeling_llama import ALL_ATTENTION_FUNCTIONS, eager_attention_forward

    attention, mlp = self.self_attn, self.mlp
    modules = [getattr(attention, f"{name}_proj") for name in "qkvo"] + [getattr(mlp, f"{name}_proj") for name in ("gate", "up", "down")]
    parts = [part_of(module) for module in modules]
    norms = self.input_layernorm.weight, self.post_attention_layernorm.weight
    fits = all(parts) and _simple(hidden_states) and not any(norm.requires_grad for norm in norms) and mlp.config.hidden_act == "silu"
    if not fits or past_key_values is not None or (self.gradient_checkpointing and self.training):  # checkpointing wraps its own forward
        rest = {"attention_mask": attention_mask, "position_embeddings": position_embeddings, "past_key_values": past_key_values}
        return type(self).forward(self, hidden_states, **rest, **kwargs)
    eps = self.input_layernorm.variance_epsilon
    q, k, v = Projections.apply(hidden_states, norms[0], eps, *position_embeddings, attention.head_dim, *_flat(parts[:3]))
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, eager_attention_forward)
    dropout = attention.attention_dropout if self.training else 0.0
    attended = attend(attention, q, k, v, attention_mask, dropout=dropout, scaling=attention.scaling, **kwargs)[0]
    hidden_states = Added.apply(attended.flatten(2), hidden_states, *_flat(parts[3:4]))
    return MLP.apply(hidden_states, norms[1], eps, *_flat(parts[4:]))


def _flat(parts: list) -> list:
    return [value for part in parts for value in part]


def _parts(flat) -> list[Part]:
    return [tuple(flat[begin : begin + 4]) for begin in range(0, len(flat), 4)]


def merged(parts: list[Part]) -> Tensor:
    """Return the matrices W + s B A of `parts`, stacked: (sum of out, in)."""
    whole = parts[0][0].new_empty(sum(len(part[0]) for part in parts), parts[0][0].shape[1])
    begin = 0
    for weight, down, up, scale in parts:
        piece = whole[begin : begin + len(weight)]
        if down is None or up is None:
            piece.copy_(weight)
        else:
            torch.addmm(weight, up, down, alpha=scale, out=piece)
        begin += len(weight)
    return whole


def gradients(x: Tensor, dy: Tensor, parts: list[Part]) -> list[Tensor | None]:
    """Return the gradients of (W, A, B, s) of each part from the shared input x (N, in) and the outputs' gradients dy (N, sum of out)."""
    downs = [part[1] for part in parts if part[1] is not None]
    if not downs:
        return [None] * (4 * len(parts))
    inner = x @ torch.cat(downs).T
    outer, begin, rank = torch.empty_like(inner), 0, 0
    found: list[tuple[int, int, Tensor | None]] = []
    for weight, down, up, scale in parts:
        here = dy[:, begin : begin + len(weight)]
        begin += len(weight)
        if down is None or up is None:
            found.append((0, 0, None))
            continue
        found.append((rank, rank + len(down), (inner[:, rank : rank + len(down)].T @ here).T.mul(scale)))
        outer[:, rank : rank + len(down)] = (here @ up).mul_(scale)
        rank += len(down)
    of_down = outer.T @ x
    return [value for first, last, of_up in found for value in (None, None if of_up is None else of_down[first:last], of_up, None)]


class Projections(torch.autograd.Function):
    """Norm, then queries, keys and values, rotated: (B, T, D) to three of (B, heads, T, head). Saves only its input."""

    @staticmethod
    def forward(ctx, hidden, weight, eps, cos, sin, head, *flat):
        parts, (batch, length, width) = _parts(flat), hidden.shape
        x, scale = normalise(hidden.reshape(-1, width), weight, eps)
        both = (x @ merged(parts).T).view(batch, length, -1, head)
        q, k, v = both.split([len(part[0]) // head for part in parts], dim=2)
        cos, sin = cos[..., None, : head // 2], sin[..., None, : head // 2]
        rotate(q, cos, sin, q)
        rotate(k, cos, sin, k)
        ctx.save_for_backward(hidden, weight, scale, cos, sin, *[t for part in parts for t in part[:3]])
        ctx.scales = [part[3] for part in parts]
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    @staticmethod
    def backward(ctx, *dys):
        hidden, weight, scale, cos, sin, *tensors = ctx.saved_tensors
        parts = [(*tensors[3 * i : 3 * i + 3], s) for i, s in enumerate(ctx.scales)]
        dq, dk, dv = (dy.transpose(1, 2) for dy in dys)
        grad = hidden.new_empty(*dq.shape[:2], sum(d.shape[2] for d in (dq, dk, dv)), dq.shape[-1])
        q, k, v = grad.split([d.shape[2] for d in (dq, dk, dv)], dim=2)
        rotate(dq, cos, -sin, q)
        rotate(dk, cos, -sin, k)
        v.copy_(dv)
        grad, flat = grad.flatten(2).flatten(0, 1), hidden.reshape(-1, hidden.shape[-1])
        found = gradients(normalise(flat, weight, 0.0, scale)[0], grad, parts)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = normalise_backward(grad @ merged(parts), flat, weight, scale)[0].view_as(hidden)
        return dx, None, None, None, None, None, *found


class Added(torch.autograd.Function):
    """rest + x (W + s B A)^T."""

    @staticmethod
    def forward(ctx, x, rest, *flat):
        parts = _parts(flat)
        ctx.save_for_backward(x, *flat[:3])
        ctx.scale = flat[3]
        return torch.addmm(rest.reshape(-1, rest.shape[-1]), x.flatten(0, 1), merged(parts).T).view_as(rest)

    @staticmethod
    def backward(ctx, dy):
        x, *tensors = ctx.saved_tensors
        parts = [(*tensors, ctx.scale)]
        flat = dy.reshape(-1, dy.shape[-1])
        return (flat @ merged(parts)).view_as(x), dy, *gradients(x.flatten(0, 1), flat, parts)


class MLP(torch.autograd.Function):
    """hidden + down(silu(gate(n)) * up(n)), n the norm of hidden (Shazeer, 2020). Saves hidden, gate and up."""

    @staticmethod
    def forward(ctx, hidden, weight, eps, *flat):
        parts = _parts(flat)
        rows = hidden.reshape(-1, hidden.shape[-1])
        x, scale = normalise(rows, weight, eps)
        both = x @ merged(parts[:2]).T
        del x
        product = gated(*both.chunk(2, dim=-1))
        ctx.save_for_backward(hidden, weight, scale, both, *[t for part in parts for t in part[:3]])
        ctx.scales = [part[3] for part in parts]
        return torch.addmm(rows, product, merged(parts[2:]).T).view_as(hidden)

    @staticmethod
    def backward(ctx, dy):
        hidden, weight, scale, both, *tensors = ctx.saved_tensors
        parts = [(*tensors[3 * i : 3 * i + 3], s) for i, s in enumerate(ctx.scales)]
        dy = dy.reshape(-1, dy.shape[-1])
        grad = torch.empty_like(both)
        product = gated_backward(dy @ merged(parts[2:]), *both.chunk(2, dim=-1), *grad.chunk(2, dim=-1))
        of_down = gradients(product, dy, parts[2:])
        del product
        rows = hidden.reshape(-1, hidden.shape[-1])
        found = gradients(normalise(rows, weight, 0.0, scale)[0], grad, parts[:2])
        dx = None
        if ctx.needs_input_grad[0]:
            dx = normalise_backward(grad @ merged(parts[:2]), rows, weight, scale, dy)[0].view_as(hidden)
        return dx, None, None, *found, *of_down
