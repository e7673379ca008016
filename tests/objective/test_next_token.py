import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.kernels import varlen_attention
from fmcycle.objective.next_token import NextToken


def small():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 64}
    return varlen_attention.install(LlamaForCausalLM(LlamaConfig(**sizes)))


def test_it_is_the_loss_that_transformers_has():
    model, ids = small(), torch.randint(0, 64, (3, 9))
    out = NextToken()(model, {"input_ids": ids})
    torch.testing.assert_close(out["loss"] / out["count"], model(input_ids=ids, labels=ids).loss)
    assert out["count"] == 24


def test_labels_say_what_is_predicted():
    model, ids = small(), torch.randint(0, 64, (2, 9))
    labels = ids.clone()
    labels[0, 4:] = -100
    out = NextToken()(model, {"input_ids": ids, "labels": labels})
    parts = [NextToken()(model, {"input_ids": part}) for part in (ids[:1, :4], ids[1:])]
    torch.testing.assert_close(out["loss"], sum(part["loss"] for part in parts))
    assert int(out["count"]) == sum(part["count"] for part in parts) == 11


def test_a_token_is_never_predicted_from_the_document_before():
    model, ids = small(), torch.randint(0, 64, (1, 10))
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4, 5]])
    labels = torch.where(positions == 0, -100, ids)
    losses = []
    for first in (5, 6):
        changed = ids.clone()
        changed[0, :4] = first
        batch = {"input_ids": changed, "labels": torch.where(labels == -100, -100, changed), "position_ids": positions}
        logits = varlen_attention.output(model, batch)
        losses.append(torch.nn.functional.cross_entropy(logits[0, 4:-1], changed[0, 5:]))
    assert torch.equal(*losses)
