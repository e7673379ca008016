"""kill -9 of dvc, of its stage, or of a run by hand; then the same command again ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import tiny
import yaml


def start(folder, *command) -> subprocess.Popen:
    environment = os.environ | {"PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def slow_pretraining(folder):
    """60 steps with a checkpoint at every fifth, so that there is something to kill."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["overrides"]["pretrain"]["budget"] = {"max_steps": 60}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    trainer = folder / "conf/trainer/cpu.yaml"
    settings = yaml.safe_load(trainer.read_text()) | {"checkpoint_every": 5}
    trainer.write_text(yaml.safe_dump(settings))
    return folder


@pytest.mark.prove
def test_a_killed_dvc_takes_its_stage_along_and_the_next_repro_goes_on_from_the_checkpoint(tmp_path):
    whole, killed = (slow_pretraining(tiny.make(tmp_path / name)) for name in ("whole", "killed"))
    assert tiny.run(whole, "dvc", "repro", "pretrain").returncode == 0
    dvc = start(killed, "dvc", "repro", "pretrain")
    wait_for(lambda: list(killed.glob("runs/pretrain/*/step-*/manifest.json")))
    stages = psutil.Process(dvc.pid).children(recursive=True)
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()
    _gone, alive = psutil.wait_procs(stages, timeout=5)
    assert stages and not alive, "the stage would have lived on and overwritten newer results"
    again = tiny.run(killed, "dvc", "repro", "pretrain")
    assert again.returncode == 0, again.stdout + again.stderr
    assert (killed / "dvc.lock").read_text() == (whole / "dvc.lock").read_text()


@pytest.mark.prove
@pytest.mark.parametrize("stage", ["collect", "curate", "pretrain"])
def test_a_stage_killed_at_any_time_leaves_nothing_half_written(tmp_path, stage):
    folder = slow_pretraining(tiny.make(tmp_path / "project"))
    assert tiny.run(folder, "dvc", "repro", "tokens").returncode == 0
    before = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    for delay in (0.1, 1.0, 2.0):
        process = start(folder, "dvc", "repro", "--force", "--single-item", stage)
        wait_for(lambda process=process: psutil.Process(process.pid).children())
        time.sleep(delay)
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.wait()
    assert tiny.run(folder, "dvc", "repro", "tokens").returncode == 0
    after = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    assert {name: after[name] for name in before} == before
    assert not list(folder.glob("artifacts/.*.partial")) and not list(folder.glob(".*.partial"))
