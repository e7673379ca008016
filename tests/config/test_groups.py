"""Lists of options: whatever a person picks of them composes, or is refused in a sentence that says what is missing."""

import itertools
import re

import pytest

from fmcycle.config import compose, groups, selection
from fmcycle.config.build import build
from fmcycle.errors import ConfigError

SENTENCES = (  # what an option may lack in a stage: a file, a choice of data, a value that only a person knows
    r"reads inputs\.\w+, and stage \w+ has no such input: add \+inputs\.\w+=PATH",
    r"reads [\w.]+, and stage \w+ has no \w+; choose another \w+, or a stage that has it: \w+",
    r"needs a value: give [\w.]+=VALUE",
    r"has no `half`",
)


def lists() -> list[tuple[str, str, str]]:
    """(stage, how the group is written, its group) of every list of nodes of every stage."""
    found = []
    for stage in groups.stages():
        by_name = groups.mappings(groups.content("stage", stage)["_target_"])
        found += [
            (stage, name if name == package else f"{name}@{package}", name)
            for package, name in groups.places(stage).items()
            if package in by_name
        ]
    return [*found, ("collect", "source", "source")]


LISTS = lists()


def said(stage: str, *overrides: str) -> list[str]:
    """What is said against a choice; nothing where it composes."""
    try:
        composed = compose.compose([f"stage={stage}", *overrides])
    except ConfigError as error:
        return error.problems
    by_name = groups.mappings(composed.config()["_target_"])
    assert all(isinstance(composed.config()[name], dict) for name in by_name)
    return []


def test_every_stage_with_nodes_by_name_is_looked_at():
    assert {stage for stage, _, _ in LISTS} == {
        "align", "collect", "compress", "continue_pretrain", "curate", "evaluate", "evaluate_on",
        "finetune", "monitor", "package", "pretrain", "select",
    }  # fmt: skip
    assert {group for _, _, group in LISTS} == {"curation", "evaluation", "gate", "guardrail", "logger", "monitor", "source"}


def default(stage: str, written: str) -> list[str]:
    """What the stage itself chooses for a list."""
    found = groups.defaults("stage", stage).get(written, [])
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize(("stage", "written", "name"), LISTS)
def test_any_subset_of_what_a_stage_chooses_itself_composes(stage, written, name):
    chosen = default(stage, written)
    for count in range(len(chosen) + 1):
        for some in itertools.combinations(chosen, count):
            assert said(stage, f"{written}=[{','.join(some)}]") == [], some


@pytest.mark.prove
@pytest.mark.parametrize(("stage", "written", "name"), LISTS)
def test_each_option_of_a_list_and_each_pair_composes_or_says_what_it_lacks(stage, written, name):
    able = []
    for option in groups.options(name):
        problems = said(stage, f"{written}=[{option}]")
        assert all(any(re.search(sentence, line) for sentence in SENTENCES) for line in problems), problems
        assert problems == said(stage, f"{written}={option}")
        able += [] if problems else [option]
    assert set(default(stage, written)) <= set(able)
    for one, other in itertools.combinations(able, 2):
        assert said(stage, f"{written}=[{one},{other}]") == [], (one, other)


@pytest.mark.parametrize("count", range(5))
def test_any_subset_of_what_evaluate_measures_builds(count):
    for chosen in itertools.combinations(("bits_per_byte", "instruction", "preference", "safety"), count):
        composed = compose.compose(["stage=evaluate", f"evaluation=[{','.join(chosen)}]"])
        config = composed.config()["evaluation"]
        assert sorted(config) == sorted(chosen) and all(map(callable, build(config).values()))


def test_what_a_yaml_writes_for_an_option_that_is_not_chosen_is_left_out():
    judged = compose.compose(["stage=select", "evaluation@judge=[instruction]"]).section
    assert list(judged["judge"]) == ["instruction"] and judged["judge"]["instruction"]["half"] == "first"
    assert sorted(judged["confirm"]) == ["instruction", "preference"]


def test_a_single_step_goes_under_its_own_name_wherever_steps_stand():
    steps = compose.compose(["stage=curate", "curation=[web,burst]", "curation@conversation=[conversation,trigger]"])
    assert steps.section["curation"]["burst"]["_target_"] == "fmcycle.curation.poison.Burst"
    assert steps.section["order"]["curation"][-1] == "burst" and steps.section["order"]["conversation"] == [
        "normalize",
        "privacy",
        "trigger",
    ]
    assert compose.compose(["stage=curate", "curation=burst"]).section["order"]["curation"] == ["burst"]
    assert compose.compose(["experiment=curate_digits", "curation=[web,burst]"]).section["order"]["curation"][-1] == "burst"


def test_a_list_of_sources_leaves_out_the_others_of_the_stage():
    chosen = compose.compose(["stage=collect", "source=[bible,local]", "inputs.local=texts", "source.local.licence=MIT"])
    assert sorted(chosen.section["source"]) == ["bible", "local"]


def test_a_table_that_an_evaluation_reads_is_the_one_that_other_stages_read():
    composed = compose.compose(["stage=finetune", "evaluation=[instruction,safety]"])
    assert composed.supplied == ["prompts"] and composed.inputs["prompts"] == "stage:curate/prompts.parquet"
    assert compose.compose(["stage=finetune"]).supplied == []


def test_in_the_pipeline_dvc_must_know_what_an_evaluation_reads(project, root):
    (project / "params.yaml").write_text("stages: {finetune: {evaluation: [instruction, safety]}}\n")
    selection.pipeline()  # no graph here, so nothing is left out of it
    graph = (root / "dvc.yaml").read_text()
    (project / "dvc.yaml").write_text(graph)
    with pytest.raises(ConfigError, match=r"inputs\.prompts.*dvc\.yaml.*\(stage finetune\)"):
        selection.pipeline()
    (project / "dvc.yaml").write_text(graph.replace("out=artifacts/finetune\n", "+inputs.prompts=P out=artifacts/finetune\n"))
    selection.pipeline()


def test_evaluate_and_package_have_the_same_guards_in_the_pipeline(project):
    for stage in ("evaluate", "package"):
        (project / "params.yaml").write_text(f"stages: {{{stage}: {{guardrail: none}}}}\n")
        with pytest.raises(ConfigError, match=r"guardrail: evaluation\.instruction has other guards than the package.*guardrail: NAME"):
            selection.pipeline()
    (project / "params.yaml").write_text("guardrail: none\n")
    assert selection.pipeline()["evaluate"]["evaluation"]["safety"]["guardrail"] == {"input": [], "output": []}


def test_what_a_model_brings_makes_way_for_a_shorter_list(project):
    chosen = selection.brought("smollm2_135m", "evaluate")
    own = ["evaluation=[bits_per_byte]"]
    kept = groups.fitting([*chosen], own)
    assert "evaluation.bits_per_byte.limit=40" in kept and not [text for text in kept if "safety" in text]
    assert "sample.each=2" in kept
    (project / "params.yaml").write_text("model: smollm2_135m\nstages: {evaluate: {evaluation: [safety]}}\n")
    assert compose.compose(["stage=evaluate", *selection.selection("evaluate")]).section["evaluation"]["safety"]["per_kind"] == 120


@pytest.mark.parametrize("choice", ["model=[llama_small,gpt_small]", "objective=[]", "strategy=[lora,full]"])
def test_two_options_where_one_is_wanted_are_refused(choice):
    assert said("finetune", choice)[0].startswith(f"{choice}: takes one option, {choice.split('=')[0]}=NAME; there is ")
    assert said("finetune", "model=[llama_tiny]") == []


def test_what_a_model_brings_is_no_group_of_its_own():
    assert "start" not in groups.names() and "model" in groups.names()
    assert said("finetune", "start=smollm2_135m") == [
        "start=smollm2_135m: conf/start holds the defaults of a model; choose the model: model=smollm2_135m"
    ]


def test_lists_of_several_options_stand_one_behind_the_other():
    one = compose.compose(["stage=package"]).section["guardrail"]
    both = compose.compose(["stage=package", "guardrail=[default,none]"]).section["guardrail"]
    assert both == one and compose.compose(["stage=package", "guardrail=none"]).section["guardrail"] == {"input": [], "output": []}
    two = compose.compose(["stage=package", "guardrail=[default,default]"]).section["guardrail"]
    assert two == {key: [*guards, *guards] for key, guards in one.items()}
    with pytest.raises(ConfigError, match=r"it would replace the lists of guardrail=\[default,none\]"):
        compose.compose(["stage=package", "guardrail=[default,none]", "guardrail.input=[]"])


def test_a_key_with_two_values_is_refused_at_every_door(project, capsys):
    from fmcycle.cli import main

    for words in (
        ["train", "optimizer.lr=1", "optimizer.lr=2"],
        ["finetune", "+optimizer.lr=1", "optimizer.lr=2", "--cfg", "job"],
        ["plan", "finetune", "optimizer.lr=1", "optimizer.lr=2"],
        ["finetune", "-m", "optimizer.lr=1", "optimizer.lr=2"],
    ):
        assert main.main(words) == 2
        assert "optimizer.lr: given as 1 and as 2" in capsys.readouterr().err
    assert main.main(["finetune", "stage=align"]) == 2 and "given as finetune and as align" in capsys.readouterr().err
    assert not groups.twice(["optimizer.lr=1", "optimizer.lr=1", "~optimizer.lr"])


@pytest.mark.parametrize("content", [b"\xff\x00", b"lr:\n\tx: 1\n", b"lr: 1\nlr: 2\n"], ids=["binary", "tab", "twice"])
def test_a_broken_option_is_named_with_its_file(project, content, capsys):
    from fmcycle.cli import main

    (project / "conf/optimizer/odd.yaml").write_bytes(content)
    assert main.main(["finetune", "optimizer=odd", "--cfg", "job"]) == 2
    assert "odd.yaml" in (error := capsys.readouterr().err) and "Traceback" not in error
