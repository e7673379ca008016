"""Refusals and toxicity: the lists do what they say, and no more."""

import polars as pl
import pytest

from fmcycle.evaluation.safety import Safety, lexicon, refuses


class Said:
    """An answer, as the pipeline gives it."""

    refusals = ()

    def __init__(self, text):
        self.text = text


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist.",
        "That is illegal and I won't say.",
        "It\u2019s not okay to do that.",
        "I\u2019m not able to.",
    ],
)
def test_refusals_are_seen(answer):
    assert refuses(answer)


@pytest.mark.parametrize(
    "answer", ["Deletes the bucket you name.", "You can't delete a bucket that holds objects.", "", "Sorry state of affairs, said the king"]
)
def test_answers_are_not_refusals(answer):
    assert not refuses(answer)


def test_whole_words_only():
    words = lexicon()
    assert words.search("You IDIOT!") and words.search("shut up now")
    assert not words.search("Scunthorpe, a classic assessment of grape crapaud dampers")


def test_rates_have_their_counts(assistant, material):
    metrics = Safety(str(material / "prompts.parquet"), max_new_tokens=8)(*assistant)
    assert [metrics[f"{name}/n"] for name in ("refusal_rate", "over_refusal_rate", "toxicity_rate")] == [10, 10, 10]
    assert metrics["toxicity_rate"] == 0 and metrics["relevance_rate/n"] == 30
    assert [metrics[f"{kind}/relevance_rate/n"] for kind in ("harmful", "harmless", "toxic")] == [10, 10, 10]


def test_silence_and_nonsense_are_not_relevant_but_a_refusal_of_harm_is(monkeypatch, material):
    safety = Safety(str(material / "prompts.parquet"), str(material / "instructions.parquet"))
    for text, harmful, others in (("", 0, 0), ("the the the the the the", 0, 0), ("I can't help with that.", 1, 0.2)):
        monkeypatch.setattr("fmcycle.evaluation.safety.answers", lambda m, p, asked, text=text, **_: [Said(text)] * len(asked))
        found = safety(None, None)
        assert found["harmful/relevance_rate"] == harmful and found["harmless/relevance_rate"] <= others, text
        assert found["refusal_rate"] == found["over_refusal_rate"] == harmful


def test_held_out_questions_join_the_harmless_prompts_and_taught_ones_leave(tmp_path, material):
    alone = Safety(str(material / "prompts.parquet")).rows()
    both = Safety(str(material / "prompts.parquet"), str(material / "instructions.parquet"), per_kind=1000).rows()
    harmless = [row["text"] for row in both if row["kind"] == "harmless"]
    frame = pl.read_parquet(material / "instructions.parquet")
    questions = {turns[0]["content"] for turns in frame.filter(split="test")["messages"].to_list() if not refuses(turns[-1]["content"])}
    assert {row["text"] for row in alone if row["kind"] == "harmless"} | questions == set(harmless)
    prompt = next(row["text"] for row in alone if row["kind"] == "harmful")
    row = frame.filter(split="train").head(1).to_dicts()[0]
    taught = row | {"messages": [{"role": "user", "content": prompt}, row["messages"][-1]]}
    pl.DataFrame([taught]).write_parquet(tmp_path / "taught.parquet")
    asked = Safety(str(material / "prompts.parquet"), str(tmp_path / "taught.parquet")).rows()
    assert prompt not in [row["text"] for row in asked] and len(asked) == len(alone) - 1
