"""Jobs that a launcher of others starts: hydra's submitit plugin here, and SLURM as tests/helpers/slurm.py pretends it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import slurm
import tiny
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.distributed import rank
from fmcycle.errors import InputError

INPUTS = ("tokens=artifacts/tokens", "processor=artifacts/processor", "documents=artifacts/curate/documents.parquet")
WORDS = (
    "stage=pretrain",
    "selection=params.yaml",
    "evaluation={}",
    "base=require",
    "optimizer=adamw",
    *(f"inputs.{name}" for name in INPUTS),
)
ON_SLURM = ("trainer=slurm", "trainer.accelerator=cpu", "trainer.compile=false", "trainer.workers=0")
RATES = (0.001, 0.002)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny project that can pretrain."""
    made = tiny.make(tmp_path_factory.mktemp("launch") / "project")
    tiny.write_inputs(made)
    return made


@pytest.fixture(scope="module")
def alone(folder) -> dict[str, dict]:
    """What the multirun gives in one process: {run folder's name: {"lr", "losses", "weights" (digest)}}."""
    sweep(folder)
    return found(folder)


def sweep(folder: Path, *overrides: str, **environment: str) -> subprocess.CompletedProcess:
    """One multirun over two learning rates, from nothing."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    rates = f"optimizer.lr={','.join(map(str, RATES))}"
    result = tiny.run(
        folder, sys.executable, "train.py", "-m", *WORDS, "budget.max_steps=4", rates, *overrides, env=environment, timeout=400
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def found(folder: Path) -> dict[str, dict]:
    return {
        run.name: {
            "lr": yaml.safe_load((run / "config.yaml").read_text())["optimizer"]["lr"],
            "losses": losses(run),
            "weights": artifact.sha256(run / "out/model/model.safetensors"),
        }
        for run in (folder / "runs/pretrain").iterdir()
        if (run / "out").is_dir()
    }


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "loss.jsonl").read_text().splitlines()]


@pytest.mark.prove
def test_jobs_of_submitit_are_those_that_this_process_would_run(folder, alone):
    assert sorted(job["lr"] for job in alone.values()) == list(RATES)
    sweep(folder, "hydra/launcher=submitit_local", "hydra.launcher.submitit_folder=runs/.submitit/%j")
    assert found(folder) == alone  # folders by identity, losses and weights to the bit
    jobs = [file.read_text() for file in (folder / "runs/.submitit").glob("*/*.out")]
    assert len(jobs) == 2 and all("pretrain: done in" in text for text in jobs)


@pytest.mark.prove
def test_a_job_of_submitit_that_fails_says_so_in_its_exit_code_and_where_its_words_are(folder):
    words = [*WORDS, "inputs.tokens=artifacts/nowhere", "hydra/launcher=submitit_local", "hydra.launcher.submitit_folder=runs/.submitit/%j"]
    result = tiny.run(folder, sys.executable, "train.py", "-m", *words, timeout=200)
    assert result.returncode == 2, result.stderr
    assert "runs/.submitit" in result.stderr and "fmcycle/cli/main.py" not in result.stderr
    assert any("inputs.tokens: artifacts/nowhere: not there" in file.read_text() for file in (folder / "runs/.submitit").glob("*/*.err"))


@pytest.mark.prove
def test_a_sweep_on_slurm_is_one_job_each_of_two_ranks_and_gives_the_losses_of_one_process(folder, alone, tmp_path):
    sweep(folder, "hydra/launcher=slurm", *ON_SLURM, "trainer.devices=2", "trainer.num_nodes=1", **slurm.install(tmp_path / "slurm"))
    made = found(folder)
    assert made.keys() == alone.keys()
    for name, job in made.items():
        assert job["losses"] == pytest.approx(alone[name]["losses"], abs=1e-6)
    (script,) = (folder / "runs/.submitit").glob("*/*_submission.sh")
    asked = {line.removeprefix("#SBATCH --") for line in script.read_text().splitlines()}
    assert {"nodes=1", "ntasks-per-node=2", "gpus-per-node=2", "signal=TERM@120", "job-name=fmcycle", "array=0-1%2"} <= asked
    assert len(list((folder / "runs/.submitit").glob("*/*_1_log.out"))) == 2  # the second rank of each job


def srun(folder: Path, tmp_path: Path, *overrides: str) -> subprocess.Popen:
    """Two nodes of one task each."""
    environment = os.environ | slurm.install(tmp_path / "slurm") | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    step = ["srun", "--nodes=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1", sys.executable, "train.py"]
    words = [*step, *WORDS, *ON_SLURM, "trainer.devices=1", "trainer.num_nodes=2", "trainer.checkpoint_every=5", *overrides]
    path = shutil.which("srun", path=environment["PATH"])
    return subprocess.Popen([path, *words[1:]], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def after_steps(folder: Path, process: subprocess.Popen) -> None:
    until = time.monotonic() + 200
    while not list((folder / "runs/pretrain").glob("*/step-*/manifest.json")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.prove
def test_two_nodes_of_slurm_checkpoint_at_its_signal_and_go_on(folder, tmp_path):
    shutil.rmtree(folder / "runs", ignore_errors=True)
    one = tiny.run(folder, sys.executable, "train.py", *WORDS, "budget.max_steps=60", timeout=300)
    assert one.returncode == 0, one.stderr
    (run,) = (path for path in (folder / "runs/pretrain").iterdir() if path.is_dir())
    whole = losses(run)
    shutil.rmtree(folder / "runs")
    process = srun(folder, tmp_path / "first", "budget.max_steps=60")
    after_steps(folder, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) in (75, signal.SIGKILL), process.stderr.read()  # SLURM ends the one that saves it the exit
    assert 5 <= len(losses(run)) < 60
    process = srun(folder, tmp_path / "second", "budget.max_steps=60")
    assert process.wait(timeout=200) == 0, process.stderr.read()
    assert losses(run)[:20] == pytest.approx(whole[:20], abs=1e-6)
    assert losses(run) == pytest.approx(whole, abs=1e-3)  # two ranks add up in another order, and steps amplify that


@pytest.mark.prove
def test_a_task_of_slurm_that_dies_ends_the_job(folder, tmp_path):
    shutil.rmtree(folder / "runs", ignore_errors=True)
    process = srun(folder, tmp_path, "budget.max_steps=400")
    after_steps(folder, process)
    victim = next(task for task in psutil.Process(process.pid).children(recursive=True) if task.environ().get("SLURM_PROCID") == "1")
    victim.kill()
    assert process.wait(timeout=30) != 0
    assert "rank 0: another process is gone" in process.stderr.read()


def test_tasks_that_srun_did_not_start_are_named(monkeypatch):
    for name, value in {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "sbatch"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="SLURM gave this job 2 tasks and srun did not start them"):
        rank.check_world(2, 1)
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    rank.check_world(2, 1)
    with pytest.raises(InputError, match=r"slurm started 2 processes"):
        rank.check_world(4, 1)
