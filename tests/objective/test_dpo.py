import math

import torch
import yaml
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.objective.dpo import DPO, logps


def model_and_batch(alike: int = 0):
    """4 pairs of answers after 4 tokens; the first `alike` tokens of both sides are the same."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=64))
    ids = torch.randint(0, 64, (4, 10))
    labels = ids.clone()
    labels[:, :4] = -100
    other = torch.randint(0, 64, (4, 10))
    other[:, :alike] = ids[:, :alike]
    batch = {
        "chosen": {"input_ids": ids, "labels": labels},
        "rejected": {"input_ids": other, "labels": torch.where(labels == -100, -100, other)},
    }
    return model, batch


def test_the_loss_is_log_2_when_policy_equals_reference():
    model, batch = model_and_batch()
    batch |= referenced(model, batch)
    out = DPO()(model, batch)
    assert out["accuracy"] == 2 and out["chosen_logp_change"] == out["rejected_logp_change"] == 0, "of 4 pairs, no change counts a half"
    assert math.isclose(out["loss"] / out["count"], math.log(2), rel_tol=1e-5)


def referenced(model, batch) -> dict:
    return {name: getattr(DPO, name)(model, batch).detach() for name in DPO.columns}


def test_both_sides_are_logged_in_nats_and_their_difference_is_the_margin():
    model, batch = model_and_batch()
    chosen, rejected = logps(model, batch["chosen"]), logps(model, batch["rejected"])
    out = DPO()(model, batch | {"reference_chosen": chosen.detach() - 2, "reference_rejected": rejected.detach() + 3})
    assert math.isclose(out["chosen_logp_change"], 4 * 2, rel_tol=1e-4) and math.isclose(out["rejected_logp_change"], -4 * 3, rel_tol=1e-4)
    assert math.isclose(out["loss"], 4 * math.log1p(math.exp(-0.1 * 5)), rel_tol=1e-4) and out["accuracy"] == 4


def test_the_default_keeps_the_chosen_answer_likely_while_the_accuracy_rises(root):
    """DPO's margin grows best by making rejected answers unlikely, and takes chosen ones that share their tokens along."""
    default = yaml.safe_load((root / "conf/objective/dpo.yaml").read_text())
    found = {}
    for weight in (0.0, default["sft_weight"]):
        model, batch = model_and_batch(alike=7)
        batch |= referenced(model, batch)
        optimizer, objective = torch.optim.AdamW(model.parameters(), lr=3e-3), DPO(sft_weight=weight)
        for _ in range(40):
            optimizer.zero_grad()
            out = objective(model, batch)
            (out["loss"] / out["count"]).backward()
            optimizer.step()
        found[weight] = {name: float(value) / 4 for name, value in objective(model, batch).items()}
    plain, kept = found[0.0], found[default["sft_weight"]]
    assert plain["accuracy"] == kept["accuracy"] == 1 and default["sft_weight"] > 0
    assert kept["chosen_logp_change"] > max(0, plain["chosen_logp_change"]), found
    assert kept["chosen_logp_change"] > kept["rejected_logp_change"], found


def test_full_smoothing_turns_the_preference_round():
    model, batch = model_and_batch()
    batch |= {"reference_chosen": torch.zeros(4), "reference_rejected": torch.zeros(4)}
    swapped = batch | {"chosen": batch["rejected"], "rejected": batch["chosen"]}
    torch.testing.assert_close(DPO(label_smoothing=1.0)(model, batch)["loss"], DPO()(model, swapped)["loss"])


def test_only_labelled_tokens_count():
    model, batch = model_and_batch()
    logits = model(batch["chosen"]["input_ids"]).logits.log_softmax(-1)[:, :-1]
    ids = batch["chosen"]["input_ids"][:, 1:]
    expected = logits.gather(-1, ids[..., None]).squeeze(-1)[:, 3:].sum(-1)
    torch.testing.assert_close(logps(model, batch["chosen"]), expected)
