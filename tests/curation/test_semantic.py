import numpy as np
import polars as pl
import pytest

from fmcycle.curation import semantic
from fmcycle.curation.corpus import whole
from fmcycle.curation.semantic import Semantic

TEXTS = [
    "A cat sits on the mat.",
    "Interest rates rose by half a point.",
    "a cat sits on the mat",
    "Zebras",
    "Interest rates rose by half a point",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny encoder with random weights: the mean over its embedded words is enough for texts that share nearly all of them."""
    import torch
    from transformers import BertConfig, BertModel

    from fmcycle.processor.bpe import bpe

    folder = str(tmp_path_factory.mktemp("encoder"))
    processor = bpe(TEXTS * 3, vocab_size=400)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(processor), max_position_embeddings=64, **sizes)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def documents(texts):
    return pl.DataFrame({"id": [str(number) for number in range(len(texts))], "text": pl.Series(texts, dtype=pl.String)})


def test_what_says_the_same_goes_and_names_what_stays(model):
    vectors = semantic.embeddings(TEXTS, model, 64, 2)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    near = float(vectors[1] @ vectors[4])
    judged = whole(Semantic(model, threshold=near - 0.01, max_length=64), documents(TEXTS))
    assert judged["value"][4] == "1" and judged["reason"][4] == "semantic duplicate"
    assert whole(Semantic(model, threshold=0.9999, max_length=64), documents(TEXTS))["reason"].null_count() == 5


def test_batches_and_shards_change_nothing(model):
    frame = documents(TEXTS * 3).with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64))
    one = Semantic(model, max_length=64, batch_size=15).sketch(frame)
    parts = pl.concat([Semantic(model, max_length=64, batch_size=2).sketch(part) for part in frame.iter_slices(4)])
    assert np.allclose(one["embedding"].to_numpy(), parts["embedding"].to_numpy(), atol=2e-5)


@pytest.mark.parametrize("block", [1, 3, 1024])
def test_settling_is_first_come_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr(semantic, "BLOCK", block)
    angle = np.deg2rad([0, 10, 20, 90, 95, 5])
    frame = pl.DataFrame({"row": np.arange(6, dtype=np.uint64), "embedding": np.stack([np.cos(angle), np.sin(angle)], 1)})
    settled = Semantic("", threshold=float(np.cos(np.deg2rad(12)))).settle(frame)
    assert settled.select("row", "original").rows() == [(1, 0), (4, 3), (5, 0)]


def test_planes_part_the_work_and_find_what_lies_together(model):
    frame = documents([*TEXTS, *TEXTS])
    step = Semantic(model, threshold=0.999, max_length=64, bits=2, tables=2)
    judged = whole(step, frame)
    assert set(zip(judged["id"], judged["value"], strict=True)) >= {(str(number + 5), str(number)) for number in range(5)}
    assert whole(step, documents([])).height == 0
