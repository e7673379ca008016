"""Bits per byte: every token once, whatever the batch, and the same as one full pass where it fits."""

import math

import numpy as np
import polars as pl
import pytest
import torch

from fmcycle.curation.split import by_group
from fmcycle.errors import InputError
from fmcycle.evaluation.bits_per_byte import BitsPerByte, encode, token_losses, windows
from fmcycle.evaluation.held_out import held_out
from fmcycle.model import store as model_store


@pytest.mark.parametrize(
    ("length", "context", "stride"), [(1, 8, 4), (2, 8, 4), (9, 8, 4), (10, 8, 4), (100, 8, 3), (100, 8, 8), (57, 16, 1)]
)
def test_every_token_but_the_first_is_scored_once_within_the_context(length, context, stride):
    scored = []
    for start, end, first in windows(length, context, stride):
        assert 0 <= start < first < end <= length and end - start <= context + 1
        scored += range(first, end)
        assert start == 0 or first - start >= context - stride + 1
    assert scored == list(range(1, length))


def test_losses_equal_one_plain_pass_of_a_short_sequence(assistant):
    model, processor = assistant
    ids = [processor.eos_token_id, *encode(processor, ["Return a copy of the string."])[0]]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    wanted = -logits[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].double().numpy()
    found = token_losses(model, [ids, ids * 9], context=128, stride=64, batch_size=2)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5, atol=1e-6)
    assert len(found[1]) == len(ids) * 9 - 1 and (found[1] > 0).all()


def test_the_batch_size_changes_nothing(assistant, material):
    one, many = (BitsPerByte(str(material / "documents.parquet"), batch_size=size, resamples=50)(*assistant) for size in (1, 16))
    assert one == pytest.approx(many, rel=2e-5)


def test_perplexity_is_torchmetrics_and_lies_in_its_interval(assistant, material):
    metrics = BitsPerByte(str(material / "documents.parquet"), limit=20)(*assistant)
    nats = metrics["bits_per_byte"] * metrics["bits_per_byte/n"] * math.log(2) / metrics["perplexity/n"]
    assert metrics["perplexity"] == pytest.approx(math.exp(nats), rel=1e-3)
    assert metrics["perplexity/low"] < metrics["perplexity"] < metrics["perplexity/high"]


def test_documents_are_picked_by_digest_and_only_from_their_split(material):
    rows = held_out(str(material / "documents.parquet"), "test")
    assert {row["split"] for row in rows} == {"test"}
    assert held_out(str(material / "documents.parquet"), "test", 3) == rows[:3]
    assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)


def test_the_five_gram_reads_the_same_documents_and_the_difference_is_paired(assistant, material):
    found = BitsPerByte(str(material / "documents.parquet"), limit=20, count=10**6)(*assistant)
    name = "baseline/kneser_ney_5gram_bits_per_byte"
    assert found[f"{name}/n"] == found["bits_per_byte/n"] == found["bits_per_byte_under_baseline/n"]
    assert found["bits_per_byte_under_baseline"] == pytest.approx(found[name] - found["bits_per_byte"], abs=2e-6)
    rows = held_out(str(material / "documents.parquet"), "train")
    assert found["counted_tokens"] == sum(1 + len(ids) for ids in encode(assistant[1], [row["text"] for row in rows]))
    assert found == BitsPerByte(str(material / "documents.parquet"), limit=20, count=10**6)(*assistant)


def test_a_context_beyond_the_models_positions_is_refused(assistant, material):
    with pytest.raises(InputError, match="128 positions"):
        BitsPerByte(str(material / "documents.parquet"), context=129)(*assistant)


def test_the_two_halves_share_nothing_and_make_the_whole(material):
    path = str(material / "documents.parquet")
    first, second, both = ([row["id"] for row in held_out(path, "train", half=half)] for half in ("first", "second", "both"))
    assert sorted(first + second) == sorted(both) and min(len(first), len(second)) > len(both) / 4


@pytest.mark.parametrize("grouped", [True, False])
def test_the_halves_share_nothing_with_the_splits(tmp_path, grouped):
    """A row without a group is its own: the digest that put it into validation must not put it into one half."""
    rows = pl.DataFrame({"id": [f"row/{n}" for n in range(400)]})
    rows = rows.with_columns(group=pl.col("id") if not grouped else pl.col("id").str.slice(0, 6))
    split = by_group(rows, validation=0.25, test=0.25)
    (split if grouped else split.drop("group")).write_parquet(tmp_path / "rows.parquet")
    for name in ("train", "validation", "test"):
        halves = [held_out(str(tmp_path / "rows.parquet"), name, half=half) for half in ("first", "second")]
        if not grouped:
            assert all(0.35 < len(half) / sum(map(len, halves)) < 0.65 for half in halves), name
        groups = [{row.get("group") or row["id"] for row in half} for half in halves]
        assert not groups[0] & groups[1], "what one half asks, the other does not"


def test_forgetting_is_the_paired_rise_over_the_reference(assistant, material, tmp_path):
    model, processor = assistant
    path, same = str(material / "documents.parquet"), str(material / "model")
    none = BitsPerByte(path, reference=same, limit=8)(model, processor)
    assert none["bits_per_byte_rise/low"] == none["bits_per_byte_rise"] == none["bits_per_byte_rise/high"] == 0
    torch.manual_seed(0)
    worse = model_store.load_model(same)[0]
    for parameter in worse.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    found = BitsPerByte(path, reference=same, limit=8)(worse.eval(), processor)
    assert found["bits_per_byte_rise/low"] > 0 and found["reference/bits_per_byte"] == none["bits_per_byte"]
    assert found["bits_per_byte_rise"] == pytest.approx(found["bits_per_byte"] - found["reference/bits_per_byte"], abs=2e-6)
    assert found["bits_per_byte_rise/n"] == found["bits_per_byte/n"], "bytes of the same documents"
