"""Every objective in conf/objective builds and keeps the contract: a summed loss, the count it is over, a gradient."""

from pathlib import Path

import pytest
import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from fmcycle.build import build
from fmcycle.training import speed

FILES = sorted((Path(__file__).parents[2] / "conf/objective").glob("*.yaml"))
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64, "pad_token_id": 1}


def model_of(name: str):
    torch.manual_seed(0)
    if name == "classify":
        return LlamaForSequenceClassification(LlamaConfig(num_labels=3, **SIZES))
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def batch_of(name: str, rows: slice = slice(None)) -> dict:
    """Eight rows of ragged length, padded at their right end."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 64, (8, 12), generator=generator)
    labels = ids.clone()
    for row in range(8):
        ids[row, 12 - row :], labels[row, 12 - row :] = 1, -100
    side = {"input_ids": ids[rows], "labels": labels[rows]}
    if name == "dpo":
        other = {"input_ids": ids.flip(0)[rows], "labels": labels.flip(0)[rows]}
        return {"chosen": side, "rejected": other, "reference_margin": torch.linspace(-1, 1, 8)[rows]}
    return {"input_ids": side["input_ids"], "labels": torch.arange(8)[rows] % 3} if name == "classify" else side


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_loss_is_a_sum_over_a_count_and_has_a_gradient(file):
    name, objective = file.stem, build(yaml.safe_load(file.read_text()))
    model = model_of(name)
    out = objective(model, batch_of(name))
    assert out["loss"].ndim == 0 and float(out["count"]) > 0
    out["loss"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != "masked_token"], ids=lambda file: file.stem)
def test_parts_of_a_batch_add_up_to_it(file):
    name, objective = file.stem, build(yaml.safe_load(file.read_text()))
    model = model_of(name)
    whole = objective(model, batch_of(name))
    parts = [objective(model, batch_of(name, rows)) for rows in (slice(0, 3), slice(3, 8))]
    assert sum(float(part["count"]) for part in parts) == float(whole["count"])
    torch.testing.assert_close(sum(part["loss"] for part in parts), whole["loss"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_fused_equals_plain(file):
    name, objective = file.stem, build(yaml.safe_load(file.read_text()))
    found = []
    for rewrite in (speed.plain, speed.fuse):
        model = rewrite(model_of(name))
        torch.manual_seed(3)
        out = objective(model, batch_of(name))
        out["loss"].backward()
        found.append([out["loss"].detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
