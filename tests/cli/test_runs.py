"""`fmcycle runs`: every run with its state, and what differs between two."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmcycle.artifact import atomic, provenance
from fmcycle.cli import runs
from fmcycle.errors import InputError
from fmcycle.tracking import run_record


def entry(project, name: str, *, seed=0, digest="d1", code="c1", state="done", metrics=None, stage="finetune", steps=3):
    """A run as perform and a training leave it."""
    folder = project / "runs" / stage / (name * 16)
    facts = {
        "stage": stage,
        "identity": name * 64,
        "section": {"budget": {"seed": seed, "steps": [1, 2]}, "model": {"width": 8}},
        "code": code * 32,
        "files": {"fmcycle.speed/speed.py": code},
        "inputs": {"model": {"path": "artifacts/pretrain/model", "digest": digest}},
        "revision": "",
        "total": 9,
        "differs": {"budget.seed": str(seed)} if seed else {},
    }
    run_record.begin(folder, facts)
    (folder / run_record.STEPS).write_text("".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(1, steps + 1)))
    run_record.note(folder, state=state, metrics=metrics or {}, **({"seconds": 12.0} if state == "done" else {}))
    return folder


@pytest.fixture
def two(project):
    high = {"rouge_l": 0.3, "rouge_l/low": 0.28, "rouge_l/high": 0.32, "rouge_l/n": 50, "steps": 9}
    entry(project, "a", metrics={"rouge_l": 0.2, "rouge_l/low": 0.18, "rouge_l/high": 0.22, "rouge_l/n": 50, "steps": 9}, steps=9)
    entry(project, "b", seed=1, digest="d2", code="c2", metrics=high, steps=9)
    return project


def test_the_table_says_how_far_each_run_came(two, fmcycle):
    entry(two, "c", state="running")
    entry(two, "e", state="failed", steps=2)
    with atomic.lock(entry(two, "f", state="running", stage="pretrain", steps=4)):
        shown = fmcycle("runs").stdout
    lines = {line.split()[1]: line for line in shown.splitlines()[1:]}
    assert "done" in lines["aaaaaaaa"] and "rouge_l 0.2" in lines["aaaaaaaa"] and lines["bbbbbbbb"].rstrip().endswith("budget.seed=1")
    assert "interrupted at step 3 of 9" in lines["cccccccc"]
    assert "failed at step 2 of 9" in lines["eeeeeeee"]
    assert "running at step 4 of 9" in lines["ffffffff"]


def test_two_runs_differ_in_config_data_code_and_result(two):
    first, second = (runs.named(name, runs.find()) for name in ("aaaa", "finetune/bb"))
    assert runs.compare(first, second) == {
        "config": [("budget.seed", 0, 1)],
        "data": [("model", "d1 artifacts/pretrain/model", "d2 artifacts/pretrain/model")],
        "code": [("code", "c1c1c1c1c1c1", "c2c2c2c2c2c2"), ("fmcycle.speed/speed.py", "c1", "c2")],
        "result": [("rouge_l *", "0.2  (0.18 to 0.22)", "0.3  (0.28 to 0.32)")],
    }
    assert not any(runs.compare(first, first).values())


def test_a_run_is_named_by_its_folder_its_out_or_its_identity(two):
    out = two / "artifacts/finetune"
    (out / "model").mkdir(parents=True)
    (out / "metrics.json").write_text('{"rouge_l": 0.25}')
    provenance.record("artifacts/finetune", "finetune", "9" * 64, {}, "code", {}, {"start": "2026-01-01T00:00:00", "seconds": 1.0})
    found = runs.find()
    for name in ("artifacts/finetune", "artifacts/finetune/model", "artifacts/finetune.provenance.json", "999", "finetune/9"):
        assert runs.named(name, found)["identity"] == "9" * 64
    assert runs.headline(runs.named("999", found)) == "rouge_l 0.25"
    assert runs.named("runs/finetune/" + "a" * 16 + "/run.json", found)["identity"] == "a" * 64


def test_a_name_of_nothing_is_refused_with_the_nearest(two, fmcycle):
    entry(two, "ab")
    for name, said in (("finetune/bbbbc", "did you mean finetune/bbbbbbbb?"), ("finetune/a", "more than one run; say which: finetune/")):
        with pytest.raises(InputError) as refused:
            runs.named(name, runs.find())
        assert said in str(refused.value)
    assert fmcycle("runs", "one").returncode == 2


def test_it_is_quick_and_needs_no_torch(two):
    began = time.monotonic()
    code = "import sys; from fmcycle.cli import main; main.main(['runs', 'aa', 'bb']); sys.exit(bool({'torch', 'hydra'} & {*sys.modules}))"
    source = str(Path(runs.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": source})
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 5  # 0.4 s when nothing else runs


def test_a_stage_is_in_the_table_from_its_start(project, fmcycle):
    (project / "damaged.parquet").write_bytes(b"PAR1" + bytes(40))
    refused = fmcycle("processor", "inputs.documents=damaged.parquet", "processor.vocab_size=300")
    assert refused.returncode != 0
    (found,) = runs.find()
    assert found["state"] == "failed" and found["differs"] == {"processor.vocab_size": "300"} and found["error"]
