import copy
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import MixtralConfig, MixtralForCausalLM

from fmcycle.artifact import folder as artifact
from fmcycle.config.build import build
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.model.adapted import adapted as adapted_to
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
    for wrong, said in ((["nrom"], "nrom matches no weight.*did you mean norm"), (["norm", "lm_haed"], "lm_haed match"), ([], "is empty")):
        with pytest.raises(InputError, match=said):
            freeze(base(material), train=wrong)


def test_full_trains_everything(material):
    assert all(p.requires_grad for p in full(freeze(base(material), train=["norm"])).parameters())


def peft_config(**changes):
    return LORA | {"peft_config": LORA["peft_config"] | changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target_modules": ["q_proj", "v_pruj"]}, "target_modules: v_pruj fits nothing in this LlamaForCausalLM; did you mean v_proj?"),
        ({"target_modules": ["query_key_value", "dense_4h"]}, "target_modules: query_key_value fits nothing"),
        ({"target_modules": "(q|v)_prooj"}, "does not fit this LlamaForCausalLM: Target modules"),
        ({"exclude_modules": ["lm_haed"]}, "exclude_modules: lm_haed fits nothing in this LlamaForCausalLM; did you mean lm_head?"),
        ({"modules_to_save": ["lm_head", "lm_haed"]}, "modules_to_save: lm_haed fits nothing"),
        ({"target_modules": ["q_proj"], "layers_to_transform": [0, 7]}, r"layer 7 of this LlamaForCausalLM, whose layers are \[0, 1\]"),
        ({"target_modules": ["q_proj"], "layers_to_transform": 2}, "is in layer 2"),
        ({"target_modules": ["q_proj", "lm_head"], "layers_to_transform": [0, 7]}, "is in layer 7"),
        ({"target_parameters": ["q_proj.wieght"]}, "target_parameters: q_proj.wieght fits nothing"),
        ({"rank_pattern": {"q_proj": 4, "k_prog": 8}}, "rank_pattern: k_prog fits nothing in this LlamaForCausalLM; did you mean k_proj?"),
        ({"alpha_pattern": {"k_prog": 8}}, "alpha_pattern: k_prog fits nothing"),
        ({"trainable_token_indices": {"embed_tokens": [2], "lm_haed": [2]}}, "trainable_token_indices: lm_haed fits nothing"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save trains embed_tokens whole, trainable_token_indices rows of it"),
    ],
)
def test_what_fits_nothing_in_the_model_is_refused_though_others_fit(material, changes, said):
    with pytest.raises(InputError, match=said):
        adapted_to(build(peft_config(**changes)), base(material))


def test_names_that_fit_are_adapted_whatever_their_form(material):
    for changes in (
        {"target_modules": ["layers.0.self_attn.q_proj", "v_proj"]},
        {"target_modules": ["q_proj"], "layers_to_transform": [1]},
        {"target_modules": r".*\.q_proj", "rank_pattern": {"layers.1.self_attn.q_proj": 2}},
        {"exclude_modules": ["lm_head"]},
    ):
        strategy = build(peft_config(**changes))
        assert [adapted_to(strategy, base(material)).get_nb_trainable_parameters() for _ in range(2)]
        assert strategy.keywords["peft_config"].target_modules == build(peft_config(**changes)).keywords["peft_config"].target_modules


@pytest.mark.parametrize(
    "changes",
    [
        {"modules_to_save": ["lm_head"], "trainable_token_indices": None},
        {"modules_to_save": ["embed_tokens"], "trainable_token_indices": None},
        {"bias": "all"},
        {"bias": "lora_only"},
        {"use_dora": True},
    ],
)
def test_an_adapter_that_trains_weights_of_its_base_too_goes_on_that_base(material, tmp_path, changes):
    torch.manual_seed(0)
    biased = base(material)
    for layer in biased.model.layers:
        layer.self_attn.q_proj.bias = torch.nn.Parameter(torch.zeros(64))
    trained = adapted_to(build(peft_config(**changes)), copy.deepcopy(biased))
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
    save(trained.eval(), tmp_path / "adapter")
    loaded = load(copy.deepcopy(biased), tmp_path / "adapter").eval()
    torch.testing.assert_close(loaded(IDS).logits, trained(IDS).logits)
    torch.testing.assert_close(merge(loaded)(IDS).logits, trained(IDS).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["IA3Config", "LoHaConfig", "VeraConfig", "LNTuningConfig", "OFTConfig"])
def test_an_adapter_of_another_method_goes_on_its_base(material, tmp_path, method):
    wanted = {"IA3Config": {"target_modules": ["v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}}
    wanted |= {"LNTuningConfig": {"target_modules": ["input_layernorm"]}, "VeraConfig": {"target_modules": ["q_proj"]}}
    config = {"_target_": f"peft.{method}", "target_modules": ["q_proj", "v_proj"]} | wanted.get(method, {})
    torch.manual_seed(0)
    trained = adapted_to(build({"_target_": "peft.get_peft_model", "_partial_": True, "peft_config": config}), base(material))
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
    save(trained.eval(), tmp_path / "adapter")
    loaded = load(base(material), tmp_path / "adapter").eval()
    torch.testing.assert_close(loaded(IDS).logits, trained(IDS).logits)


def test_experts_are_adapted_merged_and_loaded_as_dense_weights_are(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    whole = MixtralForCausalLM(MixtralConfig(vocab_size=64, num_local_experts=4, num_experts_per_tok=2, **sizes)).eval()
    trained = adapted_to(build(LORA), copy.deepcopy(whole)).eval()
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    before = trained(IDS).logits
    save(trained, tmp_path / "adapter")
    loaded = load(copy.deepcopy(whole), tmp_path / "adapter").eval()
    torch.testing.assert_close(loaded(IDS).logits, before)
    torch.testing.assert_close(merge(trained)(IDS).logits, before, rtol=1e-4, atol=1e-4)
