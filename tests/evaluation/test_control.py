"""Baselines of answers: each is what its name says, made from the training rows alone."""

import numpy as np

from fmcycle.evaluation import control
from fmcycle.evaluation.instruction import rouge_l


def row(question: str, answer: str, task: str = "ask") -> dict:
    return {"task": task, "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


COLOURS = [
    row(f"Is the {thing} red, green or blue?", colour, "choose")
    for thing, colour in zip("abcdef", ["red", "green", "blue"] * 2, strict=True)
]
PLACES = [row(f"Where is city {place}?", "It lies in the north of the land.") for place in range(4)] + [row("Where is sea?", "Unknown.")]


def test_the_constant_answer_is_the_one_that_fits_its_task_best():
    found = control.answers([*COLOURS, *PLACES], [row("Where is city 9?", "?"), row("Anything", "?", "another task")], rouge_l)
    assert found["constant"][0] == "It lies in the north of the land."
    assert found["constant"][1] in {control.answer(each) for each in (*COLOURS, *PLACES)}


def test_nearest_takes_the_answer_of_the_most_similar_prompt():
    asked = [row("Where is the sea now?", "?"), row("Is the f red, green or blue?", "?", "choose")]
    assert control.answers([*COLOURS, *PLACES], asked, rouge_l)["nearest"] == ["Unknown.", "blue"]


def test_copy_repeats_the_last_question():
    asked = {"task": "ask", "messages": [*PLACES[0]["messages"], *row("And the second?", "?")["messages"]]}
    assert control.answers([], [asked], rouge_l) == {"copy": ["And the second?"]}


def test_chance_picks_among_the_offered_options_only():
    asked = [row(f"Is the {thing} red or blue?", "?", "choose") for thing in "ghijklmnopqrst"]
    assert set(control.answers(COLOURS, asked, rouge_l)["chance"]) == {"red", "blue"}
    assert "chance" not in control.answers(PLACES, [PLACES[0]], rouge_l)


def test_a_length_rule_is_right_where_lengths_say_so():
    pairs = [("long one", "short"), ("a", "bb"), ("a", "b")]
    found = control.pairs([{"chosen": chosen, "rejected": rejected} for chosen, rejected in pairs])
    assert found["longer"].tolist() == [1, 0, 0.5] and found["shorter"].tolist() == [0, 1, 0.5]


def test_the_gain_is_over_the_strongest_baseline():
    own, others = np.ones(20), {"weak": np.zeros(20), "strong": np.ones(20)}
    assert control.over_strongest("score", own, others)["score_over_baseline"] == 0
    assert control.over_strongest("score", own, {"weak": np.zeros(20)})["score_over_baseline/low"] == 1
    assert control.over_strongest("score", own, {}) == {}
