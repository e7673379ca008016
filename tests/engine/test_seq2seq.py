"""An encoder-decoder: greedy is what transformers' own generate gives, and requests do not disturb each other."""

import torch


def tokens(engine, *prompts, **options):
    said = [[] for _ in prompts]
    for index, token in engine([{"ids": engine.begin(ids), "max_tokens": 12, "stop": [], **options} for ids in prompts]):
        said[index].append(token)
    return said


def test_greedy_equals_generate_of_transformers(engine):
    one = engine("seq2seq")
    ids = torch.tensor([one.begin([5, 6, 7])])
    wanted = one.model.generate(ids, max_new_tokens=12, min_new_tokens=12, do_sample=False)[0, 1:].tolist()
    end = one.model.config.eos_token_id
    assert ids[0, -1] == end and tokens(one, [5, 6, 7])[0][: wanted.index(end) if end in wanted else 12] == wanted


def test_requests_side_by_side_say_what_each_says_alone(engine):
    one = engine("seq2seq")
    drawn = {"temperature": 1.0, "seed": 3}
    assert tokens(one, [5, 6, 7], [9, 4], **drawn) == tokens(one, [5, 6, 7], **drawn) + tokens(one, [9, 4], **drawn)


def test_a_prompt_beyond_the_context_has_no_room(engine):
    assert engine("seq2seq").room([5] * 64) == 64 and engine("seq2seq").room([5] * 65) == 0
