from functools import partial
from types import SimpleNamespace

import pytest
import torch
import transformers

from fmcycle.data.table import Table
from fmcycle.evaluation.generate import answers
from fmcycle.evaluation.seq2seq import Seq2Seq
from fmcycle.processor import store
from fmcycle.processor.pair import seq2seq


@pytest.fixture
def says(monkeypatch):
    """(answer) -> nothing; the model's answer to a row is from then on the text of `answer(its ids)`."""

    def put(answer):
        def answers(model, processor, prompts, **options):
            return [SimpleNamespace(text=processor.decode(answer(ids), skip_special_tokens=True)) for _, ids in prompts]

        monkeypatch.setattr("fmcycle.evaluation.seq2seq.answers", answers)

    return put


@pytest.fixture
def data(material):
    return partial(Table(path=str(material / "instructions.parquet"), format=seq2seq, max_length=128))


def test_a_model_that_copies_gains_nothing(data, material, says):
    processor = store.load_processor(material / "processor")
    says(lambda ids: ids)
    found = Seq2Seq(data=data, limit=12)(None, processor)
    for name in ("bleu", "rouge_l", "exact_match"):
        assert found[name] == found[f"baseline/copy_{name}"]
    assert found["rouge_l_gain"] == 0 == found["rouge_l_gain/high"] and found["bleu/n"] == 12


def test_the_right_answers_score_in_full(data, material, says):
    processor = store.load_processor(material / "processor")
    rows = data("test", processor)
    known = {tuple(rows[n]["input_ids"]): rows[n]["decoder_labels"] for n in range(6)}
    says(lambda ids: known[tuple(ids)])
    found = Seq2Seq(data=data, limit=6, batch_size=1)(None, processor)
    assert found["exact_match"] == 1 and found["rouge_l"] == 1 and found["rouge_l_gain/low"] > 0


def test_a_row_is_answered_alike_alone_and_beside_longer_ones(data, material):
    processor = store.load_processor(material / "processor")
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 1, "num_heads": 2}
    ids = {"pad_token_id": processor.pad_token_id, "eos_token_id": processor.eos_token_id, "decoder_start_token_id": processor.bos_token_id}
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=512, **sizes, **ids)).eval()
    rows = data("test", processor)
    prompts = [("", rows[n]["input_ids"]) for n in range(6)]
    found = [[draft.text for draft in answers(model, processor, prompts, max_new_tokens=6, batch_size=size)] for size in (6, 1)]
    assert found[0] == found[1] and any(found[0])
