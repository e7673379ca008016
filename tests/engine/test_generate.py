"""One loop for answers in batches: those of transformers' own generate, and of the reference engine, whatever the batch."""

import math

import families
import numpy as np
import pytest
import torch

from fmcycle.engine import protocol
from fmcycle.engine.generate import generate, greedy
from fmcycle.engine.protocol import Request, Sampling
from fmcycle.kernels import linear_cross_entropy
from fmcycle.processor import components

PROMPTS = [[5, 6, 7], [9], [20, 21, 22, 23, 24], [8, 9, 10], [30, 31, 32, 33, 34, 35, 36]]
TEXT = ["decoder", "seq2seq"]


@pytest.fixture(scope="module")
def made():
    """(family) -> (model with large random weights, so that answers differ and end at different lengths, processor)."""
    kept = {}

    def make(family):
        if family not in kept:
            torch.manual_seed(0)
            model, processor = getattr(families, family)()
            for weight in model.parameters():
                if weight.dim() > 1:
                    torch.nn.init.normal_(weight, std=0.3)
            kept[family] = model.eval(), processor
        return kept[family]

    return make


def ids_of(model, requests, **options):
    return [answer.ids for answer in generate(model, requests, **options)]


@pytest.mark.parametrize("family", TEXT)
def test_the_likeliest_tokens_are_those_of_transformers_generate(made, family):
    model, _ = made(family)
    found = ids_of(model, [Request(prompt, Sampling(12)) for prompt in PROMPTS])
    assert len({tuple(ids) for ids in found}) > 2
    for prompt, ids in zip(PROMPTS, found, strict=True):
        given = torch.tensor([prompt])
        options = {"attention_mask": torch.ones_like(given), "do_sample": False, "eos_token_id": None, "min_new_tokens": 12}
        out = model.generate(given, max_new_tokens=12, **options)[0].tolist()
        assert ids == out[-12:]


@pytest.mark.parametrize("family", TEXT)
@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "top_p": 0.9}, {"presence_penalty": 0.5, "frequency_penalty": 0.3}])
def test_a_request_is_answered_alike_in_every_batch_and_by_the_engine(made, engine, family, sampling):
    model = engine(family).model
    draws = [Sampling(4 + 3 * place, seed=place, stop_ids=frozenset(range(60, 90)), **sampling) for place in range(len(PROMPTS))]
    requests = [Request(prompt, draw) for prompt, draw in zip(PROMPTS, draws, strict=True)]
    found = ids_of(model, requests, batch_size=1)
    assert found == ids_of(model, requests, batch_size=2) == ids_of(model, requests, batch_size=8)
    assert found == protocol.generate(engine(family), requests)


@pytest.mark.parametrize("family", TEXT)
def test_log_probabilities_are_those_of_one_forward_over_prompt_and_answer(made, family):
    model, _ = made(family)
    requests = [Request(prompt, Sampling(7, temperature=1.0, seed=place)) for place, prompt in enumerate(PROMPTS)]
    for request, answer in zip(requests, generate(model, requests, batch_size=3), strict=True):
        if family == "seq2seq":
            start = [model.config.decoder_start_token_id, *answer.ids[:-1]]
            logits = model(input_ids=torch.tensor([request.ids]), decoder_input_ids=torch.tensor([start])).logits[0]
        else:
            logits = model(input_ids=torch.tensor([[*request.ids, *answer.ids[:-1]]])).logits[0, len(request.ids) - 1 :]
        wanted = logits.log_softmax(-1).gather(1, torch.tensor(answer.ids)[:, None])[:, 0].tolist()
        assert answer.log_probs == pytest.approx(wanted, abs=1e-4) and all(value <= 0 for value in answer.log_probs)


def test_what_ends_an_answer_is_no_part_of_it_and_no_tokens_are_no_answer(made):
    model, processor = made("decoder")
    (whole,) = ids_of(model, [Request(PROMPTS[0], Sampling(12))])
    stop = frozenset({whole[4]})
    (cut,) = ids_of(model, [Request(PROMPTS[0], Sampling(12, stop_ids=stop))])
    assert cut == whole[: whole.index(whole[4])]
    assert ids_of(model, [Request([5], Sampling(0)), Request(PROMPTS[0], Sampling(2))]) == [[], whole[:2]]
    assert generate(model, []) == []
    assert greedy(processor, 3) == Sampling(3, stop_ids=frozenset(components.ends(processor)))


def test_a_prompt_longer_than_the_model_is_cut_at_its_left_end(made):
    model, _ = made("decoder")  # 64 positions
    long = [int(token) for token in np.random.default_rng(0).integers(5, 50, 100)]
    assert ids_of(model, [Request(long, Sampling(8))]) == ids_of(model, [Request(long[-56:], Sampling(8))])


def test_a_model_whose_output_layer_is_fused_into_the_loss_answers_alike(made):
    model, _ = made("decoder")
    requests = [Request(prompt, Sampling(6)) for prompt in PROMPTS]
    plain = generate(model, requests)
    try:
        fused = generate(linear_cross_entropy.fuse(model), requests)
    finally:
        linear_cross_entropy.plain(model)
    assert [answer.ids for answer in fused] == [answer.ids for answer in plain]
    for one, other in zip(fused, plain, strict=True):
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5) and math.isfinite(sum(one.log_probs))


def test_a_picture_is_seen_beside_its_own_prompt(made):
    model, processor = made("vision_language")
    image = components.image_ids(processor)
    pictures = [np.full((3, 16, 16), value, np.float32) for value in (-1.0, 0.0, 1.0)]
    prompts = [[5, *image, 6], [5, *image, 6, 7, 8], [5, *image, 6]]
    requests, seen = [Request(ids, Sampling(6)) for ids in prompts], [{"pixel_values": each} for each in pictures]
    found = ids_of(model, requests, seen=seen)
    assert found == [ids_of(model, [one], seen=[its])[0] for one, its in zip(requests, seen, strict=True)]
    assert found[0] != found[2], "the same prompt beside two pictures"
