"""A run whose micro-batch was chosen to fit, killed and started again where another one would fit."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

from fmcycle.artifact import folder as artifact

ROWS = 256
INPUTS = ("tokens=artifacts/tokens", "processor=artifacts/processor", "documents=artifacts/curate/documents.parquet")
WORDS = (
    "stage=pretrain",
    "selection=params.yaml",
    "evaluation={}",
    "base=require",
    "model.hidden_size=128",
    "model.intermediate_size=344",
    f"budget.global_batch={ROWS}",
    "budget.max_steps=4",
    "budget.validate_every=0",
    "trainer.checkpoint_every=1",
    *(f"inputs.{name}" for name in INPUTS),
)


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tiny.make(tmp_path / "project")
    tiny.write_inputs(made)
    return made


def command(*overrides: str) -> list[str]:
    return [sys.executable, "train.py", *WORDS, *overrides]


def killed_after_a_checkpoint(folder: Path, *overrides: str) -> Path:
    """The folder of a run that kill -9 ended."""
    process = subprocess.Popen(command(*overrides), cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list((folder / "runs/pretrain").glob("*/step-00000002/manifest.json")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.kill()
    process.wait()
    (run,) = (path for path in (folder / "runs/pretrain").iterdir() if path.is_dir())
    assert not (run / "out/metrics.json").exists()
    return run


@pytest.mark.prove
def test_a_chosen_micro_batch_is_recorded_and_taken_again_by_the_run_that_goes_on_to_the_same_bits(folder):
    said = tiny.run(folder, *command("plan=json", "trainer.micro_batch=fit"))
    assert said.returncode == 0, said.stderr
    whole = json.loads(said.stdout)
    assert whole["micro"] == ROWS
    limit = f"limit.gigabytes={(whole['peak'][0] - whole['activations'] / 2) / 1e9}"
    run = killed_after_a_checkpoint(folder, "trainer.micro_batch=fit", limit)
    micro = json.loads((run / "plan.json").read_text())["micro"]
    assert 1 <= micro < ROWS and ROWS % micro == 0
    again = tiny.run(folder, *command("trainer.micro_batch=fit"))  # all rows at once would fit now, as `whole` says
    assert again.returncode == 0, again.stderr
    assert json.loads((run / "plan.json").read_text())["micro"] == micro
    left = (run / "loss.jsonl").read_text(), artifact.sha256(run / "out/model/model.safetensors")
    shutil.rmtree(folder / "runs")
    uninterrupted = tiny.run(folder, *command(f"trainer.micro_batch={micro}"))
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    assert left == ((run / "loss.jsonl").read_text(), artifact.sha256(run / "out/model/model.safetensors"))
