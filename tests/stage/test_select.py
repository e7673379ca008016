"""select: trials of real training, a diverged trial that stops nothing, a winner that holds up on fresh rows."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from fmcycle.artifact import folder as artifact
from fmcycle.curation.split import by_group
from fmcycle.errors import InputError
from fmcycle.evaluation.held_out import half_of
from fmcycle.model import store as model_store
from fmcycle.stage.select import run


def config(material, folder, *, trials=3, high=0.01) -> dict:
    """A section of select over the small model: fine-tuning it further on its own instructions."""
    instruction = {
        "_target_": "fmcycle.evaluation.instruction.Instruction",
        "instructions": str(material / "instructions.parquet"),
    }
    instruction |= {"per_task": 6, "max_new_tokens": 8}
    candidate = {
        "inputs": {"model": str(material / "model")},
        "data": {
            "_target_": "fmcycle.data.table.Table",
            "path": str(material / "instructions.parquet"),
            "format": {"_target_": "fmcycle.processor.chat.instruction", "_partial_": True},
            "max_length": 128,
        },
        "objective": {"_target_": "fmcycle.objective.sft.SFT"},
        "strategy": {"_target_": "fmcycle.strategy.full.full", "_partial_": True},
        "optimizer": {"_target_": "fmcycle.optimizer.adamw.adamw", "_partial_": True, "lr": 0.001},
        "budget": {"_target_": "fmcycle.training.budget.Budget", "max_steps": 6, "global_batch": 4},
    }
    return {
        "inputs": {"model": str(material / "model")},
        "out": str(folder / "out"),
        "runs": str(folder / "runs"),
        "processor": {},
        "model": {"_target_": "transformers.LlamaForCausalLM"},
        "trainer": {"_target_": "fmcycle.training.trainer.TrainerConfig", "threads": 1},
        "entrants": {"before": str(material / "model")},
        "candidates": {"tune_on": candidate},
        "space": {"optimizer": {"lr": {"_target_": "fmcycle.search.space.Range", "low": 1e-4, "high": high}}},
        "judge": {"instruction": instruction | {"split": "validation", "half": "first"}},
        "confirm": {"instruction": instruction | {"split": "validation", "half": "second"}},
        "score": {"rouge_l": 1.0},
        "incumbent": "before",
        "trials": trials,
        "seed": 0,
        "margin": 0.0,
    }


def test_the_sweep_ends_with_its_trials_and_a_whole_model(material, tmp_path):
    metrics = run(SimpleNamespace(**config(material, tmp_path)))
    rows = json.loads((tmp_path / "out/trials.json").read_text())
    best = yaml.safe_load((tmp_path / "out/best.yaml").read_text())
    assert [row["name"] for row in rows] == ["before", "trial-000", "trial-001", "trial-002"]
    assert metrics["trials"] == 3 and metrics["failed_trials"] == 0
    assert metrics["score"] == max(metrics["incumbent/score"], metrics["challenger/score"])
    assert best["overrides"] == next(row["overrides"] for row in rows if row["name"] == best["winner"])
    artifact.verify(tmp_path / "out/model")
    model_store.load_model(tmp_path / "out/model")


def test_a_diverged_trial_is_recorded_and_the_incumbent_stays(material, tmp_path):
    cfg = config(material, tmp_path, trials=1)
    cfg["space"]["optimizer"]["lr"] |= {"low": 1e18, "high": 1e20}
    metrics = run(SimpleNamespace(**cfg))
    row = json.loads((tmp_path / "out/trials.json").read_text())[1]
    assert row["score"] is None and "loss" in row["reason"]
    assert metrics["failed_trials"] == 1 and metrics["challenger_won"] == 0
    assert artifact.digest(tmp_path / "out/model") == artifact.digest(material / "model")


def test_wrong_keys_are_refused_with_their_name(material, tmp_path):
    cfg = config(material, tmp_path)
    with pytest.raises(InputError, match="incumbent: nobody"):
        run(SimpleNamespace(**cfg | {"incumbent": "nobody"}))
    with pytest.raises(InputError, match=r"score\.accuracy: not measured"):
        run(SimpleNamespace(**cfg | {"score": {"accuracy": 1.0}}))
    with pytest.raises(InputError, match=r"space\.optimizer\.rate"):
        run(SimpleNamespace(**cfg | {"space": {"optimizer": {"rate": cfg["space"]["optimizer"]["lr"]}}}))


def test_rows_without_groups_are_confirmed_on_too(material, tmp_path):
    """The split of such a row is a digest of its id, and so must not be its half."""
    cfg = config(material, tmp_path, trials=1)
    rows = pl.read_parquet(material / "instructions.parquet").drop("split").with_columns(group=pl.col("id"))
    by_group(rows, validation=0.2, test=0.1).drop("group").write_parquet(tmp_path / "rows.parquet")
    for place in ("judge", "confirm"):
        cfg[place] = {"instruction": cfg[place]["instruction"] | {"instructions": str(tmp_path / "rows.parquet")}}
    assert run(SimpleNamespace(**cfg))["rouge_l/n"] > 0


@pytest.mark.parametrize("empty", ["first", "second"])
def test_an_empty_half_is_told_before_anything_is_judged(material, tmp_path, empty):
    cfg = config(material, tmp_path)
    rows = pl.read_parquet(material / "instructions.parquet")
    keep = [row["split"] != "validation" or half_of(row) != empty for row in rows.to_dicts()]
    rows.filter(pl.Series(keep)).write_parquet(tmp_path / "rows.parquet")
    for place in ("judge", "confirm"):
        cfg[place] = {"instruction": cfg[place]["instruction"] | {"instructions": str(tmp_path / "rows.parquet")}}
    place = {"first": "judge", "second": "confirm"}[empty]
    with pytest.raises(InputError, match=rf"{place}\.instruction: no rows in the {empty} half of validation.*raise split\.validation"):
        run(SimpleNamespace(**cfg))
    assert not (tmp_path / "runs").exists()


def test_a_score_that_no_judge_gives_is_told_before_anything_is_judged(material, tmp_path):
    cfg = config(material, tmp_path) | {"score": {"rouge_l": 1.0, "preference_accuracy": 0.5}}
    with pytest.raises(InputError, match=r"score\.preference_accuracy: not measured by judge \(instruction measure bleu.*~score\.pref"):
        run(SimpleNamespace(**cfg))
    with pytest.raises(InputError, match=r"score\.rouge_l: not measured by judge \(it has no evaluations\)"):
        run(SimpleNamespace(**config(material, tmp_path) | {"judge": {}}))
    assert not (tmp_path / "runs").exists()


@pytest.mark.prove
def test_killed_at_any_trial_the_same_command_ends_with_the_same_bytes(material, tmp_path, root):
    whole = config(material, tmp_path / "whole", trials=4)
    run(SimpleNamespace(**whole))
    killed = config(material, tmp_path / "killed", trials=4)
    (tmp_path / "config.json").write_text(json.dumps(killed))
    load = f"SimpleNamespace(**json.load(open({str(tmp_path / 'config.json')!r})))"
    script = f"import json; from types import SimpleNamespace; from fmcycle.stage.select import run; run({load})"
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    for trial in (1, 2):
        process = subprocess.Popen([sys.executable, "-c", script], env=environment)
        while not (tmp_path / f"killed/runs/trial-{trial:03d}").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    for name in ("trials.json", "best.yaml", "model/manifest.json"):
        assert (tmp_path / "killed/out" / name).read_bytes() == (tmp_path / "whole/out" / name).read_bytes()
