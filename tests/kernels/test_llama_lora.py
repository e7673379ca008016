"""LoRA's fast path: what it computes is what peft computes, and what it does not know stays peft's."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.kernels import linear_cross_entropy, llama_lora, rowwise
from fmcycle.objective.sft import SFT

IDS = torch.randint(0, 64, (3, 12), generator=torch.Generator().manual_seed(0))
BATCH = {"input_ids": IDS, "labels": IDS}
PACKED = BATCH | {"position_ids": torch.cat([torch.arange(7), torch.arange(5)]).expand(3, -1)}
KINDS = {
    "all linear layers": {"target_modules": "all-linear"},
    "two of them": {"target_modules": ["q_proj", "v_proj"]},
    "an MLP's": {"target_modules": ["up_proj", "down_proj"]},
    "trained token rows": {"target_modules": "all-linear", "trainable_token_indices": [1, 5]},
    "scaled by the root of the rank": {"target_modules": "all-linear", "use_rslora": True},
    "ranks of their own": {"target_modules": "all-linear", "rank_pattern": {"q_proj": 2, "gate_proj": 5}},
}
LEFT = {
    "DoRA": {"use_dora": True},
    "biases": {"lora_bias": True},
    "dropout": {"lora_dropout": 0.5},
    "trained norms": {"modules_to_save": ["input_layernorm"]},
}


def base(**more):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
    return LlamaForCausalLM(LlamaConfig(**{"num_key_value_heads": 2, "tie_word_embeddings": True, **sizes, **more}))


def adapted(**config) -> PeftModel:
    """An adapter that does something."""
    model = get_peft_model(base(), LoraConfig(r=3, **{"target_modules": "all-linear", **config}))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name or "trainable_tokens" in name:
                p.normal_(std=0.1)
    return model.train()


def found(model, batch) -> list:
    """The loss and the gradients of a batch."""
    model.zero_grad()
    torch.manual_seed(1)
    loss = SFT()(model, batch)["loss"]
    loss.backward()
    return [loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}]


def fast(model) -> int:
    """How many of our functions the loss of `model` goes through."""
    seen, todo = set(), [SFT()(model, BATCH)["loss"].grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    return sum(node.name() in ("ProjectionsBackward", "MLPBackward", "AddedBackward", "NormBackward") for node in seen)


@pytest.mark.parametrize("batch", [BATCH, PACKED], ids=["rows", "packed"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_fused_equals_plain(kind, batch, monkeypatch):
    monkeypatch.setattr(rowwise, "ROWS", 5)
    fused, plain = linear_cross_entropy.fuse(adapted(**kind)), llama_lora.plain(linear_cross_entropy.fuse(adapted(**kind)))
    assert fast(fused) > 0 and fast(plain) == 0
    torch.testing.assert_close(found(fused, batch), found(plain, batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", LEFT.values(), ids=LEFT)
def test_what_it_does_not_know_is_left_to_peft(kind):
    fused, plain = linear_cross_entropy.fuse(adapted(**kind)), adapted(**kind)
    torch.testing.assert_close(found(fused, BATCH)[1], found(plain, BATCH)[1], rtol=1e-5, atol=1e-5)


def test_untied_models_and_half_precision():
    fused, plain = (get_peft_model(base(tie_word_embeddings=False), LoraConfig(r=2, target_modules="all-linear")) for _ in range(2))
    torch.testing.assert_close(found(linear_cross_entropy.fuse(fused), BATCH), found(plain, BATCH), rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert fast(fused) == 0
        torch.testing.assert_close(found(fused, BATCH)[0], found(plain, BATCH)[0], rtol=1e-2, atol=1e-2)


def test_the_state_dict_and_the_saved_adapter_are_those_of_peft(tmp_path):
    fused, plain = linear_cross_entropy.fuse(adapted()), adapted()
    torch.testing.assert_close(fused.state_dict(), plain.state_dict(), rtol=0, atol=0)
    for name, model in (("fused", fused), ("plain", plain)):
        model.save_pretrained(tmp_path / name)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert sorted((tmp_path / "fused" / file).read_bytes()) == sorted((tmp_path / "plain" / file).read_bytes())


def test_plain_takes_it_back_and_merged_equals_the_adapter():
    model = linear_cross_entropy.fuse(adapted())
    before = llama_lora.plain(linear_cross_entropy.plain(adapted())).eval()(IDS).logits
    assert "forward" not in linear_cross_entropy.plain(model).get_base_model().model.layers[0].__dict__
    torch.testing.assert_close(model.eval()(IDS).logits, before)
    llama_lora.fuse(model)
    torch.testing.assert_close(model(IDS).logits, before, rtol=1e-4, atol=1e-5)
    with model.disable_adapter():
        torch.testing.assert_close(model(IDS).logits, base().eval()(IDS).logits)
    torch.testing.assert_close(model.merge_and_unload()(IDS).logits, before, rtol=1e-4, atol=1e-5)


def test_a_cache_of_keys_and_gradient_checkpointing_work():
    model = llama_lora.fuse(adapted())
    model.eval()
    whole, cached = (model.generate(IDS[:1], max_new_tokens=4, do_sample=False, use_cache=flag, pad_token_id=0) for flag in (False, True))
    assert torch.equal(whole, cached)
    fused, plain = linear_cross_entropy.fuse(adapted()), adapted()
    fused.gradient_checkpointing_enable()
    torch.testing.assert_close(found(fused, BATCH), found(plain, BATCH), rtol=1e-5, atol=1e-5)


def test_no_gradient_is_made_for_frozen_weights():
    model = linear_cross_entropy.fuse(adapted())
    found(model, BATCH)
    assert all((p.grad is not None) == ("lora_" in name) for name, p in model.named_parameters())
