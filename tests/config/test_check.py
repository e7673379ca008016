"""The config is closed: a wrong name or value never starts any work."""

import time

import pytest
import yaml

from fmcycle.config import compose
from fmcycle.errors import ConfigError


def problems(*overrides) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compose.compose(list(overrides))
    return error.value.problems


def keys(node, prefix=""):
    """Every dotted key of a plain config that a person may override."""
    for name, value in node.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{name}.")
        elif name not in ("_target_", "_partial_"):
            yield f"{prefix}{name}"


def mutated(key: str) -> str:
    """One letter less, in the last name of the key."""
    head, _, last = key.rpartition(".")
    return f"{head}.{last[0]}{last[2:]}" if head else f"{last[0]}{last[2:]}"


def test_every_key_mistyped_by_one_letter_is_refused_with_the_nearest_name(project):
    section = compose.compose(["stage=finetune"]).section | compose.compose(["stage=finetune"]).machine
    wanted = [key for key in keys(section) if len(key.rpartition(".")[2]) > 3 and not key.startswith("inputs")]
    assert len(wanted) > 25
    for key in wanted:
        start = time.process_time()
        (problem,) = problems("stage=finetune", f"{mutated(key)}=1")
        assert problem.startswith(f"{mutated(key)}: no such key in conf/"), problem
        assert f"did you mean {key.rpartition('.')[2]}?" in problem, problem
        assert time.process_time() - start < 5  # half a second is usual; a busy machine takes more


def test_all_wrong_names_come_at_once(project):
    found = problems("stage=finetune", "strategy=lorra", "model.hiden_size=3", "bojective=sft", "budget.max_step=1")
    assert [line.split(":")[0] for line in found] == ["strategy=lorra", "model.hiden_size", "bojective", "budget.max_step"]
    assert "did you mean lora?" in found[0] and "conf/model/llama_small.yaml; did you mean hidden_size?" in found[1]
    assert "did you mean objective?" in found[2] and "did you mean max_steps?" in found[3]


def test_a_group_that_the_stage_does_not_have_is_named(project):
    assert "stage curate has no group strategy" in problems("stage=curate", "strategy=lora")[0]


@pytest.mark.parametrize("group", ["model/llama_small", "objective/dpo", "budget/pretrain", "strategy/lora"])
def test_a_typing_error_inside_a_yaml_file_is_refused_and_the_file_named(project, group):
    file = project / f"conf/{group}.yaml"
    node = yaml.safe_load(file.read_text())
    inner = node.get("peft_config", node)
    inner["nonsense_key"] = 1
    file.write_text(yaml.safe_dump(node))
    stage = {"objective": "align", "budget": "pretrain"}.get(group.split("/")[0], "finetune")
    found = problems(f"stage={stage}")
    assert any("nonsense_key: no such key in conf/" + group in line for line in found), found


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("budget.max_steps=-5", "whole number of at least 0"),
        ("budget.max_steps=1e400", "whole number"),
        ("budget.max_steps=abc", "whole number"),
        ("budget.max_steps=true", "whole number"),
        ("model.hidden_size=12.5", "whole number"),
        ("model.num_hidden_layers=0", "at least 1"),
        ("optimizer.lr=abc", "a number above 0"),
        ("optimizer.lr=-1", "a number above 0"),
        ("optimizer.lr=nan", "a number above 0"),
        ("strategy.peft_config.lora_dropout=1.5", "at most 1"),
    ],
)
def test_wrong_types_and_ranges_are_refused(project, override, words):
    (problem,) = problems("stage=finetune", override)
    assert problem.startswith(override.split("=")[0]) and words in problem and "conf/" in problem


def test_values_that_exclude_each_other_are_refused(project):
    found = problems("stage=finetune", "strategy.peft_config.r=100000", "data.max_length=100000", "trainer.micro_batch=7")
    assert len(found) == 3
    assert "exceeds the model's width" in found[0] and "lower data.max_length or raise model.max_position_embeddings" in found[1]
    assert "not divisible" in found[2]
    (nested,) = problems("stage=pretrain", "data=mixture", "data.parts.sympy.data.max_length=2048")
    assert nested.startswith("data.parts.sympy.data.max_length 2048 exceeds the model's 1024 positions: lower data.parts.sympy.data.max")


@pytest.mark.parametrize("target", ["os.system", "builtins.open", "pathlib.Path.write_text"])
def test_a_target_that_is_not_on_the_list_is_refused_and_nothing_runs(project, target):
    found = problems("stage=finetune", f"objective._target_={target}")
    assert f"a config may not build {target}" in found[0]


@pytest.mark.parametrize("override", ["out=../../elsewhere", "out=/tmp/elsewhere", "hydra.run.dir=../.."])
def test_no_path_leaves_the_project(project, override):
    assert "outside the project folder" in problems("stage=finetune", override)[0]


@pytest.mark.parametrize("override", ["hydra.searchpath=[file:///tmp]", "hydra.ouput_subdir=x"])
def test_hydras_own_keys_are_checked_too(project, override):
    assert problems("stage=finetune", override)


def test_nothing_is_made_before_the_check(project, fmcycle):
    before = sorted(path.as_posix() for path in project.rglob("*"))
    for arguments in (
        ["finetune", "budget.max_steps=-1"],
        ["finetune", "--cfg", "job", "model.hiden_size=1"],
        ["finetune", "-m", "optimizer.lr=1e-3,-1"],
    ):
        result = fmcycle(*arguments)
        assert result.returncode == 2, result
        assert "Traceback" not in result.stderr
    assert sorted(path.as_posix() for path in project.rglob("*")) == before
