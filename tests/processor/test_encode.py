import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from fmcycle.processor import encode
from fmcycle.processor.bpe import bpe

SHARED = Path(__file__).parents[2].parent / "shared/data/text/udhr2/udhr2.jsonl.gz"


@pytest.fixture(scope="module")
def processor():
    texts = [inspect.getsource(json.decoder), inspect.getsource(inspect), *encode.TRIED]
    return bpe(texts * 2, vocab_size=900)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_fast_library_takes_our_pattern_and_gives_the_same_ids(processor):
    fast, own = encode.gigatoken(processor), encode.library(processor)
    texts = [*encode.TRIED, "", " ", inspect.getsource(json), (inspect.getdoc(str) or "") * 3, "\n\n\t \r\n"]
    texts += [text[start : start + 7] for text in encode.TRIED for start in range(len(text))]
    assert fast is not None and same(fast(texts), own(texts))
    assert encode.encoder(processor).__qualname__.startswith("gigatoken")


def test_a_special_token_in_a_text_is_plain_text(processor):
    ids, size = encode.encoder(processor)(["a<|endoftext|>b", "<|user|>"])
    assert size.sum() == len(ids) and not set(ids.tolist()) & set(processor.all_special_ids)
    assert processor.decode(ids) == "a<|endoftext|>b<|user|>"


def test_a_pattern_that_it_does_not_know_is_left_to_the_tokenizer(processor):
    from tokenizers import Regex, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = type(processor.backend_tokenizer).from_str(processor.backend_tokenizer.to_str())
    split = pre_tokenizers.Split(Regex(r"\w\w|\W+"), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    other = PreTrainedTokenizerFast(tokenizer_object=backend)
    assert encode.gigatoken(other) is None
    ids, size = encode.encoder(other)(["what is this", ""])
    assert size.tolist() == [len(ids), 0] and other.decode(ids) == "what is this"


def test_a_library_that_differs_is_not_used(processor, monkeypatch):
    monkeypatch.setattr(encode, "gigatoken", lambda processor: lambda texts: (np.zeros(3, np.uint32), np.ones(3, np.int64)))
    assert encode.encoder(processor).__qualname__.startswith("library")


@pytest.mark.prove
@pytest.mark.skipif(not SHARED.is_file(), reason="../shared/data/text is not on this machine")
def test_388_languages_come_out_the_same(processor):
    import gzip

    lines = gzip.decompress(SHARED.read_bytes()).decode().rstrip("\n").split("\n")
    texts = [json.loads(line)["text"] for line in lines]
    assert same(encode.gigatoken(processor)(texts), encode.library(processor)(texts))
