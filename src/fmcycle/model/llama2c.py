"""Loads checkpoints of llama2.c (Karpathy, 2023), legacy fp32 format, as plain Llama models."""

import math
import struct
from pathlib import Path
from typing import Any

from fmcycle.artifact import external
from fmcycle.errors import InputError
from fmcycle.ranges import ExistingPath

HEADER = struct.Struct("<7i")  # dim, hidden_dim, layers, heads, key-value heads, vocabulary (negative: untied output matrix), positions
LARGEST = 1 << 20  # plausible limit of a header field


def llama2c(
    path: ExistingPath,
    file: str,
    licence: str = external.NONE_SAID,
    sha256: str | None = None,
    architecture: str = "LlamaForCausalLM",
) -> Any:
    """Return the model in `path`/`file`. Raises InputError if the file's `sha256` differs or it is damaged."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    place = external.located(f"{path}/{file}", sha256=sha256)
    if architecture != "LlamaForCausalLM":
        raise InputError(f"{path} is a LlamaForCausalLM, but model.architecture is {architecture}: correct it, or choose other weights")
    shapes, fields = described(place)
    config = LlamaConfig(**fields, architectures=[architecture], rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model = LlamaForCausalLM(config)
    if torch.empty(0).is_meta:
        return model.eval()
    values = torch.frombuffer(bytearray(place.read_bytes()[HEADER.size :]), dtype=torch.float32)
    begin, found = 0, {}
    for name, shape in shapes.items():
        size = math.prod(shape)
        found[name], begin = values[begin : begin + size].view(shape), begin + size
    model.load_state_dict(named(found, fields))
    return model.eval()


def described(file: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Return ({array: shape} in the file's order, the config's fields). Raises InputError if header and file size do not agree."""
    with open(file, "rb") as handle:
        head = handle.read(HEADER.size)
    if len(head) < HEADER.size:
        raise InputError(f"{file}: {len(head)} bytes are no llama2.c checkpoint; fetch it again")
    dim, hidden, layers, heads, pairs, vocabulary, positions = HEADER.unpack(head)
    own_head, vocabulary = vocabulary < 0, abs(vocabulary)
    sizes = (dim, hidden, layers, heads, pairs, vocabulary, positions)
    if not all(0 < size < LARGEST for size in sizes) or dim % heads or heads % pairs or dim // heads % 2:
        raise InputError(f"{file}: its first bytes are no header of llama2.c ({sizes}); name a checkpoint in its legacy format")
    narrow, half = dim // heads * pairs, dim // heads // 2
    shapes: dict[str, tuple[int, ...]] = {
        "embed_tokens": (vocabulary, dim),
        "input_layernorm": (layers, dim),
        "self_attn.q_proj": (layers, dim, dim),
        "self_attn.k_proj": (layers, narrow, dim),
        "self_attn.v_proj": (layers, narrow, dim),
        "self_attn.o_proj": (layers, dim, dim),
        "post_attention_layernorm": (layers, dim),
        "mlp.gate_proj": (layers, hidden, dim),
        "mlp.down_proj": (layers, dim, hidden),
        "mlp.up_proj": (layers, hidden, dim),
        "norm": (dim,),
        "cos": (positions, half),
        "sin": (positions, half),
    } | ({"lm_head": (vocabulary, dim)} if own_head else {})
    wanted = HEADER.size + 4 * sum(map(math.prod, shapes.values()))
    if file.stat().st_size != wanted:
        raise InputError(f"{file}: {file.stat().st_size} bytes, its header describes {wanted}: cut short or another format; fetch it again")
    fields = {
        "hidden_size": dim,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": pairs,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "tie_word_embeddings": not own_head,
    }
    return shapes, fields


def named(found: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays as a transformers state dict; its rotary embedding pairs the halves of a head, llama2.c's pairs neighbours."""
    state = {"model.embed_tokens.weight": found["embed_tokens"], "model.norm.weight": found["norm"]}
    state["lm_head.weight"] = found.get("lm_head", found["embed_tokens"])
    for name, array in found.items():
        if "." in name or name.endswith("layernorm"):
            state |= {f"model.layers.{layer}.{name}.weight": matrix for layer, matrix in enumerate(array)}
    for layer in range(fields["num_hidden_layers"]):
        for name, heads in (("q_proj", fields["num_attention_heads"]), ("k_proj", fields["num_key_value_heads"])):
            key = f"model.layers.{layer}.self_attn.{name}.weight"
            rows, columns = state[key].shape
            state[key] = state[key].view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)
    return state
