"""Packed documents keep to themselves, in every model that can be packed, and nothing changes without packing."""

from functools import partial

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from fmcycle.errors import InputError
from fmcycle.kernels import linear_cross_entropy, varlen_attention
from fmcycle.objective.next_token import NextToken
from fmcycle.objective.sft import SFT

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
LENGTHS = [[9, 9, 20, 10], [48], [1, 2, 30, 15]]  # of the documents of each row; the last of all is padding


def llama(**more):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES | more))


def gpt2(**more):
    torch.manual_seed(0)
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48, "vocab_size": 64}
    return GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, **none | sizes | more))


def lora():
    torch.manual_seed(0)
    model = get_peft_model(llama(), LoraConfig(r=2, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def checkpointed():
    model = llama().train()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


MODELS = {
    "llama": llama,
    "gqa": partial(llama, num_key_value_heads=2),
    "gpt2": gpt2,
    "lora": lora,
    "checkpointed": checkpointed,
    "sliding": lambda: MistralForCausalLM(MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=8)),  # stays transformers'
}


def packed() -> dict:
    """Three rows of documents of `LENGTHS`, their first tokens and the last document not trained on."""
    ids = torch.randint(2, 64, (3, 48), generator=torch.Generator().manual_seed(1))
    positions = torch.tensor([[place for length in row for place in range(length)] for row in LENGTHS])
    labels = torch.where(positions == 0, -100, ids)
    labels[2, 33:] = -100
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


def alone() -> list[dict]:
    """Each document of `packed` in a batch of its own, without positions."""
    batch, found = packed(), []
    for row, lengths in enumerate(LENGTHS):
        begins = [sum(lengths[:number]) for number in range(len(lengths))]
        for begin, length in zip(begins, lengths, strict=True):
            found.append({name: batch[name][row : row + 1, begin : begin + length] for name in ("input_ids", "labels")})
    return found


def gradients(model, loss) -> list:
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("objective", [NextToken(), SFT(), SFT(normalize_by="answer")], ids=["next_token", "sft", "answer"])
def test_the_packed_loss_and_its_gradient_are_those_of_the_documents(name, objective):
    model, plain = linear_cross_entropy.fuse(MODELS[name]()), MODELS[name]()
    plain.load_state_dict(model.state_dict())
    together = objective(model, packed())
    apart = [objective(plain, batch) for batch in alone() if (batch["labels"][:, 1:] != -100).any()]
    count = sum(int(out["count"]) for out in apart)
    assert int(together["count"]) == count
    expected = sum(out["loss"] for out in apart) / count
    torch.testing.assert_close(together["loss"] / count, expected, rtol=0, atol=1e-6)
    found = gradients(model, together["loss"] / count)
    torch.testing.assert_close(found, gradients(plain, expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_changing_one_document_changes_no_other_by_a_bit(name):
    model, batch = linear_cross_entropy.plain(MODELS[name]()).eval(), packed()
    varlen_attention.install(model)
    with torch.no_grad():
        before = varlen_attention.output(model, batch)
        ids = batch["input_ids"].clone()
        ids[0, 9:18] = 5
        after = varlen_attention.output(model, batch | {"input_ids": ids})
    changed = (before != after).any(-1)
    assert changed[0, 9:18].any() and not changed[0, :9].any() and not changed[0, 18:].any() and not changed[1:].any()


@pytest.mark.parametrize("name", ["llama", "gqa", "gpt2"])
def test_without_packing_it_is_what_it_was_to_the_last_bit(name):
    model, plain = varlen_attention.install(MODELS[name]()), MODELS[name]()
    assert varlen_attention.decoder_of(model).config._attn_implementation == varlen_attention.NAME
    ids = packed()["input_ids"]
    found = [NextToken()(each, {"input_ids": ids})["loss"] for each in (model, plain)]
    assert torch.equal(*found)
    assert all(torch.equal(*pair) for pair in zip(gradients(model, found[0]), gradients(plain, found[1]), strict=True))
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    shown = [each(input_ids=ids, attention_mask=mask, use_cache=True).logits for each in (model.eval(), plain.eval())]
    assert torch.equal(*shown)
    options = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 1}
    assert torch.equal(*(each.generate(ids[:, :20], attention_mask=mask[:, :20], **options) for each in (model, plain)))


def test_no_mask_is_made_for_packed_documents(monkeypatch):
    from transformers import masking_utils

    monkeypatch.setattr(masking_utils, "sdpa_mask", lambda **_: pytest.fail("a mask"))
    varlen_attention.output(varlen_attention.install(llama()), packed())


def test_dropout_falls_on_attention_in_training_only():
    model, batch = varlen_attention.install(llama(attention_dropout=0.5)), packed()
    model.eval()
    assert torch.equal(varlen_attention.output(model, batch), varlen_attention.output(model, batch))
    torch.manual_seed(0)
    first = varlen_attention.output(model.train(), batch)
    assert not torch.equal(first, varlen_attention.output(model, batch))
    torch.manual_seed(0)
    assert torch.equal(first, varlen_attention.output(model, batch))


def test_bf16_is_near_fp32():
    model, batch = varlen_attention.install(llama()), packed()
    exact = varlen_attention.output(model, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = varlen_attention.output(model, batch)
    torch.testing.assert_close(near.float(), exact, rtol=0, atol=0.02)


def test_a_saved_model_does_not_name_it(tmp_path):
    model = varlen_attention.install(llama())
    model.save_pretrained(tmp_path)
    assert varlen_attention.NAME not in (tmp_path / "config.json").read_text()
    assert varlen_attention.remove(model).config._attn_implementation == "sdpa"
    assert not varlen_attention.decoder_of(model)._forward_pre_hooks


def test_models_that_see_both_sides_stay_as_they_are():
    model = varlen_attention.install(BertForMaskedLM(BertConfig(**SIZES)))
    assert model.config._attn_implementation == "sdpa"


def test_a_model_that_can_not_keep_documents_apart_is_refused():
    prompt = get_peft_model(llama(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(InputError, match="choose data that is not packed"):
        varlen_attention.output(prompt, packed())


@pytest.mark.prove
@pytest.mark.parametrize("name", ["llama", "gqa", "gpt2", "lora"])
def test_compiled_equals_plain_in_one_graph(name):
    plain, compiled = (varlen_attention.install(MODELS[name]()) for _ in range(2))
    compiled.load_state_dict(plain.state_dict())
    compiled.compile(fullgraph=name != "lora")
    losses = [SFT(normalize_by="answer")(model, packed())["loss"] for model in (plain, compiled)]
    torch.testing.assert_close(*losses, rtol=0, atol=1e-5)
    torch.testing.assert_close(gradients(compiled, losses[1]), gradients(plain, losses[0]), rtol=1e-4, atol=1e-5)
