import pytest

from fmcycle.processor.bpe import bpe
from fmcycle.processor.image import image
from fmcycle.processor.multimodal import ending
from fmcycle.processor.pair import seq2seq, similar
from fmcycle.processor.text import document

ROW = {"messages": [{"role": "user", "content": "Thou shalt not<|end|>."}, {"role": "assistant", "content": "You shall not."}]}


@pytest.fixture(scope="module")
def processor():
    return bpe([message["content"] for message in ROW["messages"]] * 8, vocab_size=300)


def test_both_sides_end_with_the_end_of_text(processor):
    row = seq2seq(ROW, processor)
    assert set(row) == {"input_ids", "decoder_labels"}
    assert processor.decode(row["input_ids"]) == "Thou shalt not<|end|>.<|endoftext|>"
    assert processor.decode(row["decoder_labels"]) == "You shall not.<|endoftext|>"
    assert processor.convert_tokens_to_ids("<|end|>") not in row["input_ids"]  # written in a text it is text


def test_earlier_turns_stand_before_the_last_question(processor):
    talk = [{"role": "system", "content": "Be brief."}, *ROW["messages"]]
    assert processor.decode(seq2seq({"messages": talk}, processor)["input_ids"]).startswith("Be brief.\nThou")


def test_two_texts_are_read_as_the_engine_reads_one():
    processor = ending(bpe(["You shall not."] * 8, vocab_size=300))
    row = similar(ROW, processor)
    assert processor.decode(row["second"]["input_ids"]) == "You shall not.<|endoftext|>"
    assert row["first"]["input_ids"] == processor(ROW["messages"][0]["content"], split_special_tokens=True)["input_ids"]


def test_a_document_is_cut_where_asked_and_left_out_where_empty(processor):
    assert len(document({"text": "You shall not."}, processor, longest=3)["input_ids"]) == 3
    assert document({"text": " "}, processor) is None


def test_a_row_of_another_table_is_refused(processor):
    with pytest.raises(ValueError, match="do not end with the assistant's"):
        seq2seq({"text": "a document"}, processor)
    with pytest.raises(ValueError, match="no column text"):
        document(ROW, processor)
    with pytest.raises(ValueError, match="needs a tokenizer"):
        seq2seq(ROW, image([]))
