from pathlib import Path

import pytest
import torch
import yaml

from fmcycle import artifact
from fmcycle.build import build
from fmcycle.error import InputError
from fmcycle.strategy.adapter import save
from fmcycle.strategy.freeze import freeze
from fmcycle.strategy.full import full

LORA = yaml.safe_load((Path(__file__).parents[2] / "conf/strategy/lora.yaml").read_text())
IDS = torch.arange(20).view(2, 10)  # special tokens among them


def base(material):
    return artifact.load_model(material / "model")[0]


def adapted(material):
    """A LoRA model whose adapter does something."""
    torch.manual_seed(0)
    model = build(LORA)(base(material))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name or "trainable_tokens" in name:
                p.normal_(std=0.05)
    return model.eval()


def test_at_step_0_it_equals_the_base(material):
    torch.testing.assert_close(build(LORA)(base(material)).eval()(IDS).logits, base(material)(IDS).logits)


def test_only_the_adapter_is_trained(material):
    names = [name for name, p in build(LORA)(base(material)).named_parameters() if p.requires_grad]
    assert names and all("lora" in name or "trainable_tokens" in name for name in names)


def test_merged_equals_adapter(material):
    model = adapted(material)
    before = model(IDS).logits
    assert not torch.allclose(before, base(material)(IDS).logits, atol=1e-3)
    torch.testing.assert_close(model.merge_and_unload()(IDS).logits, before, rtol=1e-4, atol=1e-4)


def test_the_saved_adapter_on_the_base_equals_the_model_and_has_the_same_bytes_twice(material, tmp_path):
    from peft import PeftModel

    for name in ("first", "second"):
        save(adapted(material), tmp_path / name)
    assert artifact.verify(tmp_path / "first") == artifact.verify(tmp_path / "second")
    loaded = PeftModel.from_pretrained(base(material), str(tmp_path / "first")).eval()
    torch.testing.assert_close(loaded(IDS).logits, adapted(material)(IDS).logits)


def test_freeze_trains_what_it_names(material):
    model = freeze(base(material), train=["norm"])
    assert all(("norm" in name) == p.requires_grad for name, p in model.named_parameters())
    with pytest.raises(InputError, match="finds no weight"):
        freeze(base(material), train=["nrom"])


def test_full_trains_everything(material):
    assert all(p.requires_grad for p in full(freeze(base(material), train=["norm"])).parameters())
