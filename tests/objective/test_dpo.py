import math

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.objective.dpo import DPO, logps


def model_and_batch():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=64))
    ids = torch.randint(0, 64, (4, 10))
    labels = ids.clone()
    labels[:, :4] = -100
    other = torch.randint(0, 64, (4, 10))
    batch = {
        "chosen": {"input_ids": ids, "labels": labels},
        "rejected": {"input_ids": other, "labels": torch.where(labels == -100, -100, other)},
    }
    return model, batch


def test_the_loss_is_log_2_when_policy_equals_reference():
    model, batch = model_and_batch()
    batch["reference_margin"] = DPO.reference_margin(model, batch).detach()
    out = DPO()(model, batch)
    assert math.isclose(float(out["loss"]) / out["count"], math.log(2), rel_tol=1e-5)


def test_swapping_the_answers_mirrors_the_margin():
    model, batch = model_and_batch()
    swapped = {"chosen": batch["rejected"], "rejected": batch["chosen"]}
    torch.testing.assert_close(DPO.reference_margin(model, batch), -DPO.reference_margin(model, swapped))


def test_full_smoothing_turns_the_preference_round():
    model, batch = model_and_batch()
    batch["reference_margin"] = torch.zeros(4)
    swapped = {"chosen": batch["rejected"], "rejected": batch["chosen"], "reference_margin": torch.zeros(4)}
    torch.testing.assert_close(DPO(label_smoothing=1.0)(model, batch)["loss"], DPO()(model, swapped)["loss"])


def test_only_labelled_tokens_count():
    model, batch = model_and_batch()
    logits = model(batch["chosen"]["input_ids"]).logits.log_softmax(-1)[:, :-1]
    ids = batch["chosen"]["input_ids"][:, 1:]
    expected = logits.gather(-1, ids[..., None]).squeeze(-1)[:, 3:].sum(-1)
    torch.testing.assert_close(logps(model, batch["chosen"]), expected)
