"""The one rewrite for speed: the output layer and its cross-entropy run together, in chunks, so that no logits tensor stands in memory."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmcycle import attention

CHUNK = 1024  # rows of logits that exist at a time


def fuse(model: nn.Module) -> nn.Module:
    """Let the output layer hand its input on, for `cross_entropy` and `log_probabilities` to finish; the state dict is unchanged.

    A model whose output layer has a bias, or that has none, stays as it is. `plain` takes it back.
    """
    head = head_of(model)
    if isinstance(head, nn.Linear) and head.bias is None:
        head.forward = _identity
    return attention.install(model)


def plain(model: nn.Module) -> nn.Module:
    """Undo `fuse`."""
    head = head_of(model)
    if fused(head):
        del head.forward
    return attention.remove(model)


def head_of(model: Any) -> Any:
    """The output layer of a transformers model, None where it has none."""
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def fused(head: Any) -> bool:
    """Does this output layer hand its input on?"""
    return head is not None and head.__dict__.get("forward") is _identity


def _identity(hidden: Tensor) -> Tensor:
    return hidden


def cross_entropy(output_BTX: Tensor, head: Any, targets_BT: Tensor) -> Tensor:
    """Sum of the cross-entropy of a model's output (logits, or hidden states where `head` is fused) against targets, -100 left out."""
    kept = targets_BT != -100
    rows, targets = output_BTX[kept], targets_BT[kept]
    if fused(head):
        return LinearCrossEntropy.apply(rows, head.weight, targets)
    return F.cross_entropy(rows.float(), targets, reduction="sum")


def log_probabilities(output_BTX: Tensor, head: Any, targets_BT: Tensor) -> Tensor:
    """Sum over each row of the log-probabilities of its targets, -100 left out: (B,)."""
    kept = targets_BT != -100
    rows, targets = output_BTX[kept], targets_BT[kept]
    logits = F.linear(rows, head.weight) if fused(head) else rows
    nll = F.cross_entropy(logits.float(), targets, reduction="none")
    row_of = kept.nonzero()[:, 0]
    return -torch.zeros(len(targets_BT), device=nll.device, dtype=nll.dtype).index_add(0, row_of, nll)


class LinearCrossEntropy(torch.autograd.Function):
    """sum(cross_entropy(hidden @ weight.T, targets)) whose gradients are made in the forward, chunk by chunk.

    hidden (N, D), weight (V, D), targets (N,). Source: the idea of Liger Kernel (Hsu et al., 2024), section 3.2.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1]]
        grad_hidden = torch.empty_like(hidden) if wanted[0] else None
        grad_weight = torch.zeros_like(weight) if wanted[1] else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for begin in range(0, len(hidden), CHUNK):
            part, target = hidden[begin : begin + CHUNK], targets[begin : begin + CHUNK]
            logits = (part @ weight.T).float()
            log_sum = logits.logsumexp(-1, keepdim=True)
            loss += (log_sum.squeeze(-1) - logits.gather(-1, target[:, None]).squeeze(-1)).sum()
            if any(wanted):
                grad = logits.sub_(log_sum).exp_()
                grad.scatter_add_(-1, target[:, None], grad.new_full((len(target), 1), -1.0))
                grad = grad.to(weight.dtype)
                if grad_hidden is not None:
                    torch.mm(grad, weight, out=grad_hidden[begin : begin + CHUNK])
                if grad_weight is not None:
                    grad_weight.addmm_(grad.T, part)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return loss

    @staticmethod
    def backward(ctx, upstream):
        grad_hidden, grad_weight = ctx.saved_tensors
        return (
            grad_hidden if grad_hidden is None else grad_hidden * upstream,
            grad_weight if grad_weight is None else grad_weight * upstream,
            None,
        )
