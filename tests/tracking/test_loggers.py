"""conf/logger: what a yaml names is built into the run's folder."""

import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

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
    shown = re.search(r"# conf/logger/comet.yaml\n(.*?)```", (root / "docs/watching.md").read_text(), re.S)
    (project / "conf/logger/comet.yaml").write_text(shown[1])
    assert (
        compose.compose(["stage=finetune", "logger=comet", "+logger.comet.workspace=us"]).config()["logger"]["comet"]["workspace"] == "us"
    )
    (project / "conf/logger/mine.yaml").write_text("mine: {_target_: lightning.pytorch.loggers.CSVLogger, name: mine}\n")
    (made,) = loggers.made(compose.compose(["stage=finetune", "logger=mine"]).config()["logger"], tmp_path / "runs/finetune/01")
    made.log_metrics({"loss": 1.0}, step=1)
    made.save()
    assert (tmp_path / "runs/finetune/01/mine/version_0/metrics.csv").read_text().split() == ["loss,step", "1.0,1"]
    (project / "conf/logger/mine.yaml").write_text("mine: {_target_: lightning.pytorch.loggers.CSVLogger, nam: x}\n")
    with pytest.raises(ConfigError, match=r"logger.mine.nam: no such key in conf/logger/mine.yaml; did you mean name\?"):
        compose.compose(["stage=finetune", "logger=mine"])


LACKING = [name for name in ("wandb", "mlflow", "trackio") if not importlib.util.find_spec(name)]


@pytest.mark.skipif(not LACKING, reason="wandb, mlflow and trackio are installed")
def test_a_logger_that_is_not_installed_is_refused_before_any_work(project, fmcycle):
    for words in (["finetune", f"logger=[csv,{LACKING[-1]}]"], ["finetune", "-m", f"logger={LACKING[-1]}", "optimizer.lr=0.1,0.2"]):
        found = fmcycle(*words)
        assert found.returncode == 2 and "Traceback" not in found.stderr
        assert f"run `pip install {LACKING[-1]}`, or choose another logger" in found.stderr and not (project / "runs").exists()


def test_the_packages_of_loggers_are_read_from_their_source():
    found = [library.missing(f"lightning.pytorch.loggers.{name}") for name in ("CSVLogger", "TensorBoardLogger", "CometLogger")]
    assert found == ["", "", "comet-ml"]
    theirs = {"wandb": "lightning.pytorch.loggers.WandbLogger", "mlflow": "lightning.pytorch.loggers.MLFlowLogger"}
    known = theirs | {"trackio": "fmcycle.tracking.trackio.Trackio"}
    assert {name for name, target in known.items() if library.missing(target)} == {*LACKING}


def test_names_and_tags_are_no_identity():
    plain = compose.compose(["stage=pretrain"])
    told = ["logger=[csv,wandb,mlflow,trackio]", "logger.wandb.name=first", "logger.wandb.tags=[a,b]", "logger.mlflow.tags={team: us}"]
    named = compose.compose(["stage=pretrain", *told, "logger.mlflow.run_name=first", "logger.trackio.tags=[a]"])
    assert named.section == plain.section and set(named.config()["logger"]) == {"csv", "wandb", "mlflow", "trackio"}
    assert named.config()["logger"]["trackio"]["tags"] == ["a"]
    assert named.config()["logger"]["wandb"]["tags"] == ["a", "b"] and named.config()["logger"]["mlflow"]["tags"] == {"team": "us"}


# Logs steps as a run does, one that is killed behind the last one or one that ends.
RUN = """
import json, os, signal, sys, time
from fmcycle.tracking import loggers, run_record
end, first, last = sys.argv[1], *map(int, sys.argv[2:])
folder = os.environ["RUN"]
made = loggers.made(json.loads(os.environ["NODES"]), folder)
steps = run_record.Steps(folder, first - 1)
log = loggers.Log(made, folder, steps.reached)
for step in range(first, last + 1):
    row = {"step": step, "loss": 1 / step}
    steps.add(row)
    log.add(row)
if end == "killed":
    time.sleep(float(os.environ["WAIT"]))
    os.kill(os.getpid(), signal.SIGKILL)
log.close()
"""


def killed_and_resumed(option: str, *overrides: str, folder: str = "runs/pretrain/0123", wait: float = 0) -> None:
    """Log steps 1 to 5, be killed, and log steps 4 to 7 in a second process, as a run does that resumes from a checkpoint."""
    Path(folder).mkdir(parents=True)
    nodes = compose.compose(["stage=pretrain", f"logger={option}", *overrides]).config()["logger"]
    settings = {"NODES": json.dumps(nodes), "RUN": folder, "WAIT": str(wait), "PYTHONPATH": str(Path(loggers.__file__).parents[2])}
    environment = os.environ | settings
    for words in (["killed", "1", "5"], ["ended", "4", "7"]):
        done = subprocess.run([sys.executable, "-c", RUN, *words], env=environment, capture_output=True, text=True)
        assert done.returncode == (-9 if words[0] == "killed" else 0), done.stderr


def test_mlflow_gets_every_step_once_in_one_run(project):
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    killed_and_resumed("mlflow", "logger.mlflow.run_name=first", "logger.mlflow.tags={team: us}")
    with sqlite3.connect("runs/mlflow.db") as base:
        steps = base.execute("select step from metrics where key = 'loss' order by step").fetchall()
        assert [step for (step,) in steps] == [1, 2, 3, 4, 5, 6, 7]
        assert base.execute("select name from runs").fetchall() == [("first",)]
        assert ("team", "us") in base.execute("select key, value from tags").fetchall()


def test_wandb_gets_every_step_once_in_one_run(project):
    pytest.importorskip("wandb", reason="wandb is not installed")
    killed_and_resumed("wandb", "logger.wandb.name=first", "logger.wandb.tags=[lora]")
    (file,) = Path("runs/pretrain/0123/wandb").glob("offline-run-*/run-pretrain-0123.wandb")
    records = wandb_records(file)
    history = [{item.nested_key[0] or item.key: item.value_json for item in record.history.item} for record in records]
    assert [int(row["trainer/global_step"]) for row in history if "loss" in row] == [1, 2, 3, 4, 5, 6, 7]
    runs = {(record.run.run_id, record.run.display_name, *record.run.tags) for record in records if record.run.run_id}
    assert runs == {("pretrain-0123", "first", "lora")}


def test_trackio_gets_every_step_once_in_one_run(project, monkeypatch):
    pytest.importorskip("trackio", reason="trackio is not installed")
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    killed_and_resumed("trackio", "logger.trackio.name=first", "logger.trackio.tags=[lora]")
    killed_and_resumed("trackio", "logger.trackio.name=first", folder="runs/pretrain/4567", wait=2)  # written before the kill
    with sqlite3.connect("runs/trackio/fmcycle.db") as base:
        rows = base.execute("select run_id, run_name, step, metrics from metrics order by run_id, step").fetchall()
        runs = {run for run, *_ in rows}
        assert len(runs) == 2 and {name for _, name, *_ in rows} == {"first"}
        for run in runs:
            assert [step for each, _, step, _ in rows if each == run] == [1, 2, 3, 4, 5, 6, 7]
        assert json.loads(rows[0][3]) == {"loss": 1.0}
        assert any(json.loads(config).get("tags") == ["lora"] for (config,) in base.execute("select config from configs"))


def wandb_records(file: Path) -> list:
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, found, piece = file.read_bytes(), 7, [], b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        piece += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            found.append(Record.FromString(piece))
            piece = b""
    return found


def test_files_stay_in_the_runs_folder(tmp_path):
    node = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "elsewhere"}
    with pytest.raises(InputError, match=r"logger.csv.save_dir"):
        loggers.made({"csv": node}, tmp_path / "runs/pretrain/01")


def test_logging_is_no_identity():
    sections = [compose.compose(["stage=pretrain", f"logger={name}"]).section for name in ("none", "csv")]
    assert provenance.identity(sections[0], "c", {}) == provenance.identity(sections[1], "c", {})
    assert all(library.parameters(target) for target in ("lightning.pytorch.loggers.WandbLogger", "lightning.pytorch.loggers.CSVLogger"))
