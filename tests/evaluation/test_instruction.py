"""Answer quality: perfect answers score perfectly, a model gains nothing on itself, gains come in pairs."""

import pytest
from sacrebleu import corpus_bleu

from fmcycle.evaluation.instruction import Instruction, bleu, scores

GIVEN = ["the cat sat on the mat today", "a dog ran through the green park", "nothing alike"]
WANTED = ["the cat sat on the mat", "a dog ran through the green park", "all other words here"]


def test_scores_of_equal_and_of_unlike_answers():
    found = scores(GIVEN, WANTED)
    assert found["exact_match"].tolist() == [0, 1, 0]
    assert found["rouge_l"][1] == 1 and found["rouge_l"][2] == 0


def test_bleu_of_the_parts_is_sacrebleus_corpus_score():
    value, low, high = bleu(scores(GIVEN, WANTED)["bleu"], resamples=100, seed=0)
    assert value == pytest.approx(corpus_bleu(GIVEN, [WANTED]).score)
    assert low <= value <= high


def test_a_model_gains_nothing_on_itself_and_tasks_add_up(assistant, material):
    evaluation = Instruction(str(material / "instructions.parquet"), reference=str(material / "model"), max_new_tokens=16, resamples=100)
    metrics = evaluation(*assistant)
    assert metrics["rouge_l_gain"] == metrics["rouge_l_gain/low"] == metrics["rouge_l_gain/high"] == 0
    assert metrics["reference/rouge_l"] == metrics["rouge_l"]
    assert metrics["method/rouge_l/n"] + metrics["type/rouge_l/n"] == metrics["rouge_l/n"]


def test_every_prompt_is_kept_with_both_answers_and_their_scores(assistant, material):
    evaluation = Instruction(str(material / "instructions.parquet"), reference=str(material / "model"), max_new_tokens=16, resamples=100)
    metrics = evaluation(*assistant)
    rows = evaluation.answered
    assert len(rows) == metrics["rouge_l/n"] and all(row["answer"] == row["reference"] for row in rows)
    mean = sum(row["scores"]["rouge_l"] for row in rows) / len(rows)
    assert mean == pytest.approx(metrics["rouge_l"], abs=1e-3) and rows[0]["scores"] == rows[0]["reference_scores"]
    assert set(rows[0]) == {"id", "task", "prompt", "expected", "answer", "refused", "scores", "reference", "reference_scores"}
    alone = Instruction(str(material / "instructions.parquet"), per_task=1, max_new_tokens=4)
    alone(*assistant)
    assert "reference" not in alone.answered[0] and set(alone.answered[0]["scores"]) == {"rouge_l", "exact_match"}


def test_no_held_out_rows_is_a_count_of_zero(assistant, material):
    metrics = Instruction(str(material / "instructions.parquet"), split="nowhere")(*assistant)
    assert metrics == {"rouge_l/n": 0, "bleu/n": 0, "exact_match/n": 0}
