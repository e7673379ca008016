import inspect
import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fmcycle.processor import bpe, bpe_trainer
from fmcycle.processor.encode import TRIED

SHARED = Path(__file__).parents[2].parent / "shared/data/text"


def same(texts, vocab_size, min_frequency=2):
    """Is the tokenizer that of the library, in every byte of its file?"""
    texts = pl.Series(texts, dtype=pl.String)
    words = bpe_trainer.word_counts(texts, bpe.PATTERN)
    own, library = (bpe.by_counts(words, vocab_size, min_frequency), bpe.by_library(texts, vocab_size, min_frequency))
    return own.to_str() == library.to_str()


def test_code_prose_and_scripts_give_the_library_s_tokenizer():
    sources = [inspect.getsource(module) for module in (inspect, json.decoder, random, pl.Series)]
    assert same(sources, 4000)
    assert same([*sources, *TRIED] * 2, 1000) and same(TRIED, 5000, 1)


@pytest.mark.parametrize("seed", range(8))
def test_blanks_signs_and_repeated_letters_are_cut_and_merged_as_there(seed):
    chance = random.Random(seed)
    letters = " \t\n\r\u00a0=-aabB1'/.é漢\u0301" if seed % 2 else "aab ="
    texts = ["".join(chance.choice(letters) for _ in range(chance.randrange(120))) for _ in range(60)]
    assert same(texts, 262 + 120, 1) and same(texts, 262 + 40, 3)


def test_places_merged_one_after_another_or_all_at_once_give_the_same_merges(monkeypatch):
    chance = random.Random(0)
    words = sorted({"".join(chance.choices("aab é", k=chance.randrange(1, 12))).encode() for _ in range(400)})
    found = []
    for few in (0, 3, 10**9):
        monkeypatch.setattr(bpe_trainer, "FEW", few)
        found.append(bpe_trainer.merges(words, np.arange(len(words)) % 7 + 1, np.arange(256), 600, 1))
    assert found[0] == found[1] == found[2] and len(found[0]) > 200


def test_words_are_those_of_the_pattern():
    counts = bpe_trainer.word_counts(pl.Series(["a  b\n  c it's", "a b"]), bpe.PATTERN)
    assert dict(counts.iter_rows()) == {"a": 2, " ": 2, " b": 2, "\n": 1, " c": 1, " it's": 1}
    assert bpe_trainer.word_counts(pl.Series([f"a{bpe_trainer.MARK}b"]), bpe.PATTERN) is None


def test_a_text_with_the_mark_is_left_to_the_library():
    texts = [f"a word and another word {bpe_trainer.MARK}"] * 3
    assert bpe.bpe(texts, vocab_size=280).decode(bpe.bpe(texts, vocab_size=280)(texts[0])["input_ids"]) == texts[0]


@pytest.mark.prove
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data/text is not on this machine")
def test_388_languages_give_the_library_s_tokenizer():
    import gzip

    lines = gzip.decompress((SHARED / "udhr2/udhr2.jsonl.gz").read_bytes()).decode().rstrip("\n").split("\n")
    assert same([json.loads(line)["text"] for line in lines], 8192)
