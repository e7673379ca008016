import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.processor import store
from fmcycle.processor.bpe import SPECIAL, bpe

TEXTS = ["Creates a new bucket in the region.", "Deletes the bucket and all of its 1234 objects.\n\n  Returns: None"] * 20


def test_any_text_comes_back_byte_for_byte():
    processor = bpe(TEXTS, vocab_size=400)
    for text in (*TEXTS, "héllo wörld 漢字 \U0001f600\t\x00 tab", "  leading, trailing  ", "DescribeDBInstances"):
        assert processor.decode(processor(text)["input_ids"]) == text


def test_the_same_texts_give_the_same_bytes(tmp_path):
    digests = []
    for name in ("first", "second"):
        with artifact.create(tmp_path / name) as partial:
            bpe(TEXTS, vocab_size=400).save_pretrained(partial)
        digests.append(artifact.digest(tmp_path / name))
    assert digests[0] == digests[1]


def test_special_tokens_come_first_and_survive_the_folder(tmp_path):
    processor = bpe(TEXTS, vocab_size=400)
    assert processor.convert_tokens_to_ids(list(SPECIAL)) == list(range(len(SPECIAL)))
    processor.save_pretrained(tmp_path)
    loaded = store.load_processor(tmp_path)
    assert (loaded.eos_token_id, loaded.pad_token_id) == (0, 1)
    assert loaded(TEXTS[1])["input_ids"] == processor(TEXTS[1])["input_ids"]


def test_a_vocabulary_below_the_bytes_or_no_text_is_refused():
    with pytest.raises(InputError, match="vocab_size 200"):
        bpe(TEXTS, vocab_size=200)
    with pytest.raises(InputError, match="no text"):
        bpe([], vocab_size=400)
