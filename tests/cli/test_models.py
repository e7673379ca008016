"""The catalog: every model of conf/model, with what its config and the runs tell."""

import json

from fmcycle.cli import models
from fmcycle.config.build import conf_dir


def test_every_model_stands_in_the_catalog_with_its_family_and_size(project, capsys):
    assert models.main(["json"]) == 0
    found = {entry["name"]: entry for entry in map(json.loads, capsys.readouterr().out.splitlines())}
    assert set(found) == {file.stem for file in (conf_dir() / "model").glob("*.yaml")}
    own = {name: entry for name, entry in found.items() if entry["licence"].startswith("yours")}
    assert len(own) > 8 and all(entry["parameters"] > 1000 and entry["modality"] != models.MISSING for entry in own.values())
    assert found["llama_small"]["family"] == "decoder" and found["llama_small"]["parameters"] == 1_840_256
    assert found["llama_small"]["train"] == 16 * 1_840_256 and found["smollm2_135m"]["licence"] == "Apache-2.0"
    assert found["ddpm_small"]["modality"] == "class to picture" and found["image_gpt_small"]["modality"] == "picture"


def test_what_a_run_of_the_same_model_reached_is_told_without_its_baselines(project):
    node = {"_target_": "transformers.LlamaForCausalLM", "hidden_size": 8}
    metrics = {"a/b": 1.0, "a/b/n": 3, "accuracy": 0.5, "accuracy/n": 9, "baseline/accuracy": 0.9, "baseline/accuracy/n": 9, "steps": 4}
    known = [
        {"section": {"model": node | {"hidden_size": 16}}, "metrics": {"x": 1, "x/n": 1}},
        {"section": {"model": node}, "metrics": metrics},
    ]
    assert models.reached(node, known) == {"accuracy": 0.5, "a/b": 1.0}
    assert models.reached(node, known[:1]) == {}


def test_numbers_are_short():
    assert [models.number(value, "B") for value in (None, 12, 4_200_000, 2_000_000_000)] == [models.MISSING, "12 B", "4.2 MB", "2.0 GB"]
