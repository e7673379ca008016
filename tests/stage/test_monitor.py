"""monitor: no verdict without traffic, quiet on like traffic, a reason when it says retrain, the same bytes each time."""

import json
from types import SimpleNamespace

import polars as pl
import pytest

from fmcycle.config.compose import compose
from fmcycle.source.feedback import COLUMNS
from fmcycle.stage import monitor


def rows(n, prompt="What does the operation {} of the service do?", **changes):
    base = {"comment": "", "corrected": "", "preferred": "", "role": "", "model": "m", "processor": "p", "config": "c", "rating": 0}
    base |= {"prompt_tokens": 9, "answer_tokens": 9, "latency": 0.4, "refused": False, "kind": "chat", "media": []}
    return [
        {**base, "answer_id": f"ans-{i:03}", "time": f"2026-01-01T00:00:{i:02}", "answer": f"It lists the {i % 7} of the bucket."}
        | {"prompt": [{"role": "user", "content": prompt.format(i % 7)}], **changes}
        for i in range(n)
    ]


@pytest.fixture
def run(tmp_path):
    section = compose(["stage=monitor"]).section  # what the stage gets is what stands in conf/
    traffic = rows(200)
    messages = [[*row["prompt"], {"role": "assistant", "content": row["answer"]}] for row in traffic]
    instructions = pl.DataFrame({"id": [row["answer_id"] for row in traffic], "messages": messages, "source": ["botocore"] * 200})
    instructions.write_parquet(tmp_path / "instructions.parquet")

    def run(feedback):
        (tmp_path / "feedback").mkdir(exist_ok=True)
        if feedback is not None:
            pl.DataFrame(feedback, schema=COLUMNS).write_parquet(tmp_path / "feedback/feedback.parquet")
        cfg = SimpleNamespace(
            inputs={"feedback": str(tmp_path / "feedback"), "reference": str(tmp_path / "instructions.parquet")},
            out=str(tmp_path / "monitor"),
            **section,
        )
        assert monitor.run(cfg) is None
        return json.loads((tmp_path / "monitor/findings.json").read_text()), (tmp_path / "monitor/monitor.html").read_text()

    return run


def test_no_traffic_no_verdict(run):
    found, page = run([])
    assert found["retrain"] is None and found["reason"] == "0 interactions, no verdict" in page


def test_traffic_like_the_reference_is_quiet_and_the_same_twice(run):
    first = run(rows(60))
    assert first[0]["retrain"] is False and len(first[0]["findings"]) == 8
    assert run(rows(60)) == first


def test_another_topic_is_a_reason_to_retrain(run):
    found, page = run(rows(60, prompt="Tell me about cats, dogs, horses and other pets that people love"))
    assert found["retrain"] and "prompt_words" in found["reason"] and 'Retrain: <span class="yes">yes' in page


def test_corrections_are_a_reason_by_themselves_and_count_for_the_last_model_only(run):
    assert "20 corrected answers" in run(rows(20, corrected="No."))[0]["reason"]
    old = rows(20, corrected="No.", model="older")
    new = [row | {"answer_id": row["answer_id"] + "x", "time": "2027" + row["time"][4:]} for row in rows(5)]
    found = run(old + new)[0]
    assert found["interactions"] == 5 and found["retrain"] is False and "too few" in found["reason"]


def classes(n, **changes):
    return rows(n, prompt="zebra quagga okapi tapir", kind="classification", **changes)


def test_answers_of_every_kind_count_and_texts_of_chats_alone_are_compared(run):
    found = run(classes(60, rating=-1))[0]
    assert found["interactions"] == 60 and found["retrain"] and "60 of 60 answers disliked" in found["reason"]
    assert sorted(found["findings"]) == ["dislikes", "latency", "refusals"]
    mixed = [row | {"answer_id": row["answer_id"] + "x"} for row in classes(60)] + rows(60)
    found = run(mixed)[0]
    assert found["interactions"] == 120 and found["findings"]["latency"]["n"] == 120 and found["findings"]["prompt_words"]["n"] == 60
    assert not found["findings"]["prompt_words"]["alarm"]


def test_only_corrections_that_teach_are_there_to_learn_from(run):
    assert "20 corrected answers" in run(classes(20, corrected="dog"))[0]["reason"]
    assert "0 corrections" in run(rows(20, kind="completion", corrected="dog"))[0]["reason"]


def test_feedback_of_before_kinds_is_read(run, tmp_path):
    first = run(rows(60))
    file = tmp_path / "feedback/feedback.parquet"
    pl.read_parquet(file).drop("kind", "media").write_parquet(file)
    assert run(None) == first


def day(rows, number, **changes):
    return [
        row | {"answer_id": f"{number}-{row['answer_id']}", "time": f"2026-01-{number:02}" + row["time"][10:]} | changes for row in rows
    ]


def test_the_history_tells_each_models_verdict_and_where_drift_began(run):
    odd = rows(40, prompt="Tell me about cats, dogs, horses and other pets that people love")
    found, page = run([*day(rows(40), 1), *day(odd, 2), *day(rows(40), 3, model="later")])
    told = found["history"]
    assert [(model["model"], model["interactions"], model["retrain"]) for model in told["models"]] == [
        ("m", 80, True),
        ("later", 40, False),
    ]
    assert found["retrain"] is False and found["interactions"] == 40
    first, second, third = (told["drift"]["prompt_words"][place] for place in (0, 1, -1))
    assert len(told["drift"]["times"]) == 4 and first < 1 < max(second, told["drift"]["prompt_words"][2]) and third < 1
    assert sum(told["answers"]) == 120 and "later answers from here; the verdict on the model before: retrain: yes" in page


def test_what_users_write_is_escaped(run):
    assert "<script>alert" not in run(rows(60, prompt="<script>alert(1)</script> what"))[1]
