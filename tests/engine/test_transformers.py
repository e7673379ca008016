"""The reference engine: greedy is what transformers' own generate gives, a seed repeats, and requests do not disturb each other."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle import model_store
from fmcycle.engine.transformers import Transformers, choose
from fmcycle.processor.bpe import bpe


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    processor = bpe(["The bucket holds objects and the owner of the bucket."] * 20, vocab_size=300)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    folder = tmp_path_factory.mktemp("engine") / "model"
    model_store.save_model(LlamaForCausalLM(LlamaConfig(vocab_size=len(processor), **sizes)), processor, folder)
    return Transformers(str(folder))


def tokens(engine, **request):
    return [token for _, token in engine([{"ids": [5, 6, 7], "max_tokens": 20, "stop": [], **request}])]


def test_greedy_equals_generate_of_transformers(engine):
    ids = torch.tensor([[5, 6, 7]])
    wanted = engine.model.generate(ids, max_new_tokens=20, min_new_tokens=20, do_sample=False, pad_token_id=1)[0, 3:].tolist()
    assert tokens(engine) == wanted


def test_a_seed_repeats_and_another_differs(engine):
    assert tokens(engine, temperature=1.0, seed=3) == tokens(engine, temperature=1.0, seed=3) != tokens(engine, temperature=1.0, seed=4)


def test_requests_side_by_side_say_what_each_says_alone(engine):
    drawn = {"ids": [9, 4], "max_tokens": 4, "stop": [], "temperature": 1.0, "seed": 1}
    requests = [{"ids": [5, 6, 7], "max_tokens": 9, "stop": []}, drawn]
    together: dict[int, list[int]] = {0: [], 1: []}
    for index, token in engine(requests):
        together[index].append(token)
    assert together == {index: [token for _, token in engine([request])] for index, request in enumerate(requests)}


def test_a_stop_token_ends_it_and_is_not_said(engine):
    said = tokens(engine)
    assert tokens(engine, stop=[said[4]]) == said[: said.index(said[4])]


def test_top_p_keeps_the_first_and_cuts_the_tail():
    logits, counts = torch.log(torch.tensor([0.5, 0.3, 0.2])), torch.zeros(3)
    draw = {"temperature": 1.0, "top_p": 0.6}
    drawn = {choose(logits, counts, draw, torch.Generator().manual_seed(seed)) for seed in range(50)}
    assert drawn == {0, 1}
    assert choose(logits, counts, {"temperature": 1.0, "top_p": 1e-9}, torch.Generator()) == 0


def test_penalties_lower_what_was_said():
    logits, counts = torch.tensor([1.0, 0.9]), torch.tensor([1.0, 0.0])
    assert choose(logits, counts, {}, torch.Generator()) == 0
    assert choose(logits, counts, {"presence_penalty": 0.2}, torch.Generator()) == 1
    assert choose(logits, counts, {"frequency_penalty": 0.2}, torch.Generator()) == 1
