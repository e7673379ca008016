"""Attention within each packed document, without a mask, through transformers' registry of attention functions."""

import functools
import inspect
from itertools import groupby, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmcycle.errors import InputError

NAME = "fmcycle"  # of fmcycle's attention in transformers' registry; no saved config holds it
ENDS = "cu_seq_lens_q"  # transformers' name for the ends of packed documents


def output(model: Any, batch: dict) -> Tensor:
    """Return the logits of `result`, or the hidden states if the output layer is fused: (B, T, ...)."""
    return result(model, batch).logits


def result(model: Any, batch: dict, **asked: Any) -> Any:
    """Return the output of `model` for `input_ids` (B, T); asked: further arguments of its forward.

    If the batch has `position_ids` (B, T), they restart with every document, and no document sees another. `pixel_values` are the images
    of a vision-language model.
    Raises InputError for a model that can't keep documents apart.
    """
    if "position_ids" not in batch:
        seen = {"pixel_values": batch["pixel_values"]} if "pixel_values" in batch else {}
        return model(input_ids=batch["input_ids"], **seen, use_cache=False, **asked)
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False) or not _takes_positions(
        decoder_of(model).__class__
    ):
        raise InputError("this model can't keep packed documents apart (it takes no positions): choose data that is not packed")
    return model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False, **asked)


@functools.cache
def _takes_positions(kind) -> bool:
    return "position_ids" in inspect.signature(kind.forward).parameters


def decoder_of(model: Any) -> Any:
    """Return the transformers model below an adapter and an output layer."""
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(model, "base_model", model)


def install(model: nn.Module) -> nn.Module:
    """Make a causal transformers model with full attention use `attend`; any other model stays unchanged. `remove` undoes it.

    Without packed documents its results are the same, bit for bit. The state dict is unchanged.
    """
    decoder = decoder_of(model)
    if _fits(decoder):
        from transformers import AttentionInterface, AttentionMaskInterface

        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, mask)
        decoder.set_attn_implementation(NAME)
        decoder.documents_hook = decoder.register_forward_pre_hook(_with_ends, with_kwargs=True)
    return model


def remove(model: nn.Module) -> nn.Module:
    """Undo `install`."""
    decoder = decoder_of(model)
    if hasattr(decoder, "documents_hook"):
        decoder.documents_hook.remove()
        del decoder.documents_hook
        decoder.set_attn_implementation("sdpa")
    return model


def _fits(decoder: Any) -> bool:
    config = getattr(decoder, "config", None)
    if getattr(config, "_attn_implementation", None) != "sdpa" or not hasattr(decoder, "set_attn_implementation"):
        return False
    layers = getattr(config, "layer_types", None) or ["sliding_attention" if getattr(config, "sliding_window", None) else "full_attention"]
    parameters = inspect.signature(decoder.forward).parameters
    causal = [module.is_causal for module in decoder.modules() if hasattr(module, "is_causal")]
    return (
        set(layers) == {"full_attention"}
        and {"position_ids", "kwargs"} <= set(parameters)
        and bool(causal)
        and all(causal)
        and not getattr(config, "is_encoder_decoder", False)
    )


def _with_ends(decoder, args, kwargs):
    """Pass the ends of documents to the layers if the call has positions, but no mask and no cache."""
    position_ids = kwargs.get("position_ids")
    if position_ids is None or kwargs.get("attention_mask") is not None or kwargs.get("past_key_values") is not None:
        return None
    shown = next(value for value in (*args, kwargs.get("input_ids"), kwargs.get("inputs_embeds")) if value is not None)
    position_ids = position_ids.expand(shown.shape[0], -1).contiguous()
    return args, kwargs | {ENDS: torch.ops.fmcycle.padded_ends(position_ids) if shown.device.type == "cpu" else document_ends(position_ids)}


def mask(*, q_length, kv_length, q_offset=0, kv_offset=0, attention_mask=None, **kwargs) -> Tensor | None:
    """Return None, as `attend` is causal by itself; with a padding mask or a cache, the mask of transformers' sdpa."""
    from transformers.masking_utils import sdpa_mask

    if attention_mask is None and isinstance(q_offset, int) and q_offset == kv_offset == 0 and q_length == kv_length:
        return None
    return sdpa_mask(
        q_length=q_length, kv_length=kv_length, q_offset=q_offset, kv_offset=kv_offset, attention_mask=attention_mask, **kwargs
    )


def attend(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **kwargs) -> tuple[Tensor, None]:
    """Return transformers' sdpa attention; with `cu_seq_lens_q`, the ends of documents, attention within each document.

    query (B, H, T, D), key and value (B, H or fewer, T, D). Returns (B, T, H, D).
    """
    ends = kwargs.pop(ENDS, None)
    if ends is None or attention_mask is not None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    if torch.is_autocast_enabled(query.device.type):
        query, key, value = (part.to(torch.get_autocast_dtype(query.device.type)) for part in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    parts = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and not dropout:
        return _flash(*parts, ends, scale), None
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        parts = parts[0], *(part.repeat_interleave(groups, dim=2) for part in parts[1:])
    if query.device.type != "cpu" or dropout or query.shape[-1] != value.shape[-1]:
        return _one_by_one(*parts, ends, scale, dropout), None
    return torch.ops.fmcycle.packed_attention(*parts, ends, scale)[0], None


def _flash(query, key, value, ends, scale: float) -> Tensor:
    """Variable-length flash attention (Dao, 2023): (B, T, H, D)."""
    from torch.nn.attention.varlen import varlen_attn

    longest = query.shape[1]  # an upper bound suffices, and needs no synchronization with the device
    grouped = query.shape[2] != key.shape[2]
    q, k, v = (part.flatten(0, 1) for part in (query, key, value))
    out = varlen_attn(q, k, v, ends, ends, longest, longest, scale=scale, window_size=(-1, 0), enable_gqa=grouped)
    assert isinstance(out, Tensor)
    return out.view(query.shape)


@torch.compiler.disable
def _one_by_one(query, key, value, ends, scale: float, dropout: float) -> Tensor:
    """Attend to one run of documents after the other, with dropout or if no kernel for packed documents fits: (B, T, H, D)."""
    flat = [part.flatten(0, 1) for part in (query, key, value)]
    found = []
    for begin, count, length in spans(ends):
        q, k, v = (_documents(part, begin, count, length) for part in flat)
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scale)
        found.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(found).view(*query.shape[:-1], -1)


def spans(ends: Tensor) -> list[tuple[int, int, int]]:
    """Return (first token, documents, their length) of each run of documents of one length."""
    places = ends.tolist()
    places = places[: places.index(places[-1]) + 1]  # the last may be repeated
    lengths = [end - begin for begin, end in pairwise(places)]
    found, begin = [], 0
    for length, run in groupby(lengths):
        count = len(list(run))
        found.append((begin, count, length))
        begin += count * length
    return found


def _documents(flat: Tensor, begin: int, count: int, length: int) -> Tensor:
    """Return a run of documents out of (tokens, H, D), as a view: (count, H, length, D)."""
    return flat[begin : begin + count * length].unflatten(0, (count, length)).transpose(1, 2)


def document_ends(position_ids: Tensor) -> Tensor:
    """Return [0, end of each document ...] in the flattened (B, T): (documents + 1,) int32. A document begins at a jump of positions."""
    first = torch.ones_like(position_ids, dtype=torch.bool)
    first[:, 1:] = position_ids[:, 1:] != position_ids[:, :-1] + 1
    starts = first.flatten().nonzero()[:, 0]
    return torch.cat([starts, starts.new_full((1,), first.numel())]).to(torch.int32)


@torch.library.custom_op("fmcycle::padded_ends", mutates_args=())
def padded_ends(position_ids: Tensor) -> Tensor:
    """Return `document_ends` with its last value repeated up to (B * T + 1,), a size that a compiler knows beforehand."""
    ends = document_ends(position_ids)
    return F.pad(ends, (0, position_ids.numel() + 1 - len(ends)), value=position_ids.numel())


@padded_ends.register_fake
def _(position_ids):
    return position_ids.new_empty(position_ids.numel() + 1, dtype=torch.int32)


@torch.library.custom_op("fmcycle::packed_attention", mutates_args=())
def packed_attention(query: Tensor, key: Tensor, value: Tensor, ends: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return causal attention within each document on a CPU, (B, T, H, D), and log-sum-exp (B * T, H); one kernel call a run of `spans`."""
    out = torch.empty(query.shape, dtype=query.dtype)
    flat = [part.flatten(0, 1) for part in (query, key, value)]
    sums = torch.empty(flat[0].shape[:2], dtype=torch.float32)
    for begin, count, length in spans(ends):
        parts = [_documents(part, begin, count, length) for part in flat]
        part, part_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*parts, 0.0, True, scale=scale)
        _documents(out.flatten(0, 1), begin, count, length).copy_(part)
        _documents(sums.unsqueeze(-1), begin, count, length).copy_(part_sums.unsqueeze(-1))
    return out, sums


@packed_attention.register_fake
def _(query, key, value, ends, scale):
    return query.new_empty(query.shape), query.new_empty((query.shape[0] * query.shape[1], query.shape[2]), dtype=torch.float32)


@torch.library.custom_op("fmcycle::packed_attention_backward", mutates_args=())
def packed_attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, sums: Tensor, ends: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value, each (B, T, H, D)."""
    grads = [torch.empty(query.shape, dtype=query.dtype) for _ in range(3)]
    flat = [part.flatten(0, 1) for part in (grad, query, key, value, out)]
    for begin, count, length in spans(ends):
        parts = [_documents(part, begin, count, length) for part in flat]
        part_sums = _documents(sums.unsqueeze(-1), begin, count, length).squeeze(-1)
        found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(*parts, part_sums, 0.0, True, scale=scale)
        for whole, part in zip(grads, found, strict=True):
            _documents(whole.flatten(0, 1), begin, count, length).copy_(part)
    return grads[0], grads[1], grads[2]


@packed_attention_backward.register_fake
def _(grad, query, key, value, out, sums, ends, scale):
    return tuple(query.new_empty(query.shape) for _ in range(3))


def _setup(ctx, inputs, output) -> None:
    query, key, value, ends, ctx.scale = inputs
    ctx.save_for_backward(query, key, value, *output, ends)


def _backward(ctx, grad, grad_sums):
    query, key, value, out, sums, ends = ctx.saved_tensors
    grads = torch.ops.fmcycle.packed_attention_backward(grad, query, key, value, out, sums, ends, ctx.scale)
    return *grads, None, None


packed_attention.register_autograd(_backward, setup_context=_setup)
