"""`model=PATH` in every stage and at every door: what the stage then reads, and what is said of a path that is no model."""

import json

import gguf_file
import pytest
import yaml

from fmcycle.artifact import external
from fmcycle.cli.command_line import expand
from fmcycle.config import compose, groups, selection
from fmcycle.config.model_path import CONVERT, named
from fmcycle.errors import ConfigError
from fmcycle.model import store as model_store

TRAIN = ("finetune", "align", "continue_pretrain")


@pytest.fixture
def models(project, material):
    """models/ with a folder, a GGUF file, an adapter with and one without a base, and things that are no models."""
    place = project / "models"
    place.mkdir()
    (place / "mine").symlink_to(material / "model")
    gguf_file.write(place / "tiny.gguf", *model_store.load_model(material / "model"), licence="apache-2.0", cut="gpt-2")
    for name, base in (("adapter", "models/mine"), ("lost", "owner/base")):
        (place / name).mkdir()
        (place / name / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    (place / "run/out").mkdir(parents=True)
    (place / "run/out/model").symlink_to(material / "model")
    (place / "nothing").mkdir()
    (place / "a b").symlink_to(material / "model")
    return project


def composed(*words):
    return compose.compose(expand(list(words))[1])


@pytest.mark.parametrize("stage", TRAIN)
@pytest.mark.parametrize("path", ["models/mine", "models/tiny.gguf", "models/adapter", "models/a b", "models/run"])
def test_a_stage_that_trains_starts_at_the_weights_of_the_path(models, stage, path):
    found = composed(
        f"stage={stage}", f"model={path}", "data.max_length=64", "strategy=full", *(["evaluation=[]"] if stage == TRAIN[2] else [])
    )
    assert found.inputs["model"] == CONVERT and found.choices["processor"] == "pretrained"
    assert found.section["model"]["path"] == (path if path != "models/run" else "models/run/out/model")
    assert stage == TRAIN[2] or found.inputs["reference"] == CONVERT


def test_select_judges_and_trains_on_from_the_path(models):
    found = composed("stage=select", "model=models/mine")
    assert (found.inputs["aligned"], found.inputs["finetuned"]) == (CONVERT, CONVERT)


@pytest.mark.parametrize("stage", ["evaluate", "evaluate_on", "package", "compress"])
def test_a_stage_that_trains_nothing_reads_the_path_itself(models, stage):
    more = {"package": ["gate=none"], "evaluate": ["inputs.instructions=my.jsonl"]}.get(stage, [])
    found = composed(f"stage={stage}", "model=models/adapter", "model.base=models/mine", *more)
    assert found.inputs["model"] == "models/adapter" and found.inputs["base"] == "models/mine"
    assert not [value for name, value in found.inputs.items() if str(value).startswith(("stage:", "made:"))]


def test_an_evaluation_without_rows_is_left_out_if_others_have_theirs(models):
    found = composed("stage=evaluate", "model=models/mine", "inputs.instructions=my.jsonl")
    assert list(found.section["evaluation"]) == ["instruction"] and found.section["sample"]["prompts"] == "<prompts>"
    found = composed("stage=evaluate", "model=models/mine", "inputs.documents=my.jsonl", "evaluation.bits_per_byte.context=64")
    assert list(found.section["evaluation"]) == ["bits_per_byte"] and found.section["sample"] is None
    assert list(composed("stage=evaluate", "model=models/mine", "evaluation=[instruction]").section["evaluation"]) == ["instruction"]
    usual = [f"stage:curate/{name}.parquet" for name in ("documents", "instructions", "preferences", "prompts")]
    found = composed("stage=evaluate", "model=models/mine", "evaluation.bits_per_byte.context=64")
    assert [found.inputs[name] for name in ("documents", "instructions", "preferences", "prompts")] == usual


def test_package_refuses_a_gate_over_figures_that_were_not_measured(models):
    with pytest.raises(ConfigError, match=r"inputs.metrics: is null, and the gate bounds bits_per_byte, .* or choose gate=none"):
        composed("stage=package", "model=models/mine")
    assert composed("stage=package", "model=models/mine", "inputs.metrics=m.json").inputs["metrics"] == "m.json"


WRONG = {
    "models/mien": r"^model=models/mien: is not there; did you mean model=models/mine\?$",
    "owner/name": r"^model=owner/name: is not there; did you mean model=hub:owner/name\?$",
    "/nowhere/at/all": r"is not there; name one that exists",
    "models": r"is no model, but holds .*mine.* did you mean models/",
    "models/nothing": r"is no model; it holds nothing: a model folder holds config.json, \*.safetensors",
    "params.yaml": r"is no model: a model folder holds",
    "models/mine/model.safetensors": r"did you mean its folder, models/mine\?",
    "models/lost": r"is an adapter of owner/base, which is not here: .* model.base=PATH, such as model.base=hub:owner/base",
    "models/mine,llama_tiny": r"sweep over paths or over options, not over both: llama_tiny is no path",
}


@pytest.mark.parametrize("path", WRONG)
@pytest.mark.parametrize("stage", ["finetune", "evaluate", "package"])
def test_a_path_that_is_no_model_is_refused_with_what_was_meant(models, stage, path):
    with pytest.raises(ConfigError, match=WRONG[path]):
        expand(["-m", f"stage={stage}", f"model={path}"])


def test_a_stage_that_reads_no_model_says_which_do(models):
    with pytest.raises(ConfigError, match=r"model=models/mine: curate reads no model; the stages that do: align, .*, select"):
        expand(["stage=curate", "model=models/mine"])


def test_a_sweep_over_paths_is_one_over_their_key(models):
    _, words = expand(["-m", "stage=finetune", "model=models/mine,models/a b"])
    assert "model.path=models/mine,'models/a b'" in words
    assert "inputs.model=models/mine,models/run/out/model" in expand(["-m", "stage=evaluate", "model=models/mine,models/run"])[1]


def test_an_option_stays_an_option_whatever_lies_beside_it(models):
    (models / "minilm").mkdir()
    assert named(["model=minilm"]) == ["model=minilm"]
    assert "model.path=./minilm" not in named(["stage=finetune", "model=llama_small"])


def test_params_yaml_names_a_path_for_the_whole_pipeline(models):
    chosen = yaml.safe_load((models / "params.yaml").read_text()) | {"model": "models/mine"}
    chosen["overrides"] = {"pretrain": {"evaluation": {"bits_per_byte": {"context": 64}}}, "finetune": {"data": {"max_length": 64}}}
    chosen["overrides"]["pretrain"]["data"] = {"max_length": 64}
    (models / "params.yaml").write_text(yaml.safe_dump(chosen))
    pretrain = compose.compose(["stage=pretrain", *selection.selection("pretrain")])
    assert pretrain.section["model"]["path"] == "models/mine" and pretrain.section["budget"]["max_steps"] == 0
    finetune = compose.compose(["stage=finetune", *selection.selection("finetune")])
    assert finetune.section["model"]["path"] == "models/mine" and finetune.inputs["model"] == "stage:pretrain/model"
    assert not [text for text in selection.selection("finetune", model="llama_tiny") if text.startswith("model.path")]
    graph = {"stages": {stage: {"cmd": "", "deps": ["conf"]} for stage in groups.stages()}}
    (models / "dvc.yaml").write_text(yaml.safe_dump(graph))
    with pytest.raises(ConfigError, match=r"model: models/mine is not among the deps of pretrain in dvc.yaml: add it"):
        selection.pipeline()


SHORT = {
    "models/mine": 128,
    "models/tiny.gguf": 128,
    "models/adapter": 128,
}


@pytest.mark.parametrize("path", SHORT)
def test_sizes_of_weights_in_any_form_are_known_when_composing(models, path):
    with pytest.raises(ConfigError) as error:
        composed("stage=finetune", f"model={path}", "strategy.peft_config.r=80", "evaluation.instruction.max_new_tokens=128")
    assert error.value.problems == [
        "strategy.peft_config.r 80 exceeds the model's width 64: lower strategy.peft_config.r",
        "data.max_length 512 exceeds the model's 128 positions: lower data.max_length",
        "evaluation.instruction.max_new_tokens 128 leaves no room for a prompt in the model's 128 positions: "
        "lower evaluation.instruction.max_new_tokens",
    ]


def test_a_wheel_that_is_here_has_sizes_too(models, cache, make_wheel):
    wheel, package = make_wheel("tiny-model", {"tiny/a.gguf": (models / "models/tiny.gguf").read_bytes()}, cache)
    assert external.sizes({"path": "tiny/a.gguf", "package": package})["max_position_embeddings"] == 128
    external.located("tiny/a.gguf", package)
    wheel.unlink()
    assert external.sizes({"path": "tiny/a.gguf", "package": package})["hidden_size"] == 64
    assert external.sizes({"path": "tiny/b.gguf", "package": package | {"sha256": "0"}}) == {}


def test_a_context_beyond_the_positions_of_the_model_in_inputs_is_refused(models):
    with pytest.raises(ConfigError, match=r"evaluation.bits_per_byte.context 256 exceeds the model's 128 positions: lower"):
        composed("stage=evaluate", "model=models/mine", "inputs.documents=my.jsonl")


@pytest.mark.parametrize("key", ["optimizer.lr", "data.max_length", "budget.max_steps", "strategy.peft_config.r"])
def test_null_is_refused_beside_weights_too(models, key):
    with pytest.raises(ConfigError, match=rf"^{key}: must be .* not None"):
        composed("stage=finetune", "model=models/mine", *(["data.max_length=64"] if key != "data.max_length" else []), f"{key}=null")


def test_a_model_of_a_hub_is_fetched_and_read_like_a_folder(project, hub, material):
    files = {file.name: file.read_bytes() for file in (material / "model").iterdir() if file.name != "manifest.json"}
    sha = hub.add("models", "me/tiny", files)
    found = composed("stage=finetune", f"model=hub:me/tiny@{sha}", "data.max_length=64")
    place = found.section["model"]["path"]
    assert sha in place and found.inputs["model"] == CONVERT
    assert composed("stage=package", f"model=hub:me/tiny@{sha}", "gate=none").inputs["model"] == place
