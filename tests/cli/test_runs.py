"""`fmcycle runs`: every run with its state, and what differs between two."""

import json
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from fmcycle.artifact import atomic, provenance
from fmcycle.cli import runs
from fmcycle.errors import InputError
from fmcycle.tracking import compare, run_record


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
    assert compare.compare(first, second) == {
        "config": [("budget.seed", 0, 1)],
        "data": [("model", "d1 artifacts/pretrain/model", "d2 artifacts/pretrain/model")],
        "code": [("code", "c1c1c1c1c1c1", "c2c2c2c2c2c2"), ("fmcycle.speed/speed.py", "c1", "c2")],
        "result": [("rouge_l *", "0.2  (0.18 to 0.22)", "0.3  (0.28 to 0.32)")],
    }
    assert not any(compare.compare(first, first).values())


def test_every_key_that_differs_is_shown_with_list_elements_and_keys_of_one_side():
    left = {"a": [1, 2, {"b": 1}], "only": None, "same": [1, [2]], "kind": 1, "none": [], "gone": {"x": 1}}
    right = {"a": [1, 3, {"b": 2}, 4], "same": [1, [2]], "kind": True, "none": None, "new": {"y": [0]}}
    assert compare.differences(compare.flat(left), compare.flat(right)) == [
        ("a.1", 2, 3),
        ("a.2.b", 1, 2),
        ("only", "null", None),
        ("kind", 1, "true"),
        ("none", [], "null"),
        ("gone.x", 1, None),
        ("a.3", None, 4),
        ("new.y.0", None, 0),
    ]
    assert compare.results({"x": 1.0, "x/n": 5, "y": 2}, {"x": 1.0, "x/n": 6}) == [("x", "1, n 5", "1, n 6"), ("y", "2", None)]


def test_two_real_runs(project, fmcycle):
    for name, more in (("one", 0), ("two", 40)):
        rows = [{"text": f"{word} is what document {word} of a small collection says in one sentence."} for word in range(60 + more)]
        (project / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = [
        fmcycle("curate", "inputs.data=one.jsonl"),
        fmcycle("curate", "inputs.data=two.jsonl", "curation.quality.stop_words={en:[the,is]}", "+curation.quality.max_words=90"),
    ]
    assert [each.returncode for each in made] == [0, 0], made[-1].stderr
    second, first = runs.find()
    found = compare.compare(first, second)
    config = {key: (left, right) for key, left, right in found["config"]}
    assert config.pop("curation.quality.max_words") == (None, 90) and config.pop("curation.quality.stop_words.en.1") == ("be", "is")
    assert len(config) == 15 and {right for _, right in config.values()} == {None}  # the further stop words of one side
    assert [key for key, *_ in found["data"]] == ["data"] and not found["code"]
    shown = fmcycle("runs", str(first["folder"]), str(second["folder"])).stdout
    assert "code: the same" in shown and "one.jsonl" in shown and "two.jsonl" in shown


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


def test_runs_that_are_named_stand_beside_one_another_on_a_page(two, fmcycle):
    third = entry(two, "e", seed=2, metrics={"steps": 5}, steps=5)
    (two / "runs/pages").mkdir()
    done = fmcycle("runs", "finetune/aa", "bb", str(third), "--page", "runs/pages/compared.html")
    assert done.returncode == 0 and done.stdout.strip() == "runs/pages/compared.html", done.stderr
    text = (two / "runs/pages/compared.html").read_text()
    assert "aaaaaaaa (this run)" in text and "bbbbbbbb, budget.seed 1" in text and "eeeeeeee, budget.seed 2" in text
    for arguments, said in (
        (("aa", "--page", "x.html"), "two or more and --page"),
        (("aa", "bb", "--page", "no/x.html"), "a folder that exists"),
    ):
        refused = fmcycle("runs", *arguments)
        assert refused.returncode == 2 and said in refused.stderr


def test_it_is_quick_and_needs_no_torch(two):
    began = time.monotonic()
    code = "import sys; from fmcycle.cli import main; main.main(['runs', 'aa', 'bb']); sys.exit(bool({'torch', 'hydra'} & {*sys.modules}))"
    source = str(Path(runs.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": source})
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 5  # 0.4 s when nothing else runs


def test_a_stage_is_in_the_table_from_its_start(project, fmcycle):
    pl.DataFrame(schema={"text": pl.String, "split": pl.String}).write_parquet(project / "empty.parquet")
    refused = fmcycle("processor", "inputs.documents=empty.parquet", "processor.vocab_size=300")
    assert refused.returncode != 0
    (found,) = runs.find()
    assert found["state"] == "failed" and found["differs"] == {"processor.vocab_size": "300"} and found["error"]
