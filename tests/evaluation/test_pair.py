from functools import partial
from types import SimpleNamespace

import pytest
import torch
import transformers

from fmcycle.data.table import Table
from fmcycle.evaluation.pair import Pair
from fmcycle.processor import store
from fmcycle.processor.pair import seq2seq


class Says:
    """A model whose answer to a row is what `answer` makes of its ids."""

    device = torch.device("cpu")

    def __init__(self, answer):
        self.answer, self.config = answer, SimpleNamespace(pad_token_id=1)

    def generate(self, input_ids, attention_mask, **options):
        return torch.stack([self.answer(row) for row in input_ids])


@pytest.fixture
def data(material):
    return partial(Table(path=str(material / "instructions.parquet"), format=seq2seq, max_length=128))


def test_a_model_that_copies_gains_nothing(data, material):
    processor = store.load_processor(material / "processor")
    found = Pair(data=data, limit=12)(Says(lambda row: row), processor)
    for name in ("bleu", "rouge_l", "exact_match"):
        assert found[name] == found[f"baseline/copy_{name}"]
    assert found["rouge_l_gain"] == 0 == found["rouge_l_gain/high"] and found["bleu/n"] == 12


def test_the_right_answers_score_in_full(data, material):
    processor = store.load_processor(material / "processor")
    rows = data("test", processor)
    known = {tuple(rows[n]["input_ids"]): torch.tensor(rows[n]["decoder_labels"]) for n in range(6)}
    found = Pair(data=data, limit=6, batch_size=1)(Says(lambda row: known[tuple(row.tolist())]), processor)
    assert found["exact_match"] == 1 and found["rouge_l"] == 1 and found["rouge_l_gain/low"] > 0


def test_a_row_is_answered_alike_alone_and_beside_longer_ones(data, material):
    processor = store.load_processor(material / "processor")
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 1, "num_heads": 2}
    ids = {"pad_token_id": processor.pad_token_id, "eos_token_id": processor.eos_token_id, "decoder_start_token_id": processor.bos_token_id}
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=512, **sizes, **ids)).eval()
    rows = data("test", processor)
    held_out = [rows[n] for n in range(6)]
    together, alone = (Pair(data=data, max_new_tokens=6, batch_size=size).answers(model, processor, held_out) for size in (6, 1))
    assert together == alone and any(together)
