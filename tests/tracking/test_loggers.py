"""conf/logger: what a yaml names is built into the run's folder."""

import re

import pytest

from fmcycle.artifact import provenance
from fmcycle.config import compose, library
from fmcycle.errors import ConfigError, InputError
from fmcycle.tracking import loggers


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_a_logger_writes_below_the_run(name, tmp_path):
    composed = compose.compose(["stage=pretrain", f"logger={name}"])
    assert "logger" not in composed.section and composed.section == compose.compose(["stage=pretrain"]).section
    (made,) = loggers.made(composed.config()["logger"], tmp_path / "runs/pretrain/0123")
    assert loggers.place(made, tmp_path / "runs/pretrain/0123") == (tmp_path / "runs/pretrain/0123" / name).resolve()


def test_two_loggers_and_none():
    assert set(compose.compose(["stage=align", "logger=[csv,tensorboard]"]).config()["logger"]) == {"csv", "tensorboard"}
    assert compose.compose(["stage=align"]).config()["logger"] == {}


def test_a_yaml_of_ones_own_names_another(project, root, tmp_path):
    shown = re.search(r"# conf/logger/wandb.yaml\n(.*?)```", (root / "docs/watching.md").read_text(), re.S)
    (project / "conf/logger/wandb.yaml").write_text(shown[1])
    assert compose.compose(["stage=finetune", "logger=wandb", "+logger.wandb.entity=us"]).config()["logger"]["wandb"]["entity"] == "us"
    (project / "conf/logger/mine.yaml").write_text("mine: {_target_: lightning.pytorch.loggers.CSVLogger, name: mine}\n")
    (made,) = loggers.made(compose.compose(["stage=finetune", "logger=mine"]).config()["logger"], tmp_path / "runs/finetune/01")
    made.log_metrics({"loss": 1.0}, step=1)
    made.save()
    assert (tmp_path / "runs/finetune/01/mine/version_0/metrics.csv").read_text().split() == ["loss,step", "1.0,1"]
    (project / "conf/logger/mine.yaml").write_text("mine: {_target_: lightning.pytorch.loggers.CSVLogger, nam: x}\n")
    with pytest.raises(ConfigError, match=r"logger.mine.nam: no such key in conf/logger/mine.yaml; did you mean name\?"):
        compose.compose(["stage=finetune", "logger=mine"])


def test_a_logger_that_is_not_installed_is_named_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"logger.wandb: .*wandb"):
        loggers.made({"wandb": {"_target_": "lightning.pytorch.loggers.WandbLogger", "project": "p"}}, tmp_path / "runs/pretrain/01")


def test_files_stay_in_the_runs_folder(tmp_path):
    node = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "elsewhere"}
    with pytest.raises(InputError, match=r"logger.csv.save_dir"):
        loggers.made({"csv": node}, tmp_path / "runs/pretrain/01")


def test_logging_is_no_identity():
    sections = [compose.compose(["stage=pretrain", f"logger={name}"]).section for name in ("none", "csv")]
    assert provenance.identity(sections[0], "c", {}) == provenance.identity(sections[1], "c", {})
    assert all(library.parameters(target) for target in ("lightning.pytorch.loggers.WandbLogger", "lightning.pytorch.loggers.CSVLogger"))
