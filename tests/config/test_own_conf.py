"""conf/ of a working folder adds its options to those of the installed package."""

from pathlib import Path

import pytest

from fmcycle.cli import main
from fmcycle.config import build, compose, groups
from fmcycle.errors import InputError


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """conf/ of a folder that has no config.yaml, so that the shipped conf/ is used beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/budget").mkdir(parents=True)
    (tmp_path / "conf/budget/few.yaml").write_text("_target_: fmcycle.training.budget.Budget\nmax_steps: 7\nglobal_batch: 2\n")
    return tmp_path / "conf"


def test_an_option_of_the_working_folder_is_chosen_beside_the_shipped_ones(own):
    section = compose.compose(["stage=finetune", "budget=few", "strategy=lora"]).section
    assert section["budget"]["max_steps"] == 7 and section["strategy"]["_target_"] == "peft.get_peft_model"
    assert {"few", "finetune"} <= {*groups.options("budget")} and build.conf_dir() != own
    with pytest.raises(InputError, match=r"max_stepss: no such key in conf/budget/few.yaml; did you mean max_steps"):
        compose.compose(["stage=finetune", "budget=few", "budget.max_stepss=1"])


def test_a_sweep_of_hydra_finds_it(own, capsys):
    assert main.main(["finetune", "-m", "budget=few", "seed=1,2", "--cfg", "job"]) == 2  # a wrong key, found in both jobs
    assert main.main(["finetune", "budget=few", "--info", "defaults"]) == 0
    assert "few" in capsys.readouterr().out


def test_an_option_with_the_name_of_a_shipped_one_is_refused(own):
    (own / "budget/finetune.yaml").write_text("_target_: fmcycle.training.budget.Budget\nmax_steps: 7\n")
    with pytest.raises(InputError, match=r"conf/budget/finetune.yaml: fmcycle has an option of this name already"):
        compose.compose(["stage=finetune"])
