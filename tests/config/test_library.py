"""What other libraries' names a config may build: by rule, read from their source, and never a name or key that loads code or files."""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from fmcycle.config import build, compose, library
from fmcycle.errors import ConfigError


def problems(overrides) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compose.compose(list(overrides))
    return error.value.problems


def in_conf() -> list[str]:
    """Every name of another library that a shipped config builds."""
    texts = [file.read_text() for file in compose.conf_dir().rglob("*.yaml")]
    return sorted({name for text in texts for name in re.findall(r"_target_: ([\w.]+)", text) if library.rules(name)})


@pytest.mark.parametrize("target", in_conf())
def test_the_source_says_of_a_name_what_the_imported_class_says(target):
    thing = build.resolve(target)
    taken = inspect.signature(getattr(thing, "config_class", thing)).parameters.values()
    names = {each.name for each in taken if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}
    assert names == set(library.parameters(target)) - {"**", "num_labels"}


MODEL = {
    "_target_": "transformers.Qwen2ForCausalLM",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
IA3 = {"_target_": "peft.get_peft_model", "_partial_": True, "peft_config": {"_target_": "peft.IA3Config", "target_modules": "all-linear"}}


def write(project, group: str, node: dict) -> str:
    (project / f"conf/{group}/mine.yaml").write_text(yaml.safe_dump(node))
    return f"{group}=mine"


def test_a_new_model_of_transformers_is_one_yaml(project):
    chosen = write(project, "model", MODEL)
    made = build.build(compose.compose(["stage=pretrain", chosen]).section["model"])
    assert type(made).__name__ == "Qwen2ForCausalLM" and made.config.hidden_size == 32
    chosen = write(project, "model", MODEL | {"num_hiden_layers": 2})
    assert "model.num_hiden_layers: no such key in conf/model/mine.yaml; did you mean num_hidden_layers?" in problems([chosen])
    chosen = write(project, "model", MODEL | {"hidden_size": -1})
    assert any("model.hidden_size: must be a whole number of at least 1" in line for line in problems([chosen]))
    chosen = write(project, "model", MODEL | {"_target_": "transformers.Qwen2ForCausal"})
    assert "did you mean transformers.Qwen2ForCausalLM?" in problems([chosen])[0]


def test_a_new_adapter_of_peft_is_one_yaml(project):
    chosen = write(project, "strategy", IA3)
    model = build.build(compose.compose(["stage=pretrain", "model=llama_small"]).section["model"])
    adapted = build.build(compose.compose([chosen]).section["strategy"])(model)
    assert any("ia3" in name for name, each in adapted.named_parameters() if each.requires_grad)
    chosen = write(project, "strategy", IA3 | {"peft_config": {"_target_": "peft.IA3Config", "target_module": "all-linear"}})
    assert "did you mean target_modules?" in problems([chosen])[0]


@pytest.mark.parametrize(
    "target",
    [
        "transformers.AutoModelForCausalLM",
        "transformers.AutoConfig",
        "transformers.pipeline",
        "transformers.PreTrainedModel",
        "transformers.LlamaPreTrainedModel",
        "transformers.LlamaTokenizer",
        "transformers.GenerationConfig",
        "transformers.BitsAndBytesConfig",
        "transformers.TimmWrapperModel",
        "transformers.TimmBackboneConfig",
        "transformers.MraModel",
        "transformers.models.llama.modeling_llama.LlamaModel",
        "transformers.utils.hub.cached_file",
        "diffusers.DiffusionPipeline",
        "diffusers.AutoModel",
        "diffusers.ModelMixin",
        "diffusers.models.autoencoders.vae.VectorQuantizer",
        "peft.PeftModel",
        "peft.XLoraConfig",
        "peft.load_peft_weights",
        "peft.create_arrow_model",
        "torch.load",
        "torch.optim.Optimizer",
        "torch.optim.swa_utils.AveragedModel",
        "lightning.pytorch.loggers.Logger",
        "lightning.pytorch.LightningModule",
        "lightning.pytorch.Callback",
    ],
)
def test_what_loads_code_or_is_no_model_is_not_allowed(target):
    assert not build.allowed(target)
    with pytest.raises(ConfigError, match="_target_"):
        build.build({"_target_": target})


LOADS = [  # noun, key below it, value
    ("model", "auto_map", {"AutoModel": "evil.Model"}),
    ("model", "trust_remote_code", True),
    ("model", "name_or_path", "/tmp/evil"),
    ("model", "attn_implementation", "evil/kernel"),
    ("model", "rope_parameters", {"rope_type": "default", "inner": [{"auto_map": {"AutoConfig": "evil.Config"}}]}),
    ("strategy", "peft_config.megatron_core", "evil"),
    ("strategy", "peft_config.tokenizer_name_or_path", "/tmp/evil"),
    ("strategy", "peft_config.auto_mapping", {"parent_library": "evil"}),
    ("strategy", "peft_config.corda_config", {"cache_file": "/tmp/evil.pt"}),
]


@pytest.mark.parametrize("door", ["command line", "yaml in conf", "experiment", "build"])
@pytest.mark.parametrize(("noun", "key", "value"), LOADS)
def test_a_key_that_loads_code_or_files_is_refused_at_every_door(project, door, noun, key, value):
    node = json.loads(json.dumps(MODEL if noun == "model" else IA3))
    inner = node
    for name in key.split(".")[:-1]:
        inner = inner[name]
    inner[key.rpartition(".")[2]] = value
    if door == "build":
        with pytest.raises(ConfigError, match="names code, weights or files"):
            build.build(node)
        return
    if door == "yaml in conf":
        overrides = [write(project, noun, node)]
    elif door == "experiment":
        (project / "conf/experiment/x.yaml").write_text(f"# @package _global_\n{yaml.safe_dump({noun: node})}")
        overrides = ["experiment=x"]
    else:
        overrides = [write(project, noun, MODEL if noun == "model" else IA3), f"++{noun}.{key}={json.dumps(value).replace(chr(34), '')}"]
        overrides[1] = overrides[1].replace("/tmp/evil", "'/tmp/evil'") if "name_or_path" in key else overrides[1]
    assert any("names code, weights or files that the library would load" in line for line in problems(["stage=finetune", *overrides]))


def test_models_that_another_library_makes_by_name_are_refused_inside_too():
    node = {"_target_": "transformers.LlavaForConditionalGeneration", "vision_config": {"model_type": "timm_wrapper", "architecture": "x"}}
    assert library.closed(node) == ["vision_config.model_type"]


@pytest.fixture
def cold(tmp_path, monkeypatch):
    """No signature is known: a cache file that is not there."""
    monkeypatch.setenv("FMCYCLE_CACHE", str(tmp_path / "cache"))
    library._kept.cache_clear()
    yield tmp_path / "cache/signatures.json"
    library._kept.cache_clear()


def test_a_cache_permits_nothing(cold):
    cold.parent.mkdir()
    cold.write_text(json.dumps({library._release("transformers"): {"transformers.pipeline": {"task": "str"}}}))
    with pytest.raises(ConfigError, match="may not build"):
        build.build({"_target_": "transformers.pipeline", "task": "text-generation"})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"b": 2}}', '{"a": {"b": {"c": 3}}}', "null"])
def test_a_damaged_cache_is_read_anew(cold, text):
    cold.parent.mkdir()
    cold.write_text(text)
    assert "hidden_size" in library.parameters("transformers.LlamaConfig")
    library.keep()
    assert library._release("transformers") in json.loads(cold.read_text())


def test_the_first_command_says_what_it_reads_and_the_second_reads_nothing(project, root):
    shutil.rmtree(project / ".cache")
    code = (
        "import sys; from fmcycle.config import compose; compose.compose(['model=llama_small', 'strategy=lora']);"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True) for _ in range(2)
    )
    assert len(first.stderr.splitlines()) == 1 and "transformers" in first.stderr and ".cache/signatures.json" in first.stderr
    assert second.stderr == "" and (project / ".cache/signatures.json").is_file()


LOADERS = {"get_kernel", "load", "import_module", "create_model", "hf_hub_download", "cached_file", "open", "from_pretrained", "load_file"}
KNOWN = {  # asked for by a key of CLOSED, in a name that no rule allows, or by a method that no config calls
    "auto/configuration_auto",
    *("mra/modeling_mra", "rwkv/modeling_rwkv", "yoso/modeling_yoso", "sam3_video/modeling_sam3_video"),
    *("timm_backbone/modeling_timm_backbone", "timm_wrapper/modeling_timm_wrapper", "qwen2_5_omni/modeling_qwen2_5_omni"),
    *("models/attention_dispatch", "models/model_loading_utils", "autoencoders/ltx2_diffusion_decoder", "autoencoders/vae"),
    *("schedulers/scheduling_utils", "boft/layer", "cartridge/utils", "lora/arrow", "lora/corda", "lora/loraga", "lora/tp_layer"),
    *("multitask_prompt_tuning/model", "prompt_tuning/model", "shadow/model", "shadow/diffusion_models", "xlora/model", "loggers/mlflow"),
}


@pytest.mark.prove
def test_what_the_rules_allow_loads_nothing_but_where_it_is_known():
    """A release with a new place that loads code, weights or files fails here: look at what asks for it, close that, then name it."""
    found = set()
    files = {file for rule in library.RULES for file in rule.folder.glob(rule.files.replace("config.py", "*.py"))}
    for file in files:
        waiting: list = [ast.parse(file.read_text())]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef) and node.name.startswith(("from_", "load_adapter", "save_", "push", "_load_from")):
                continue
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in LOADERS:
                found.add(f"{file.parent.name}/{file.stem}")
            waiting += ast.iter_child_nodes(node)
    assert found == KNOWN
