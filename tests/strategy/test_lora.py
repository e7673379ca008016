import warnings
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.model.adapter import load, merge, save, with_tokens
from fmcycle.processor import store
from fmcycle.strategy.freeze import freeze
from fmcycle.strategy.full import full

WRITTEN = yaml.safe_load((Path(__file__).parents[2] / "conf/strategy/lora.yaml").read_text())
LORA = WRITTEN | {"peft_config": WRITTEN["peft_config"] | {"trainable_token_indices": [2, 3, 4, 5]}}
IDS = torch.arange(20).view(2, 10)  # special tokens among them


def base(material):
    return model_store.load_model(material / "model")[0]


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
    torch.testing.assert_close(merge(model)(IDS).logits, before, rtol=1e-4, atol=1e-4)


def test_a_merge_that_changes_answers_or_nothing_is_refused(material, monkeypatch):
    with pytest.raises(ValueError, match="changes nothing"):
        merge(build(LORA)(base(material)).eval())
    model = adapted(material)
    with torch.no_grad():
        model.get_base_model().model.layers[0].mlp.down_proj.scaling["default"] *= 2
    honest = model.merge_and_unload

    def wrong():
        merged = honest()
        merged.model.layers[0].mlp.down_proj.weight.data += 0.05
        return merged

    monkeypatch.setattr(model, "merge_and_unload", wrong)
    with pytest.raises(ValueError, match="nats from the adapter"):
        merge(model)


def test_an_adapter_goes_on_its_own_base_only_and_with_all_its_weights(material, tmp_path):
    save(adapted(material), tmp_path / "adapter")
    loaded = load(base(material), tmp_path / "adapter")
    assert all(p.requires_grad for name, p in loaded.named_parameters() if "lora" in name)
    torch.testing.assert_close(loaded.eval()(IDS).logits, adapted(material)(IDS).logits)
    other = base(material)
    with torch.no_grad():
        other.model.norm.weight[0] += 1
    with pytest.raises(InputError, match="give it its own base"):
        load(other, tmp_path / "adapter")
    file = tmp_path / "adapter/adapter_model.safetensors"
    weights = load_file(file)
    name = next(iter(weights))
    save_file({f"{key}x" if key == name else key: value for key, value in weights.items()}, file)
    with pytest.raises(InputError, match="sha256"):
        load(base(material), tmp_path / "adapter")
    (tmp_path / "adapter" / artifact.MANIFEST).unlink()
    with pytest.raises(InputError, match=f"missing.*{name}.*unexpected.*{name}x"):
        load(base(material), tmp_path / "adapter")


def asked(indices):
    return {"peft_config": {"trainable_token_indices": indices}}


def test_the_chat_s_special_tokens_are_those_of_the_processor_and_stand_in_the_adapter(material, tmp_path):
    processor = store.load_processor(material / "model")
    assert with_tokens(WRITTEN, processor) == LORA
    assert processor.convert_ids_to_tokens([2, 3, 4, 5]) == ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    save(build(with_tokens(WRITTEN, processor))(base(material)), tmp_path / "adapter")
    assert artifact.read_json(tmp_path / "adapter/adapter_config.json")["trainable_token_indices"] == [2, 3, 4, 5]
    processor.chat_template = "{% for message in messages %}{{ raise_exception('no system') if message['role'] == 'system' }}" + (
        "<|user|>{{ message['content'] }}<|end|>{% endfor %}"
    )
    assert with_tokens(asked("chat"), processor) == asked([3, 5])
    processor.chat_template = None
    assert with_tokens(asked("chat"), processor) == with_tokens(asked("chat"), None) == asked(None)
    assert with_tokens({}, processor) == {} and with_tokens(asked([]), processor) == asked([])


def test_token_rows_of_another_processor_are_named(material):
    processor = store.load_processor(material / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_tokens(LORA, processor) == LORA
    with pytest.warns(UserWarning, match=r"trains '.*' too; the special tokens of this processor are \[0, 1, 2"):
        with_tokens(asked({"embed_tokens": [1, 300]}), processor)
    for outside in ([10**6], [-1]):
        with pytest.raises(InputError, match="tokens only"):
            with_tokens(asked(outside), processor)


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
    with pytest.raises(InputError, match="matches no weight"):
        freeze(base(material), train=["nrom"])


def test_full_trains_everything(material):
    assert all(p.requires_grad for p in full(freeze(base(material), train=["norm"])).parameters())
