from types import SimpleNamespace

import numpy as np
import polars as pl
import torch

from fmcycle.evaluation.masked import Masked, counted
from fmcycle.processor import store


class Knows(torch.nn.Module):
    """Names every token that it was shown, and `answer` where it sees the mask."""

    device = torch.device("cpu")

    def __init__(self, answer: int):
        super().__init__()
        self.answer, self.config, self.masked = answer, SimpleNamespace(pad_token_id=1, vocab_size=512), 0

    def forward(self, input_ids):
        self.masked += int((input_ids == 1).sum())
        named = torch.where(input_ids == 1, self.answer, input_ids)
        return SimpleNamespace(logits=torch.nn.functional.one_hot(named, 512).float())


def measured(material, answer, window):
    processor = store.load_processor(material / "processor")
    model = Knows(answer)
    found = Masked(documents=str(material / "documents.parquet"), windows=lambda: [window(processor)], context=32)(model, processor)
    return found, model


def test_only_masked_places_count_and_the_model_does_not_see_them(material):
    def window(processor):
        texts = pl.read_parquet(material / "documents.parquet").filter(split="test")["text"]
        return np.array([token for text in texts for token in processor(text)["input_ids"]])

    found, model = measured(material, 511, window)
    assert found["masked_accuracy/n"] == model.masked and found["masked_accuracy"] < 0.1
    assert found["baseline/bigram_accuracy"] > 2 * found["baseline/unigram_accuracy"] > 0, "it has counted the very text"


def test_a_model_that_names_the_most_frequent_token_is_as_good_as_the_unigram(material):
    found, _ = measured(material, 40, lambda processor: np.array([40, 40, 41]))
    assert found["masked_accuracy"] == found["baseline/unigram_accuracy"]


def test_what_counting_says():
    most, follows = counted(np.array([5, 6, 5, 6, 5, 7, 5]), 9)
    assert most == 5 and follows[5] == 6 and follows[6] == 5 and follows[8] == 5 == follows[0]
