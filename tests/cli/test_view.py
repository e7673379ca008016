"""What is shown and not run: help for a stage, the config of a job, the configs of a sweep."""

import pytest
import yaml

from fmcycle.cli import main, view
from fmcycle.config import groups


@pytest.mark.parametrize("stage", groups.stages())
def test_the_help_of_a_stage_names_its_groups_and_no_other(stage, project, capsys):
    assert main.main([stage, "--help"]) == 0
    said = capsys.readouterr().out
    own = {line.partition(":")[0] for line in said.splitlines() if ": " in line and not line.startswith((" ", "usage", "Lists"))}
    places = {name if name == package else f"{name}@{package}" for package, name in groups.places(stage).items()}
    assert places <= own <= places | {"collection", "experiment"}


def test_the_help_of_an_experiment_names_every_group_and_option(project, capsys):
    assert main.main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    for name in groups.names():
        assert f"\n{name}: {', '.join(groups.options(name))}\n" in said
    assert "\nstart:" not in said


def test_a_sweep_shows_the_config_of_each_job(project, capsys):
    assert main.main(["train", "-m", "optimizer.lr=1e-3,2e-3", "--cfg", "job"]) == 0
    shown = capsys.readouterr().out.split("# optimizer.lr=")[1:]
    assert [yaml.safe_load(text.partition("\n")[2])["optimizer"]["lr"] for text in shown] == [0.001, 0.002]
    assert main.main(["train", "-m", "optimizer.lr=1e-3,-2e-3", "--cfg", "job"]) == 2
    assert "optimizer.lr: must be a number above 0" in capsys.readouterr().err


def test_a_part_of_a_config_is_shown(project, capsys):
    assert main.main(["train", "--cfg", "job", "--package", "strategy"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["_target_"] == "peft.get_peft_model"
    assert main.main(["train", "--cfg", "job", "--package", "nothing"]) == 2


@pytest.mark.parametrize("flags", [["-m", "--cfg", "hydra"], ["-m", "--info", "config"], ["--cfg", "jobs"]])
def test_other_views_are_refused_in_a_sentence(flags, project, capsys):
    assert main.main(["train", *flags, "optimizer.lr=1e-3"]) == 2
    said = capsys.readouterr().err
    assert "--cfg" in said and "Traceback" not in said and len(said.strip().splitlines()) == 1


def test_the_page_of_options_is_that_of_conf(root):
    assert (root / "docs/options.md").read_text() == view.page(), "run `PYTHONPATH=src python -m fmcycle.cli.view`"
    assert set(view.DECIDES) >= set(groups.names())
