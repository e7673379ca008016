"""Partners are found by what an encoder makes of texts, beside the words that they share."""

from types import SimpleNamespace

import families
import numpy as np
import pytest
import torch

from fmcycle.data.table import Rows
from fmcycle.evaluation.sentence_retrieval import SentenceRetrieval, among

PAIRS = [("the bucket", "an owner"), ("no other user", "objects"), ("list them all", "a user deletes")]


class Bag(torch.nn.Module):
    """A token's hidden state says which pair it belongs to, whichever side it is on."""

    device = torch.device("cpu")

    def __init__(self, owner: dict[int, int]):
        super().__init__()
        self.owner = owner

    def forward(self, input_ids, attention_mask):
        places = torch.tensor([[self.owner[token] for token in row] for row in input_ids.tolist()])
        return SimpleNamespace(last_hidden_state=torch.nn.functional.one_hot(places, 4).float())


@pytest.fixture(scope="module")
def rows():
    tokenizer = families.tokenizer()
    ids = [
        {side: {"input_ids": tokenizer(text)["input_ids"]} for side, text in zip(("first", "second"), pair, strict=True)} for pair in PAIRS
    ]
    return Rows(ids, tokenizer.pad_token_id), tokenizer


def test_a_text_that_is_nearest_to_its_partner_is_found_and_shared_words_are_none(rows):
    table, tokenizer = rows
    owner = {tokenizer.pad_token_id: 3}
    for number, row in enumerate(table.rows):
        owner |= {token: number for side in row.values() for token in side["input_ids"] if token not in owner}
    found = SentenceRetrieval(lambda *_: table, batch_size=2)(Bag(owner), tokenizer)
    assert found["recall@1"] == 1.0 and found["cosine_gap"] > 0.3 and found["recall@1/n"] == 3
    wrong = SentenceRetrieval(lambda *_: table)(
        Bag({token: 3 - number for token, number in owner.items()} | {tokenizer.pad_token_id: 0}), tokenizer
    )
    assert wrong["cosine_gap"] == pytest.approx(found["cosine_gap"])  # padding counts nothing, whatever it stands for
    assert found["baseline/words_recall@1"] < 1


def test_a_batch_changes_no_vector(rows):
    torch.manual_seed(0)
    model, tokenizer = families.encoder()
    texts = [row["first"]["input_ids"] for row in rows[0].rows]
    one, three = (SentenceRetrieval(None, batch_size=size).vectors(model.eval(), texts, tokenizer.pad_token_id) for size in (1, 3))
    assert np.allclose(one, three, atol=1e-6) and np.allclose(np.linalg.norm(one, axis=1), 1)


def test_one_of_several_partners_is_enough():
    scores = np.array([[0.1, 0.9, 0.5], [0.2, 0.1, 0.9]])
    same = np.array([[True, True, False], [True, False, False]])
    assert among(scores, same, 1).tolist() == [True, False] and among(scores, same, 2).tolist() == [True, True]
