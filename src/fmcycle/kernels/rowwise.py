"""Norms, rotations and gates of a layer, forward and backward, on some rows at a time while they are in the processor's cache."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 128  # at a time


def parts(count: int, size: int = ROWS) -> Iterator[slice]:
    """Yield the slices of `count` rows, `size` at a time; a plan takes one of them for all (`fmcycle.cost.step_cost`)."""
    for begin in range(0, count, size):
        yield slice(begin, begin + size)


def normalise(x: Tensor, weight: Tensor, eps: float, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return x (N, D) over its root mean square, times weight; and the reciprocal (N, 1), which `scale` saves computing again."""
    out = torch.empty_like(x)
    made = x.new_empty(len(x), 1) if scale is None else scale
    for rows in parts(len(x)):
        part, of = x[rows], out[rows]
        if scale is None:
            norm = torch.linalg.vector_norm(part, dim=-1, keepdim=True)
            torch.rsqrt(norm.square_().div_(x.shape[-1]).add_(eps), out=made[rows])
        torch.mul(part, made[rows], out=of).mul_(weight)
    return out, made


def normalise_backward(
    dn: Tensor, x: Tensor, weight: Tensor, scale: Tensor, rest: Tensor | None = None, *, trained: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of x and, if it is `trained`, of weight from `dn` (N, D), the norm's, which is overwritten. rest: gradient of
    x from other paths, which is added."""
    of_weight = torch.zeros_like(weight) if trained else None
    for rows in parts(len(x)):
        unit, grad = x[rows] * scale[rows], dn[rows]
        if of_weight is not None:
            of_weight += (grad * unit).sum(0)
        grad.mul_(weight)
        along = (grad * unit).mean(-1, keepdim=True)
        grad.addcmul_(unit, along, value=-1).mul_(scale[rows])
        if rest is not None:
            grad.add_(rest[rows])
    return dn, of_weight


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """Return silu(gate) * up, both (N, D)."""
    product = torch.empty_like(gate, memory_format=torch.contiguous_format)
    for here in parts(len(gate)):
        torch.mul(F.silu(gate[here]), up[here], out=product[here])
    return product


def gated_backward(of_product: Tensor, gate: Tensor, up: Tensor, of_gate: Tensor, of_up: Tensor) -> Tensor:
    """Return the product again, in the memory of its gradient; write the gradients of gate and up to `of_gate`, `of_up`. All (N, D)."""
    for here in parts(len(gate)):
        activated, grad = F.silu(gate[here]), of_product[here]
        torch.mul(grad, activated, out=of_up[here])
        of_gate[here] = torch.ops.aten.silu_backward(grad.mul_(up[here]), gate[here])
        torch.mul(activated, up[here], out=grad)
    return of_product


def rotate(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
    """Write the rotary embedding of x (B, T, H, D) into `out`; -sin gives its transpose. cos, sin: (B or 1, T, 1, D / 2)."""
    half = x.shape[-1] // 2
    for row in (each.start for each in parts(len(x), 1)):
        c, s = cos[row if len(cos) > 1 else 0], sin[row if len(sin) > 1 else 0]
        first, second = x[row, ..., :half], x[row, ..., half:]
        low, high = (first * c).addcmul_(second, s, value=-1), (second * c).addcmul_(first, s)
        out[row, ..., :half], out[row, ..., half:] = low, high


class Norm(torch.autograd.Function):
    """RMSNorm (Zhang and Sennrich, 2019); saves only its input."""

    @staticmethod
    def forward(ctx, x, weight, eps):
        out, scale = normalise(x.flatten(0, -2), weight, eps)
        ctx.save_for_backward(x, weight, scale)
        return out.view_as(x)

    @staticmethod
    def backward(ctx, dy):
        x, weight, scale = ctx.saved_tensors
        rows = x.flatten(0, -2)
        dx, of_weight = normalise_backward(dy.flatten(0, -2).clone(), rows, weight, scale, trained=ctx.needs_input_grad[1])
        return dx.view_as(x), of_weight, None
