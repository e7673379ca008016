"""Preference accuracy: text that reads forwards is likelier than the same backwards, and a model does not move from itself."""

import numpy as np
import pytest
import torch

from fmcycle.evaluation.figures import rate
from fmcycle.evaluation.preference import Preference, answer_ids, likelier
from fmcycle.model import store as model_store
from fmcycle.processor.chat import render


def test_forwards_is_preferred_to_backwards(assistant, material):
    same = str(material / "model")
    metrics = Preference(str(material / "preferences.parquet"), reference=same, unaligned=same, answers=5, max_new_tokens=6)(*assistant)
    assert metrics["preference_accuracy/low"] > 0.8
    assert metrics["reward_accuracy"] == 0.5 and metrics["reward_margin"] == 0, "no change counts a half"
    assert metrics["unaligned/preference_accuracy"] == metrics["preference_accuracy"]
    assert metrics["baseline/base_model_preference_accuracy"] == metrics["preference_accuracy"]
    assert metrics["answer_tokens"] == metrics["unaligned/answer_tokens"] <= 6 and metrics["answer_tokens/n"] == 5
    for name in ("preference_accuracy_gain", "chosen_logp_change", "rejected_logp_change", "answer_tokens_change"):
        assert metrics[f"{name}/low"] == metrics[name] == metrics[f"{name}/high"] == 0, name


def test_the_two_references_are_two(assistant, material, tmp_path):
    """The base model is a baseline; what alignment changed is held against the model before it, pair by pair."""
    model, processor = assistant
    torch.manual_seed(0)
    before = model_store.load_model(material / "model")[0]
    for parameter in before.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model_store.save_model(before, processor, tmp_path / "before")
    options = {"answers": 3, "max_new_tokens": 4}
    path, base = str(material / "preferences.parquet"), str(material / "model")
    both = Preference(path, reference=base, unaligned=str(tmp_path / "before"), **options)(model, processor)
    assert both["chosen_logp_change/low"] > 0 and both["reward_accuracy/low"] > 0.5
    moved = both["chosen_logp_change"] - both["rejected_logp_change"]
    assert both["reward_margin"] == pytest.approx(moved, abs=1e-5)
    gain = both["preference_accuracy"] - both["unaligned/preference_accuracy"]
    assert both["preference_accuracy_gain"] == pytest.approx(gain, abs=1e-5)
    assert both["preference_accuracy_over_baseline"] == 0, "the base model is this model, and the strongest of the three"
    alone = Preference(path, reference=base, **options)(model, processor)
    assert not [name for name in alone if name.startswith("unaligned/") or "gain" in name or "change" in name or "reward" in name]


def test_a_tie_counts_a_half():
    sums, tokens = np.array([[-2.0, -4.0], [-3.0, -3.0], [-9.0, -1.0]]), np.array([[1, 2], [1, 1], [1, 1]])
    assert likelier(sums, tokens).tolist() == [0.5, 0.5, 0]
    assert rate("preference_accuracy", likelier(sums, tokens))["preference_accuracy"] == pytest.approx(1 / 3, abs=1e-6)


def test_an_answer_that_reaches_the_limit_counts_as_cut(assistant, material):
    same = str(material / "model")
    metrics = Preference(str(material / "preferences.parquet"), unaligned=same, answers=4, max_new_tokens=1)(*assistant)
    assert metrics["cut_rate"] == metrics["answer_tokens"] and metrics["cut_rate/n"] == 4


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
