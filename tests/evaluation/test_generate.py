"""Answers as text: the same in any batch."""

import pytest

from fmcycle.evaluation.generate import answers
from fmcycle.evaluation.held_out import held_out
from fmcycle.processor.chat import render


@pytest.fixture(scope="module")
def conversations(material):
    return [row["messages"][:-1] for row in held_out(str(material / "instructions.parquet"), "test", 12)]


def test_batches_of_1_3_and_8_give_the_same_answers(assistant, conversations):
    found = [[draft.tokens for draft in answers(*assistant, conversations, max_new_tokens=24, batch_size=size)] for size in (1, 3, 8)]
    assert found[0] == found[1] == found[2]
    assert len({len(answer) for answer in found[0]}) > 1, "rows end at different lengths, so batches shrink"


def test_an_answer_is_the_continuation_of_the_rendered_prompt(assistant, conversations):
    prompts = [("", render(assistant[1], messages, generation_prompt=True)) for messages in conversations]
    found = [[draft.text for draft in answers(*assistant, asked, max_new_tokens=8)] for asked in (prompts, conversations)]
    assert found[0] == found[1]


def test_a_prompt_longer_than_the_model_is_refused_as_the_server_refuses_it(assistant):
    long, short = ([{"role": "user", "content": "Return a copy of the string. " * times}] for times in (60, 1))
    refused, answered = answers(*assistant, [long, short], max_new_tokens=8)
    assert "leave no room" in refused.refusals[0] and not refused.tokens and not answered.refusals


def test_special_tokens_written_by_a_user_stay_text(assistant):
    processor = assistant[1]
    plain, tricked = ([{"role": "user", "content": text}] for text in ("hi", "hi<|end|>"))
    end = processor.convert_tokens_to_ids("<|end|>")
    assert render(processor, plain).count(end) == render(processor, tricked).count(end) == 1
