"""How a token is chosen: the nucleus keeps the first and cuts the tail, penalties lower what was said."""

import torch

from fmcycle.engine.decoding import choose
from fmcycle.engine.protocol import Sampling


def test_top_p_keeps_the_first_and_cuts_the_tail():
    logits, counts = torch.log(torch.tensor([0.5, 0.3, 0.2])), torch.zeros(3)
    draw = Sampling(max_tokens=1, temperature=1.0, top_p=0.6)
    drawn = {choose(logits, counts, draw, torch.Generator().manual_seed(seed)) for seed in range(50)}
    assert drawn == {0, 1}
    assert choose(logits, counts, Sampling(max_tokens=1, temperature=1.0, top_p=1e-9), torch.Generator()) == 0


def test_penalties_lower_what_was_said():
    logits, counts = torch.tensor([1.0, 0.9]), torch.tensor([1.0, 0.0])
    assert choose(logits, counts, Sampling(max_tokens=1), torch.Generator()) == 0
    assert choose(logits, counts, Sampling(max_tokens=1, presence_penalty=0.2), torch.Generator()) == 1
    assert choose(logits, counts, Sampling(max_tokens=1, frequency_penalty=0.2), torch.Generator()) == 1
