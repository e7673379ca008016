"""`data=hub:NAME` is the input that the stage's rows come from, at every door."""

import pytest

from fmcycle.cli import command_line
from fmcycle.config.compose import compose
from fmcycle.config.own_rows import named
from fmcycle.config.selection import selection
from fmcycle.errors import ConfigError


@pytest.mark.parametrize(
    ("chosen", "reads"),
    [
        (["stage=finetune"], "instructions"),
        ([], "instructions"),
        (["stage=finetune", "data=instructions_packed"], "instructions"),
        (["stage=align"], "preferences"),
        (["stage=pretrain"], "documents"),
        (["stage=curate"], "data"),
        (["experiment=full_dpo"], "preferences"),
    ],
)
def test_the_word_becomes_the_input_of_the_chosen_data(chosen, reads):
    for value in ("hub:me/rows", "hub:me/rows/en@v1:100", "hub:a/b,hub:c/d"):
        assert named([*chosen, f"data={value}"]) == [*chosen, f"inputs.{reads}={value}"]
    assert named([*chosen, "data='hub:me/rows@v1'"]) == [*chosen, f"inputs.{reads}=hub:me/rows@v1"]
    assert command_line.expand([*chosen, "data=hub:me/rows@v1"])[1] == command_line.expand([*chosen, f"inputs.{reads}=hub:me/rows@v1"])[1]
    assert compose([*chosen, "data=hub:me/rows@v1"]).inputs[reads] == "hub:me/rows@v1"


@pytest.mark.parametrize("stage", ["collect", "package"])
def test_a_stage_without_rows_refuses_it(stage):
    with pytest.raises(ConfigError, match=rf"data=hub:me/rows: {stage} reads no rows; leave it out"):
        compose([f"stage={stage}", "data=hub:me/rows"])


def test_several_tables_are_named():
    with pytest.raises(
        ConfigError, match=r"evaluate reads instructions and preferences and documents; name the input: inputs.instructions=hub:me/rows or"
    ):
        compose(["stage=evaluate", "data=hub:me/rows"])


def test_params_yaml_says_where_the_rows_of_the_pipeline_come_from(project):
    (project / "params.yaml").write_text("stages: {finetune: {data: 'hub:me/rows'}}\n")
    with pytest.raises(ConfigError, match=r"params.yaml: data: hub:me/rows: .*collect: .*source.mine.name: hub:me/rows@COMMIT"):
        selection("finetune")
