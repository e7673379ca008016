"""Runs the output layer and its cross-entropy together, in chunks, so that the whole logits tensor is never in memory."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmcycle.errors import InputError
from fmcycle.kernels import llama, llama_lora, trained_tokens, varlen_attention

CHUNK = 256  # rows of logits at a time: few enough to stay in a processor's cache
FAR_CHUNK = 2**25  # logits at a time on other devices: enough to keep a GPU busy, 128 MB in fp32


def fuse(model: nn.Module) -> nn.Module:
    """Make the output layer return its input, so that `cross_entropy` and `log_probabilities` apply it; the state dict is unchanged.

    The output layer stays unchanged if it has a bias, or if the model has none. `plain` undoes it.
    """
    head = head_of(model)
    if trained_tokens.output(head) is not None:
        head.forward = _identity
    return llama.fuse(llama_lora.fuse(trained_tokens.fuse(varlen_attention.install(model))))


def plain(model: nn.Module) -> nn.Module:
    """Undo `fuse`."""
    head = head_of(model)
    if fused(head):
        del head.forward
    return varlen_attention.remove(trained_tokens.plain(llama_lora.plain(llama.plain(model))))


def check_compiler(accelerator: str) -> None:
    """Raises InputError if torch.compile does not work on this machine: within seconds, before training begins."""
    device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    try:
        torch.compile(_probe)(torch.ones(64, device=device))
    except Exception as error:  # any error of the compiler underneath
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"trainer.compile: torch can't compile on this machine ({reason}); install g++, or set trainer.compile=false"
        ) from error


def _probe(x: Tensor) -> Tensor:
    return x.sin().sum()


def head_of(model: Any) -> Any:
    """Return the output layer of a transformers model; None if it has none."""
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def fused(head: Any) -> bool:
    """True if this output layer returns its input."""
    return head is not None and head.__dict__.get("forward") is _identity


def _identity(hidden: Tensor) -> Tensor:
    return hidden


def logits_of(output: Tensor, head: Any) -> Tensor:
    """Return the logits (..., V) of a model's output: the output itself, or its product with `head` if that is fused."""
    weights = trained_tokens.output(head) if fused(head) else None
    return trained_tokens.product(output, *weights) if weights else output


def cross_entropy(output_BTX: Tensor, head: Any, targets_BT: Tensor) -> Tensor:
    """Return the summed cross-entropy of a model's output (logits, or hidden states if `head` is fused); targets of -100 don't count."""
    kept = targets_BT != -100
    rows, targets = output_BTX[kept], targets_BT[kept]
    if fused(head) and (weights := trained_tokens.output(head)):
        return LinearCrossEntropy.apply(rows, *weights, targets)
    return F.cross_entropy(rows.float(), targets, reduction="sum")


def log_probabilities(output_BTX: Tensor, head: Any, targets_BT: Tensor) -> Tensor:
    """Return for each row the summed log-probabilities of its targets, (B,); targets of -100 don't count."""
    kept = targets_BT != -100
    rows, targets = output_BTX[kept], targets_BT[kept]
    logits = logits_of(rows, head)
    nll = F.cross_entropy(logits.float(), targets, reduction="none")
    row_of = kept.nonzero()[:, 0]
    return -torch.zeros(len(targets_BT), device=nll.device, dtype=nll.dtype).index_add(0, row_of, nll)


class LinearCrossEntropy(torch.autograd.Function):
    """sum(cross_entropy(hidden @ weight.T, targets)), with gradients computed in the forward, chunk by chunk.

    hidden (N, D), weight (V, D), targets (N,). If only the rows `places` (k,) of the weight are trained, `trained` (k, D) replaces them
    and gets their gradient. Under autocast on a GPU, products are in half precision, and their sums in the precision of the weights.
    Source: the idea of Liger Kernel (Hsu et al., 2024), section 3.2.
    """

    @staticmethod
    def forward(ctx, hidden, weight, trained, places, targets):
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        grad_trained = torch.zeros_like(trained) if ctx.needs_input_grad[2] else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows, kind = _chunk(hidden, weight)
        factor, own = weight.to(kind), None if trained is None else trained.to(kind)
        for begin in range(0, len(hidden), rows):
            part, target = hidden[begin : begin + rows].to(kind), targets[begin : begin + rows]
            log_p = trained_tokens.product(part, factor, own, places).float().log_softmax(-1)
            loss -= log_p.gather(-1, target[:, None]).sum()
            if any(ctx.needs_input_grad):
                grad = log_p.exp_()
                grad.scatter_add_(-1, target[:, None], grad.new_full((len(target), 1), -1.0))
                grad = grad.to(kind)
                if own is not None:
                    of_own = grad[:, places]
                    grad.index_fill_(1, places, 0.0)  # the frozen rows at these places have no part in the loss
                    if grad_trained is not None:
                        _added(grad_trained, of_own.T, part)
                if grad_hidden is not None:
                    _into(grad_hidden[begin : begin + rows], grad, factor)
                    if own is not None:
                        _added(grad_hidden[begin : begin + rows], of_own, own)
                if grad_weight is not None:
                    _added(grad_weight, grad.T, part)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_trained)
        return loss

    @staticmethod
    def backward(ctx, upstream):
        grads = [grad if grad is None else grad * upstream for grad in ctx.saved_tensors]
        return *grads, None, None


def _chunk(hidden: Tensor, weight: Tensor) -> tuple[int, torch.dtype]:
    """Return (rows of logits at a time, the dtype of their products)."""
    kind = hidden.device.type
    if kind == "cpu":
        return CHUNK, weight.dtype
    return max(CHUNK, FAR_CHUNK // len(weight)), torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def _into(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Overwrite `out` with a @ b."""
    if out.dtype == a.dtype:
        torch.mm(a, b, out=out)
    else:
        out.copy_(a @ b)


def _added(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to `out`."""
    if out.dtype == a.dtype:
        out.addmm_(a, b)
    else:
        out.add_(a @ b)
