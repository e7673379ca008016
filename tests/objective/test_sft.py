import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fmcycle.kernels import varlen_attention
from fmcycle.objective.next_token import NextToken
from fmcycle.objective.sft import SFT


def small():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=64))


def test_with_every_token_labelled_it_is_next_token():
    model, ids = small(), torch.randint(0, 64, (3, 9))
    sft, plain = SFT()(model, {"input_ids": ids, "labels": ids}), NextToken()(model, {"input_ids": ids})
    torch.testing.assert_close(sft["loss"], plain["loss"])
    assert int(sft["count"]) == plain["count"] == 24


def test_what_stands_after_the_last_label_changes_nothing():
    model, ids = small(), torch.randint(0, 64, (2, 9))
    labels = ids.clone()
    labels[:, 5:] = -100
    other = ids.clone()
    other[:, 5:] = 7
    torch.testing.assert_close(SFT()(model, {"input_ids": ids, "labels": labels}), SFT()(model, {"input_ids": other, "labels": labels}))


def test_each_answer_weighs_the_same_however_short():
    model, ids = small(), torch.randint(0, 64, (2, 9))
    labels = ids.clone()
    labels[0, :7] = -100
    alone = [SFT()(model, {"input_ids": ids[row : row + 1], "labels": labels[row : row + 1]}) for row in range(2)]
    together = SFT(normalize_by="answer")(model, {"input_ids": ids, "labels": labels})
    torch.testing.assert_close(together["loss"], sum(out["loss"] / out["count"] for out in alone))
    assert int(together["count"]) == 2


def test_packed_conversations_weigh_the_same_however_short():
    model = varlen_attention.install(small())
    lengths = [3, 9, 5]
    ids = torch.randint(0, 64, (1, 17))
    positions = torch.tensor([[place for length in lengths for place in range(length)]])
    labels = torch.where(positions < 2, -100, ids)
    batch = {"input_ids": ids, "labels": labels, "position_ids": positions}
    parts = [{"input_ids": a, "labels": b} for a, b in zip(ids.split(lengths, 1), labels.split(lengths, 1), strict=True)]
    alone = [SFT()(model, part) for part in parts]
    together = SFT(normalize_by="answer")(model, batch)
    torch.testing.assert_close(together["loss"], sum(out["loss"] / out["count"] for out in alone))
    assert int(together["count"]) == 3
    by_token = SFT()(model, batch)
    torch.testing.assert_close(by_token["loss"], sum(out["loss"] for out in alone))
    assert int(by_token["count"]) == 11
