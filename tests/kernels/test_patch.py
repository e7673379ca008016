"""The forwards of a Llama are replaced and restored; those of a subclass or of another model never are."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from fmcycle.kernels.patch import restore, rewrite


class Other(LlamaDecoderLayer):
    pass


def layer(self, hidden_states, **_):
    return hidden_states


def norm(self, hidden_states):
    return hidden_states


def test_replaced_restored_and_a_subclass_stays():
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 30}
    model, ids = LlamaForCausalLM(LlamaConfig(**sizes)), torch.arange(5)[None]
    before = model(ids).logits
    model.model.layers[1].__class__ = Other
    assert torch.equal(model(ids).logits, before)
    rewrite(model, layer, norm)
    assert "forward" in model.model.layers[0].__dict__ and "forward" not in model.model.layers[1].__dict__
    assert not torch.equal(model(ids).logits, before)
    assert torch.equal(restore(model, layer, norm)(ids).logits, before)


def test_another_model_stays():
    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=30))
    assert not any("forward" in module.__dict__ for module in rewrite(model, layer, norm).modules())
