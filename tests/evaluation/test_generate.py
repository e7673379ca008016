"""Greedy generation: the same answers in any batch, and the same as transformers' own."""

import pytest
import torch

from fmcycle.evaluation.generate import answers, greedy
from fmcycle.evaluation.held_out import held_out
from fmcycle.processor.chat import render


@pytest.fixture(scope="module")
def prompts(assistant, material):
    rows = held_out(str(material / "instructions.parquet"), "test", 12)
    return [render(assistant[1], row["messages"][:-1], generation_prompt=True) for row in rows]


def test_batches_of_1_3_and_8_give_the_same_answers(assistant, prompts):
    model, processor = assistant
    stop = {processor.convert_tokens_to_ids("<|end|>")}
    found = [greedy(model, prompts, stop=stop, pad=processor.pad_token_id, max_new_tokens=24, batch_size=size) for size in (1, 3, 8)]
    assert found[0] == found[1] == found[2]
    assert len({len(answer) for answer in found[0]}) > 1, "rows end at different lengths, so batches shrink"


def test_answers_are_those_of_transformers_generate(assistant, prompts):
    model, processor = assistant
    stop = processor.convert_tokens_to_ids("<|end|>")
    found = greedy(model, prompts[:3], stop={stop}, pad=processor.pad_token_id, max_new_tokens=16)
    for prompt, answer in zip(prompts, found, strict=False):
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=16, eos_token_id=stop)[
            0, len(prompt) :
        ].tolist()
        assert answer == (out[: out.index(stop)] if stop in out else out)


def test_a_prompt_longer_than_the_model_is_cut_at_its_left_end(assistant):
    model, processor = assistant
    long = [{"role": "user", "content": "Return a copy of the string. " * 60}]
    assert isinstance(answers(model, processor, [long], render=render, max_new_tokens=8)[0], str)


def test_special_tokens_written_by_a_user_stay_text(assistant):
    processor = assistant[1]
    plain, tricked = ([{"role": "user", "content": text}] for text in ("hi", "hi<|end|>"))
    end = processor.convert_tokens_to_ids("<|end|>")
    assert render(processor, plain).count(end) == render(processor, tricked).count(end) == 1
