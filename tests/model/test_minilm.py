"""The published sentence encoder out of its wheel; skipped where the wheel can't be had."""

import pytest
import torch

from fmcycle.config import compose
from fmcycle.config.build import build
from fmcycle.errors import InputError

ALIKE = [
    ("A man is playing a guitar.", "Someone plays an instrument."),
    ("The cat sits on the mat.", "A cat is sitting on a rug."),
    ("How do I delete a bucket?", "What is the way to remove a bucket?"),
    ("The stock market fell sharply today.", "Shares dropped a lot this afternoon."),
]
# cosine of the sentence pair in the model card of sentence-transformers/all-MiniLM-L6-v2's library, docs "Quickstart"
QUICKSTART = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PUBLISHED = torch.tensor([[1.0000, 0.6660, 0.1046], [0.6660, 1.0000, 0.1411], [0.1046, 0.1411, 1.0000]])


@pytest.fixture(scope="module")
def vectors():
    section = compose.compose(["stage=pretrain", "model=minilm"]).section
    try:
        model, processor = build(section["model"]), build(section["processor"])(None)
    except InputError as error:
        pytest.skip(f"the wheel of MiniLM can't be had: {error}")

    @torch.no_grad()
    def embed(texts):
        batch = processor(texts, padding=True, truncation=True, return_tensors="pt")
        mask = batch["attention_mask"][..., None]
        mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean)

    return embed


def test_similarities_are_those_that_the_library_publishes(vectors):
    found = vectors(QUICKSTART)
    assert torch.allclose(found @ found.T, PUBLISHED, atol=2e-4)


def test_what_means_the_same_is_nearer_than_what_does_not(vectors):
    one, other = (vectors([pair[side] for pair in ALIKE]) for side in (0, 1))
    cosine = one @ other.T
    assert (cosine.argmax(1) == torch.arange(len(ALIKE))).all()
    assert cosine.diagonal().min() > 0.5 > cosine.flatten()[1:].view(len(ALIKE) - 1, -1)[:, :-1].max()


def test_a_long_text_is_cut_where_the_model_was_trained_to_stop(vectors):
    assert torch.allclose(vectors(["word " * 254]), vectors(["word " * 400]), atol=1e-6)
