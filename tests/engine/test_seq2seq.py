"""An encoder-decoder: greedy is what transformers' own generate gives."""

import torch

from fmcycle.engine.protocol import Request, Sampling, generate


def test_greedy_equals_generate_of_transformers(engine):
    one = engine("seq2seq")
    end, ids = one.model.config.eos_token_id, one.begin([5, 6, 7])
    wanted = one.model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0, 1:].tolist()
    said = generate(one, [Request(ids, Sampling(max_tokens=12, stop_ids=frozenset([end])))])
    assert ids[-1] == end and said == [[token for token in wanted if token != end]]


def test_a_prompt_beyond_the_context_has_no_room(engine):
    assert engine("seq2seq").room([5] * 64) == 64 and engine("seq2seq").room([5] * 65) == 0
