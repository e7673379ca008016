"""Where nodes belong nothing else stands: every such place of every stage refuses a mapping that builds nothing."""

import pytest

from fmcycle.config import compose, groups, signature
from fmcycle.errors import ConfigError
from fmcycle.ranges import Node

PLACES = [
    (stage, name)
    for stage in groups.stages()
    for name in sorted(groups.mappings(groups.content("stage", stage)["_target_"]))
    if name not in ("guardrail",)
]
SINGLE = [
    (stage, name)
    for stage in groups.stages()
    for name, parameter in signature.read(groups.content("stage", stage)["_target_"]).parameters.items()
    if parameter.type == Node
]


def problems(*overrides) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compose.compose(list(overrides))
    return error.value.problems


@pytest.mark.parametrize(("stage", "place"), PLACES)
def test_a_mapping_that_builds_nothing_is_refused_by_its_key(stage, place):
    (problem,) = problems(f"stage={stage}", f"+{place}.nonsense.a=1")
    assert problem.startswith(f"{place}.nonsense: ")


@pytest.mark.parametrize(("stage", "name"), SINGLE)
def test_a_node_without_its_constructor_is_refused(stage, name):
    found = problems(f"stage={stage}", f"~{name}._target_")
    assert any(f"{name}: needs a _target_ to be built" in line for line in found), found


@pytest.mark.parametrize(
    ("stage", "override", "words"),
    [
        ("finetune", "+evaluation.instuction.per_task=1", "did you mean instruction?"),
        ("evaluate", "+evaluation.accuracy.each=true", "accuracy is not among the chosen options"),
        ("package", "+guardrail.inputt=[]", "guardrail.inputt: no such key in conf/guardrail/default.yaml; did you mean input?"),
        ("package", "guardrail.output=[{a: 1}]", "guardrail.output.0: needs a _target_"),
        ("select", "+candidates.more.budget.max_steps=1", "candidates.more.data: fmcycle.stage.train.run needs it"),
        ("select", "+candidates.align_again.bojective=1", "did you mean objective?"),
        ("select", "+space.optimizer.weight_decay=1", "must be a fmcycle.search.space.Range or Choice, not 1"),
        ("select", "+entrants.mine=3", "entrants: mine must be a path, not 3"),
        ("curate", "+curation.quality2=3", "curation.quality2: is not a chosen option"),
        ("finetune", "~data.format._target_", "data.format: must be a node with a _target_"),
    ],
)
def test_what_is_no_node_is_named_with_the_nearest(stage, override, words):
    assert words in "\n".join(problems(f"stage={stage}", override))


def test_an_experiment_is_looked_at_too(project):
    head = "# @package _global_\n# ?\ndefaults:\n  - override /stage: finetune\n"
    (project / "conf/experiment/wrong.yaml").write_text(head + "evaluation: {instuction: {per_task: 3}}\n")
    (problem,) = problems("experiment=wrong")
    assert problem.startswith("evaluation.instuction: ") and "did you mean instruction?" in problem
    (project / "conf/experiment/right.yaml").write_text(head + "evaluation: {instruction: {per_task: 3}}\n")
    assert compose.compose(["experiment=right", "evaluation=[]"]).section["evaluation"] == {}
