"""`fmcycle control`: the control's rows keep the form and lose the content, and the verdict needs an interval above zero."""

import json

import polars as pl
import pytest

from fmcycle.cli import control as verb
from fmcycle.evaluation import control


def test_shuffled_answers_keep_the_form_and_lose_the_content(material):
    frame = pl.read_parquet(material / "instructions.parquet")
    twin = control.shuffled(frame)
    assert twin.schema == frame.schema and twin.drop("messages").equals(frame.drop("messages"))
    for task in frame["task"].unique():
        before, after = (each.filter(task=task, split="train")["messages"].to_list() for each in (frame, twin))
        texts, others = ([turns[-1]["content"] for turns in each] for each in (before, after))
        assert sorted(texts) == sorted(others) and [turns[:-1] for turns in before] == [turns[:-1] for turns in after]
        assert sum(one == other for one, other in zip(texts, others, strict=True)) <= max(0, 2 * max(map(texts.count, texts)) - len(texts))
    assert twin.filter(pl.col("split") != "train").equals(frame.filter(pl.col("split") != "train"))


def test_exchanged_pairs_change_in_the_train_split_alone(material):
    frame = pl.read_parquet(material / "preferences.parquet")
    twin = control.exchanged(frame)
    train = pl.col("split") == "train"
    assert twin.filter(train)["chosen"].to_list() == frame.filter(train)["rejected"].to_list()
    assert twin.filter(~train).equals(frame.filter(~train)) and control.exchanged(twin).equals(frame)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "proven"), [(0.01, 0.1, "yes", True), (-0.01, 0.1, "not proven", False), (-0.1, -0.01, "no;", False)]
)
def test_the_verdict_needs_an_interval_above_zero(low, high, verdict, proven):
    metrics = {"rouge_l": 0.3, "rouge_l_gain": 0.05, "rouge_l_gain/low": low, "rouge_l_gain/high": high, "rouge_l_gain/n": 40}
    text, found = verb.said(metrics, "rouge_l")
    assert found is proven and f"form: {verdict}" in text and "[" in text
    few = metrics | {"rouge_l_gain/low": 0.01, "rouge_l_gain/n": 5}
    assert "not proven" in verb.said(few, "rouge_l")[0] and not verb.said(few, "rouge_l")[1]
    assert verb.said({"rouge_l/n": 0}, "rouge_l") == ("learned more than form: not measured, 0 held-out rows", False)


def test_the_stage_and_its_control_are_trained_and_compared_in_an_empty_folder(tmp_path, material, fmcycle):
    own = [f"model={material}/model", f"inputs.instructions={material}/instructions.parquet", "data.max_length=96", "evaluation=[]"]
    done = fmcycle("control", "finetune", *own, "budget.max_steps=2", "budget.validate_every=0", cwd=tmp_path)
    assert done.returncode == 3 and "learned more than form: not proven; rouge_l" in done.stdout, done.stdout + done.stderr
    twins = [json.loads(file.read_text())["inputs"] for file in tmp_path.glob("runs/finetune/*/out.provenance.json")]
    assert len(twins) == 2 and len({each["instructions"]["digest"] for each in twins}) == 2
    assert len({each["model"]["digest"] for each in twins}) == 1
