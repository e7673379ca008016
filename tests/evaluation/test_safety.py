"""Refusals and toxicity: the lists do what they say, and no more."""

import pytest

from fmcycle.evaluation.safety import Safety, lexicon, refuses


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
    assert metrics["toxicity_rate"] == 0
