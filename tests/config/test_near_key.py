"""A key that stands elsewhere in the config is named with its full path, whichever door the wrong one comes by."""

import pytest
import yaml

from fmcycle.config import compose, groups, near_key, selection
from fmcycle.errors import ConfigError

KEYS = {
    "lr": "optimizer.lr",
    "max_steps": "budget.max_steps",
    "seeed": "budget.seed",
    "lora_alpha": "strategy.peft_config.lora_alpha",
    "strategy.r": "strategy.peft_config.r",
    "peft_config.r": "strategy.peft_config.r",
    "optimzer.lr": "optimizer.lr",
    "strategy.lr": "optimizer.lr",
    "precision": "budget.precision or trainer.precision",
    "use_dora": "strategy.peft_config.use_dora? It may be added with +strategy.peft_config.use_dora=3",
}


def problems(*overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        compose.compose(["stage=finetune", *overrides])
    return "\n".join(error.value.problems)


@pytest.mark.parametrize("key", KEYS)
def test_on_the_command_line(key, project):
    found = problems(f"{key}=3")
    assert found.startswith(f"{key}: no such key in conf/") and f"did you mean {KEYS[key]}" in found, found


@pytest.mark.parametrize("sign", ["+", "++"])
def test_of_a_key_that_is_added(sign, project):
    assert problems(f"{sign}lr=3") == "lr: no such key in conf/stage/finetune.yaml; did you mean optimizer.lr?"


def test_in_a_mapping(project):
    assert "optimizer.lrr: no such key in conf/optimizer/adamw.yaml; did you mean lr?" in problems("optimizer={lrr: 1}")


def test_every_key_below_a_group_leads_to_its_place(project):
    composed = compose.compose(["stage=finetune"]).config()
    known = [*composed, *groups.names()]
    for group in ("optimizer", "budget", "trainer", "data", "model"):
        for name in (name for name in composed[group] if name[0] != "_" and name not in known):
            assert f"{group}.{name}" in near_key.key(name, composed, known), name


def test_in_a_sweep(project, fmcycle):
    found = fmcycle("finetune", "-m", "lr=1e-4,1e-3")
    assert found.returncode == 2 and "did you mean optimizer.lr?" in found.stderr and "Traceback" not in found.stderr


def test_in_an_experiment_which_is_then_the_file(project):
    (project / "conf/experiment/x.yaml").write_text("# @package _global_\nlr: 0.1\noptimizer: {lrr: 3}\n")
    found = problems("experiment=x")
    assert "lr: no such key in conf/experiment/x.yaml; did you mean optimizer.lr?" in found
    assert "optimizer.lrr: no such key in conf/experiment/x.yaml; did you mean lr?" in found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"lr": 0.1}, "lr: no such group in params.yaml; did you mean overrides.STAGE.optimizer.lr with STAGE align or "),
        ({"overrides": {"lr": 0.1}}, "overrides.lr: no such stage in params.yaml; did you mean overrides.STAGE.optimizer.lr with "),
        ({"overrides": {"finetune": {"lr": 0.1}}}, "lr: no such key in conf/stage/finetune.yaml; did you mean optimizer.lr?"),
        ({"overrides": 3}, "params.yaml: overrides must hold `key: value` lines"),
        ({"stages": {"finetune": "full"}}, "params.yaml: stages.finetune must hold `key: value` lines"),
        (["lr"], "params.yaml: it must hold `key: value` lines"),
    ],
)
def test_in_params_yaml(content, said, project):
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as error:
        compose.compose(["stage=finetune", *selection.selection("finetune")])
    assert said in error.value.problems[0]


def test_a_params_yaml_that_is_no_yaml(project):
    (project / "params.yaml").write_text("model: {a:\n")
    with pytest.raises(ConfigError, match=r"params\.yaml: not valid YAML"):
        selection.selection("finetune")


def test_in_local_yaml(project):
    (project / "local.yaml").write_text("precision: bf16-true\nlr: 1\n")
    with pytest.raises(ConfigError) as error:
        selection.local()
    assert error.value.problems[0].endswith("; did you mean trainer.precision?")
    assert "did you mean overrides.STAGE.optimizer.lr with STAGE" in error.value.problems[1]
    (project / "local.yaml").write_text("trainer: {lr: 1}\n")
    assert "did you mean optimizer.lr?" in problems(*selection.local())
