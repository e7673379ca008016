"""`fmcycle report`: the page of an evaluation with its gate, if that gate judged these figures of this model."""

import json
from pathlib import Path

import pytest

from fmcycle.artifact import atomic
from fmcycle.artifact import folder as artifact
from fmcycle.cli import report
from fmcycle.errors import InputError
from fmcycle.gate.bound import Bound, judge

METRICS = {"rouge_l": 0.5, "rouge_l/low": 0.4, "rouge_l/high": 0.6, "rouge_l/n": 9}


@pytest.fixture
def evaluated(tmp_path, monkeypatch) -> Path:
    """An evaluation in artifacts/, the metrics of its pretraining, and the package that judged it."""
    monkeypatch.chdir(tmp_path)
    pretrain = Path("artifacts/pretrain/metrics.json")
    atomic.write_json(pretrain, {"bits_per_byte": 1.5, "bits_per_byte/low": 1.4, "bits_per_byte/high": 1.6, "bits_per_byte/n": 3})
    folder = Path("artifacts/evaluate")
    atomic.write_json(folder / "metrics.json", METRICS)
    atomic.write_json(folder / "evaluated.json", {"model": "ab" * 32, "pretrain_metrics": artifact.digest(pretrain)})
    (folder / "samples.jsonl").write_text(json.dumps({"id": "1", "task": "t", "prompt": "Why?", "answer": "So.", "expected": ""}) + "\n")
    made = {"inputs": {"pretrain_metrics": {"path": str(pretrain)}}, "times": {"start": "2026-01-02T03:04:05+00:00"}, "revision": "f" * 40}
    atomic.write_json("artifacts/evaluate.provenance.json", made)
    atomic.write_json("artifacts/package/gate.json", judge({"rouge_l": Bound(min=0.45, above=0.3, of="low")}, METRICS))
    atomic.write_json("artifacts/package/package.json", {"model": "ab" * 32})
    return folder


def test_the_outcome_of_the_gate_the_time_and_the_stages_before_are_on_the_page(evaluated, capsys):
    assert report.main([]) == 0
    assert capsys.readouterr().out.split() == ["runs/report.html"]
    text = Path("runs/report.html").read_text()
    assert "Refused by the gate, 1 of 1 checks failed: rouge_l/low is 0.4, min 0.45: misses by 0.05." in text
    assert "at least 0.45 and above 0.3" in text
    assert "Evaluated 2026-01-02 03:04 UTC, revision ffffffffffff." in text and "Why?" in text
    assert "<summary>pretrain</summary>" in text


def test_a_gate_of_another_model_or_of_other_figures_is_not_shown(evaluated, capsys):
    atomic.write_json("artifacts/package/package.json", {"model": "cd" * 32})
    report.main([])
    assert "its gate judged another model; run `dvc repro package`" in capsys.readouterr().out
    atomic.write_json("artifacts/package/package.json", {"model": "ab" * 32})
    atomic.write_json(evaluated / "metrics.json", METRICS | {"rouge_l/low": 0.46})
    report.main(["--page", "page.html"])
    assert "its gate judged rouge_l/low 0.4, the evaluation has 0.46" in capsys.readouterr().out
    assert "the gate" not in Path("page.html").read_text().split('<p class="verdict')[1].split("</p>")[0]


def test_a_stage_that_ran_again_since_is_left_out_by_name(evaluated, capsys):
    atomic.write_json("artifacts/pretrain/metrics.json", {"bits_per_byte": 9.0})
    report.main([])
    assert "artifacts/pretrain/metrics.json: left out, changed or gone since the evaluation" in capsys.readouterr().out
    assert "<summary>pretrain</summary>" not in Path("runs/report.html").read_text()


def test_what_is_missing_or_broken_is_refused_with_its_repair(evaluated):
    for arguments, said in (
        (["artifacts/nowhere"], "no evaluation here (evaluated.json is missing); run `dvc repro evaluate`"),
        (["--page", "no/page.html"], "name a file in a folder that exists"),
        (["--page", "artifacts"], "name a file in a folder that exists"),
    ):
        with pytest.raises(InputError) as refused:
            report.main(arguments)
        assert said in str(refused.value)
    for broken in ("{", "[1]", '"a"'):
        (evaluated / "samples.jsonl").write_text(broken + "\n")
        with pytest.raises(InputError, match=r"samples\.jsonl:1: no JSON object"):
            report.main([])
