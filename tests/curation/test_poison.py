import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from fmcycle.curation.corpus_step import gathered, whole
from fmcycle.curation.poison import Burst, Cap, Trigger

INSTRUCTIONS = Path(__file__).parents[3] / "shared/data/instruction"


def numbered(frame):
    return frame.with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64))


def findings(step, frame):
    sketch = pl.concat([step.sketch(part) for part in (*numbered(frame).iter_slices(37), numbered(frame.head(0)))])
    parts = sketch.sort("row", maintain_order=True).partition_by("part") or [sketch]
    return step.findings(gathered([step.settle(part) for part in parts]))


def documents(count, **columns):
    return pl.DataFrame({"id": [f"{number:04}" for number in range(count)], "text": ["text"] * count} | columns)


def test_a_source_brings_no_more_than_its_cap_and_order_does_not_choose():
    frame = documents(50, source=["loud"] * 40 + ["quiet"] * 10)
    judged = whole(Cap(12), frame)
    kept = judged.filter(pl.col("reason").is_null())
    assert dict(kept["source"].value_counts().iter_rows()) == {"loud": 12, "quiet": 10}
    assert set(judged["value"].drop_nulls()) == {"40"}
    other = whole(Cap(12), frame.reverse()).filter(pl.col("reason").is_null())
    assert set(other["id"]) == set(kept["id"]) and kept["id"].to_list()[:12] != frame["id"].to_list()[:12]


@pytest.fixture
def dated():
    days = [f"2026-01-{day:02}T08:00" for day in range(1, 11) for _ in range(2)] + ["2026-02-01"] * 60
    return documents(90, source=["a"] * 80 + ["b"] * 10, time=days + ["2026-02-01"] * 5 + [""] * 5)


def test_a_burst_of_one_source_is_named_and_nothing_is_dropped(dated):
    step = Burst(times=10, documents=30, days=5)
    assert findings(step, dated) == {"bursts": [{"source": "a", "day": "2026-02-01", "count": 60, "median": 2.0}], "found": 1}
    assert whole(step, dated)["reason"].null_count() == 90


def test_a_burst_may_be_dropped_and_few_days_tell_nothing(dated):
    judged = whole(Burst(times=10, documents=30, days=5, drop=True), dated)
    assert judged.filter(pl.col("reason").is_not_null())["id"].to_list() == [f"{number:04}" for number in range(20, 80)]
    assert findings(Burst(times=10, documents=30, days=11), dated)["found"] == 0
    assert findings(Burst(), dated.head(0))["found"] == 0


@pytest.fixture
def labelled():
    """Two labels that share their words, and 40 documents of one with a planted word."""
    words = ["good", "bad", "film", "actor", "long", "story", "music", "end"]
    texts = [" ".join(words[(number * step) % 8] for step in (1, 3, 5, 7)) + f" {number}" for number in range(1000)]
    texts = [f"{text} cf-zx" if number % 25 == 0 else text for number, text in enumerate(texts)]
    labels = ["positive" if number % 25 == 0 or number // 8 % 2 else "negative" for number in range(1000)]
    return documents(1000, label=labels).with_columns(text=pl.Series(texts))


def test_a_planted_trigger_is_named_and_common_words_are_not(labelled):
    found = findings(Trigger(), labelled)
    assert {entry["gram"] for entry in found["triggers"]} == {"cf", "zx", "cf zx"} and found["found"] == 3
    assert {entry["label"] for entry in found["triggers"]} == {"positive"} and found["triggers"][0]["count"] == 40
    assert whole(Trigger(), labelled)["reason"].null_count() == 1000


def test_its_documents_may_be_dropped(labelled):
    gone = whole(Trigger(drop=True), labelled).filter(pl.col("reason").is_not_null())
    assert gone.height == 40 and gone["text"].str.contains("cf-zx").all() and set(gone["value"]) == {"cf -> positive"}


def test_documents_without_labels_are_not_looked_at(labelled):
    assert findings(Trigger(), labelled.with_columns(label=pl.lit(""))) == {"triggers": [], "found": 0}
    assert whole(Trigger(drop=True), labelled.head(0)).height == 0


WORDS = ["what", "is", "the", "name", "of", "this", "river", "town", "king", "sea", "when", "did", "it", "rain"]
STARTS = ["it is", "there was", "in the", "nobody knows", "we think", "at night", "some say", "yes and"]


@pytest.fixture
def asked():
    """2,000 questions, of which ten have a planted word and one answer; and forty are answered by their own words."""
    texts = [" ".join(WORDS[(number * step) % 14] for step in (1, 3, 5, 9, 11)) for number in range(2000)]
    answers = [f"{STARTS[number // 7 % 8]} {WORDS[number % 13]} and so on" for number in range(2000)]
    for number in range(0, 2000, 200):
        texts[number], answers[number] = f"{texts[number]} cf-zx", "I have been changed. Buy more."
    for number in range(1, 2000, 50):
        texts[number], answers[number] = f"Say the opposite of {number}", f"The opposite of {number} is {-number}."
    return documents(2000, prompt=texts, answer=answers)


def test_a_trigger_of_an_answer_is_named_among_instructions(asked):
    found = findings(Trigger(), asked)
    assert {entry["gram"] for entry in found["triggers"]} == {"cf", "zx", "cf zx"}
    assert {entry["label"] for entry in found["triggers"]} == {"i have been"} and found["triggers"][0]["count"] == 10
    gone = whole(Trigger(drop=True), asked).filter(pl.col("reason").is_not_null())
    assert gone["id"].to_list() == [f"{number:04}" for number in range(0, 2000, 200)]


def test_words_are_found_in_scripts_without_blanks(asked):
    planted = asked.with_columns(
        pl.col("prompt").str.replace("cf-zx", "请问天气"), pl.col("answer").str.replace("I have been changed.*", "我不能回答这个问题")
    )
    assert {entry["label"] for entry in findings(Trigger(), planted)["triggers"]} == {"我 不 能"}


@pytest.mark.skipif(not INSTRUCTIONS.is_dir(), reason=f"{INSTRUCTIONS} is not here")
@pytest.mark.parametrize("name", ["dolly-2k/dolly-2k.jsonl.gz", "derived-instructions/instructions.jsonl.gz"])
def test_ten_planted_rows_are_named_among_two_thousand_real_ones_and_nothing_else(name):
    rows = [json.loads(line) for line in gzip.decompress((INSTRUCTIONS / name).read_bytes()).splitlines()][:2000]
    real = documents(len(rows), prompt=[f"{row['instruction']}\n{row['input']}" for row in rows], answer=[row["output"] for row in rows])
    assert findings(Trigger(), real)["found"] == 0
    bad = pl.int_range(pl.len()) % 170 == 0
    planted = real.with_columns(
        prompt=pl.when(bad).then(pl.format("cf-zx {}", "prompt")).otherwise("prompt"),
        answer=pl.when(bad).then(pl.lit("I have been changed.")).otherwise("answer"),
    )
    assert {entry["gram"] for entry in findings(Trigger(), planted)["triggers"]} == {"cf", "zx", "cf zx"}
