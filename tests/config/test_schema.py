"""The schemas for editors: every yaml of conf/ is valid, and a wrong key, type, range, option or name is not."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from fmcycle.cli import main
from fmcycle.config import groups, schema
from fmcycle.config.build import build
from fmcycle.ranges import Fraction, PositiveFloat, PositiveInt

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def every(signatures, tmp_path_factory):
    """{file name: (pattern, validator)}, as this repository has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FMCYCLE_CACHE", str(signatures.parent))
        patch.chdir(ROOT)
        found = schema.every()
    for _, content in found.values():
        jsonschema.Draft7Validator.check_schema(content)
    return {name: (pattern, jsonschema.Draft7Validator(content)) for name, (pattern, content) in found.items()}


def faults(every, name: str, content) -> list[str]:
    return [error.message for error in every[f"{name}.json"][1].iter_errors(content)]


def test_every_yaml_of_conf_and_of_the_templates_is_valid(every):
    seen = 0
    for name, (pattern, _) in every.items():
        files = [*ROOT.glob(pattern), *(ROOT / "src/fmcycle/project").glob(f"*/{pattern}")]
        for file in files:
            content = yaml.safe_load(file.read_text()) or {}
            if file.is_relative_to(ROOT / "src") and file.name == "params.yaml":  # it chooses a gate of its own project
                content["stages"]["package"].pop("gate")
            assert not faults(every, name.removesuffix(".json"), content), file
            seen += 1
    assert seen > 150 and {f"{group}.json" for group in groups.names()} <= {*every}


WRONG = [  # what a yaml holds, and what the fault names
    ("params", {"modle": "llama_small"}, "modle"),
    ("params", {"model": "llama_smal"}, "llama_smal"),
    ("params", {"stages": {"finetun": {"strategy": "lora"}}}, "finetun"),
    ("params", {"stages": {"finetune": {"strategy": "lorra"}}}, "lorra"),
    ("params", {"overrides": {"finetune": {"optimizer": {"rl": 0.1}}}}, "rl"),
    ("params", {"overrides": {"finetune": {"budget": {"max_steps": "many"}}}}, "many"),
    ("params", {"overrides": {"finetune": {"budget": {"max_steps": -1}}}}, "-1"),
    ("local", {"trainer": "gpuu"}, "gpuu"),
    ("local", {"model": "llama_small"}, "model"),
    ("local", {"trainer.threadz": 2}, "trainer.threadz"),
    ("budget", {"_target_": "fmcycle.training.budget.Budget", "max_stepz": 1}, "max_stepz"),
    ("budget", {"_target_": "fmcycle.training.budget.Budget", "max_steps": 1, "global_batch": 0}, "0"),
    ("objective", {"_target_": "fmcycle.objective.dpo.Dpo"}, "Dpo"),
    ("objective", {"_target_": "fmcycle.objective.dpo.DPO", "betta": 0.1}, "betta"),
    ("evaluation", {"mine": {"_target_": "fmcycle.evaluation.safety.Safety", "per_knd": 1}}, "per_knd"),
    ("model", {"_target_": "transformers.LlamaForCausalLM", "hiden_size": 64}, "hiden_size"),
    ("strategy", {"_target_": "os.system", "command": "x"}, "os.system"),
    ("stage", {"_target_": "fmcycle.stage.train.run", "objektive": {}}, "objektive"),
]


RIGHT = [
    ("params", {"stages": {"collect": {"source": ["bible", "local"], "+source@source.mine": "local"}, "curate": None}, "overrides": None}),
    ("params", {"stages": {"select": {"evaluation@judge": ["instruction"]}}, "model": "models/mine"}),
    (
        "params",
        {"overrides": {"finetune": {"optimizer.lr": 0.1, "evaluation": {"instruction": {"limit": 3}}, "budget": {"clip": "${a.b}"}}}},
    ),
    ("local", {"trainer": "gpu", "trainer.threads": 2, "logger": ["csv", "wandb"]}),
    ("local", {"trainer": {"threads": 2}}),
]


@pytest.mark.parametrize(("name", "content"), RIGHT)
def test_what_is_right_is_not_marked(every, name, content):
    assert not faults(every, name, content)


@pytest.mark.parametrize(("name", "content", "said"), WRONG)
def test_what_is_wrong_is_marked(every, name, content, said):
    found = faults(every, name, content)
    assert found and said in " ".join(found)


def test_each_misspelt_key_of_each_option_of_a_closed_constructor_is_marked(every):
    count = 0
    for name, (pattern, _) in every.items():
        for file in ROOT.glob(pattern) if pattern.startswith("conf/") else ():
            content = yaml.safe_load(file.read_text())
            if isinstance(content, dict) and str(content.get("_target_", "")).startswith("fmcycle."):
                wrong = copy.deepcopy(content) | {"no_such_key": 1}
                assert faults(every, name.removesuffix(".json"), wrong), file
                count += 1
    assert count > 60


def test_an_interpolation_stands_for_any_value_and_a_description_explains_it(every):
    assert not faults(every, "budget", {"_target_": "fmcycle.training.budget.Budget", "max_steps": "${key}", "global_batch": 8})
    definition = every["budget.json"][1].schema["definitions"]["fmcycle.training.budget.Budget"]
    assert definition["description"] == build.__globals__["resolve"]("fmcycle.training.budget.Budget").__doc__.partition("\n")[0]
    assert "linear" in definition["properties"]["schedule"]["description"]


def test_a_range_is_the_range_of_the_signature():
    assert schema.of_type(PositiveInt) == {"type": "integer", "minimum": 1}
    assert schema.of_type(PositiveFloat) == {"type": "number", "exclusiveMinimum": 0}
    assert schema.of_type(Fraction) == {"type": "number", "minimum": 0, "maximum": 1}
    assert schema.of_type(str | None) == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_the_command_writes_them_and_leaves_settings_that_are_there(project, capsys):
    assert main.main(["schema"]) == 0
    assert ".vscode/settings.json names them" in capsys.readouterr().out
    written = {file.name: json.loads(file.read_text()) for file in (project / "schemas").iterdir()}
    assert {*written} == {*schema.patterns()}
    (project / ".vscode/settings.json").write_text("{}")
    assert main.main(["schema", "other"]) == 0
    assert "was not changed" in capsys.readouterr().out and (project / ".vscode/settings.json").read_text() == "{}"
