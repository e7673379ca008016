"""Preference accuracy: text that reads forwards is likelier than the same backwards, and a model does not move from itself."""

import torch

from fmcycle.evaluation.preference import Preference, answer_ids
from fmcycle.processor.chat import render


def test_forwards_is_preferred_to_backwards(assistant, material):
    metrics = Preference(str(material / "preferences.parquet"), reference=str(material / "model"))(*assistant)
    assert metrics["preference_accuracy/low"] > 0.8
    assert metrics["reward_accuracy"] == 0 and metrics["reward_margin"] == 0
    assert metrics["reference/preference_accuracy"] == metrics["preference_accuracy"]
    assert metrics["preference_accuracy_gain/low"] == metrics["preference_accuracy_gain"] == metrics["preference_accuracy_gain/high"] == 0


def test_what_is_scored_is_the_answer_and_its_end_of_turn(assistant):
    processor = assistant[1]
    prompt = [{"role": "user", "content": "Say hello."}]
    ids, start = answer_ids(processor, prompt, "hello")
    assert ids[:start] == render(processor, prompt, generation_prompt=True)
    assert processor.decode(ids[start:]) == "hello<|end|>"


def test_log_likelihoods_equal_a_plain_pass(assistant):
    model, processor = assistant
    pair = {"prompt": [{"role": "user", "content": "Say hello."}], "chosen": "hello", "rejected": "Return"}
    sums, tokens = Preference("")._log_likelihoods(model, processor, [pair])
    ids, start = answer_ids(processor, pair["prompt"], "hello")
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    wanted = sum(logits[place - 1, ids[place]].item() for place in range(start, len(ids)))
    assert abs(sums[0, 0] - wanted) < 1e-3 and tokens[0, 0] == len(ids) - start
