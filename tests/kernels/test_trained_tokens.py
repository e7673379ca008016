"""Trained token rows without a copy of the matrix: what is computed, saved and merged is what peft computes, saves and merges."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.kernels import linear_cross_entropy, trained_tokens
from fmcycle.objective.dpo import DPO
from fmcycle.objective.sft import SFT

VOCABULARY, WIDTH = 72, 32
IDS = torch.randint(0, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(0))
IDS[:, ::4] = torch.tensor([1, 5, 9])  # trained rows are read and predicted
SIDE = {"input_ids": IDS, "labels": IDS.masked_fill(torch.arange(12) < 3, -100)}
PACKED = SIDE | {"position_ids": torch.cat([torch.arange(7), torch.arange(5)]).expand(3, -1)}
PAIRS = {
    "chosen": SIDE,
    "rejected": SIDE | {"input_ids": IDS.flip(0), "labels": IDS.flip(0)},
    "reference_chosen": torch.zeros(3),
    "reference_rejected": torch.zeros(3),
}
CASES = {"sft": (SFT(), SIDE), "packed": (SFT(), PACKED), "answers": (SFT("answer"), PACKED), "dpo": (DPO(), PAIRS)}


def adapted(tied: bool = True) -> PeftModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": VOCABULARY}
    base = LlamaForCausalLM(LlamaConfig(num_key_value_heads=2, tie_word_embeddings=tied, **sizes))
    model = get_peft_model(base, LoraConfig(r=3, target_modules="all-linear", trainable_token_indices=[1, 5, 9]))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name or "trainable_tokens" in name:
                p.normal_(std=0.2)
    return model.train()


def found(model, objective, batch) -> tuple[torch.Tensor, dict]:
    loss = objective(model, batch)["loss"]
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


class Written(TorchDispatchMode):
    """Counts the tensors of the matrix's shape that operations make."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.count += isinstance(out, torch.Tensor) and not func.is_view and out.shape == (VOCABULARY, WIDTH)
        return out


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_loss_and_gradients_are_those_of_peft(case, tied):
    ours, theirs = found(linear_cross_entropy.fuse(adapted(tied)), *case), found(adapted(tied), *case)
    assert any("trainable_tokens" in name and grad.abs().sum() > 0 for name, grad in ours[1].items())
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_logits_are_those_of_peft_and_of_the_merged_model(tied):
    theirs = adapted(tied).eval()(IDS).logits
    torch.testing.assert_close(trained_tokens.fuse(adapted(tied)).eval()(IDS).logits, theirs, rtol=0, atol=1e-6)
    fused = linear_cross_entropy.fuse(adapted(tied)).eval()
    found = linear_cross_entropy.logits_of(fused(IDS).logits, fused.get_output_embeddings())
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=2e-5)
    merged = linear_cross_entropy.plain(fused).merge_and_unload()
    torch.testing.assert_close(merged(IDS).logits, theirs, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_step_makes_nothing_of_the_matrix_s_size(case):
    counts = []
    for model in (linear_cross_entropy.fuse(adapted()), adapted()):
        with Written() as written:
            found(model, *case)
        counts.append(written.count)
    assert counts[0] == 0 < counts[1]


def test_a_disabled_adapter_and_half_precision_are_peft_s():
    ours, theirs = trained_tokens.fuse(adapted()).eval(), adapted().eval()
    with ours.disable_adapter(), theirs.disable_adapter():
        assert torch.equal(ours(IDS).logits, theirs(IDS).logits)
    for model in (ours, theirs):
        model.get_base_model().to(torch.bfloat16)
    torch.testing.assert_close(ours(IDS).logits, theirs(IDS).logits)
    assert "forward" not in trained_tokens.plain(ours).get_input_embeddings().token_adapter.__dict__


def test_the_saved_adapter_is_peft_s_byte_for_byte(tmp_path):
    for name, model in (("ours", linear_cross_entropy.fuse(adapted())), ("theirs", adapted())):
        model.save_pretrained(tmp_path / name)
    file = "adapter_model.safetensors"
    assert (tmp_path / "ours" / file).read_bytes() == (tmp_path / "theirs" / file).read_bytes()
