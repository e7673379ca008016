"""A small GGUF file, written as llama.cpp's converter writes one."""

import json
from pathlib import Path

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write(file: Path, model, processor, *, licence: str | None = "mit", cut: str = "smollm", leave_out: str = "", add: str = "") -> Path:
    """`model` (a Llama) and `processor` as `file`. leave_out: a tensor that is missing; add: one too many."""
    from gguf import GGUFWriter

    config, writer = model.config, GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    if licence:
        writer.add_license(licence)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _tokenizer(writer, processor, cut)
    for name, array in _tensors(model).items():
        if name != leave_out:
            writer.add_tensor(name, array)
    if add:
        writer.add_tensor(add, model.model.norm.weight.detach().numpy().copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _tokenizer(writer, processor, cut: str) -> None:
    about = json.loads(processor.backend_tokenizer.to_str())
    special = {token["id"] for token in about["added_tokens"]}
    tokens = processor.convert_ids_to_tokens(range(len(processor)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if number in special else 1 for number in range(len(tokens))])
    writer.add_token_merges([" ".join(pair) for pair in about["model"]["merges"]])
    writer.add_bos_token_id(processor.bos_token_id)
    writer.add_eos_token_id(processor.eos_token_id)
    writer.add_chat_template(processor.chat_template)


def _tensors(model) -> dict:
    """Names and arrays as llama.cpp has them: it turns neighbours of a head where transformers turns its halves."""
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    found = {"token_embd.weight": model.model.embed_tokens.weight, "output_norm.weight": model.model.norm.weight}
    if not model.config.tie_word_embeddings:
        found["output.weight"] = model.lm_head.weight
    for number, layer in enumerate(model.model.layers):
        for own, name in NAMES.items():
            weight = layer.get_submodule(own).weight
            if name in heads:
                weight = weight.reshape(heads[name], 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
            found[f"blk.{number}.{name}.weight"] = weight
    return {name: weight.detach().numpy().copy() for name, weight in found.items()}
