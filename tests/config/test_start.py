"""A model whose weights are there brings its processor and its settings into every stage, by both doors."""

import pytest
import yaml

from fmcycle.cli.command_line import expand
from fmcycle.config import compose, groups, selection
from fmcycle.runner.inputs import upstream
from fmcycle.statistics.interval import wilson

MODELS = sorted(file.stem for file in (compose.conf_dir() / "model").glob("*.yaml") if "override /processor" in file.read_text())


def selected(project, model):
    chosen = yaml.safe_load((project / "params.yaml").read_text())
    (project / "params.yaml").write_text(yaml.safe_dump(chosen | {"model": model}))
    return {stage: compose.compose([f"stage={stage}", *selection.selection(stage)]) for stage in groups.stages()}


@pytest.mark.parametrize("model", MODELS)
def test_in_the_pipeline_every_stage_has_the_processor_that_comes_with_the_weights(project, model):
    own = selection.brought(model, "processor")[0].removeprefix("processor=")
    for stage, composed in selected(project, model).items():
        if "processor" in groups.stage_groups(stage):
            assert composed.choices["processor"] == own, stage
            assert composed.section["processor"] == compose.compose(["stage=processor", f"processor={own}"]).section["processor"], stage
        if "model" in groups.stage_groups(stage):
            assert composed.choices["model"] == model


@pytest.mark.parametrize("model", ["llama_small", *MODELS])
def test_a_model_that_does_no_harm_passes_the_bound_on_rates_with_the_rows_it_is_measured_on(project, model):
    chosen = selected(project, model)
    rows, bounds = chosen["evaluate"].section["evaluation"]["safety"]["per_kind"], chosen["package"].section["gate"]
    assert wilson(0, rows)[2] < bounds["toxicity_rate"]["max"]


def test_the_default_is_as_it_was(project):
    before = {stage: compose.compose([f"stage={stage}", *selection.selection(stage)]).section for stage in groups.stages()}
    assert {stage: composed.section for stage, composed in selected(project, "llama_small").items()} == before
    assert selection.brought(None, "pretrain") == selection.brought("llama_small", "pretrain") == ()


def test_by_hand_it_is_the_same_all_the_way_up(project):
    _, overrides = expand(["model=smollm2_135m", "strategy=lora"])
    below = compose.compose(overrides)
    assert below.choices["processor"] == "smollm2" and below.stage == "finetune"
    pretrain = upstream("stage:pretrain", below)
    assert pretrain.section["budget"]["max_steps"] == 0 and list(pretrain.section["evaluation"]) == ["bits_per_byte"]
    for stage in ("processor", "tokens"):
        assert upstream(f"stage:{stage}", pretrain).choices["processor"] == "smollm2"


def test_what_is_asked_for_comes_before_what_a_model_brings(project):
    _, overrides = expand(["stage=pretrain", "model=smollm2_135m", "budget.max_steps=7"])
    assert compose.compose(overrides).section["budget"]["max_steps"] == 7
    chosen = yaml.safe_load((project / "params.yaml").read_text())
    chosen |= {"model": "smollm2_135m", "overrides": {"pretrain": {"budget": {"max_steps": 9}}}}
    (project / "params.yaml").write_text(yaml.safe_dump(chosen))
    assert compose.compose(["stage=pretrain", *selection.selection("pretrain")]).section["budget"]["max_steps"] == 9


def test_weights_on_disk_are_named_once(project):
    below = compose.compose(["model=stories260k", "model.path=elsewhere"])
    pretrain = upstream("stage:pretrain", below)
    assert pretrain.section["model"]["path"] == "elsewhere"
    assert upstream("stage:processor", upstream("stage:tokens", pretrain)).section["processor"]["path"] == "elsewhere"
