import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fmcycle.curation import linear
from fmcycle.curation.learned import quality
from fmcycle.errors import InputError

GOOD = [
    "The proof follows by induction on the length of the word.",
    "Water boils at a lower temperature on a mountain than at the sea.",
] * 4
BAD = ["CLICK here!!! best price $$$ buy now", "free free free casino bonus $$$ click now !!!"] * 4


@pytest.fixture
def heaps(tmp_path):
    (tmp_path / "good").mkdir()
    for number, text in enumerate(GOOD):
        (tmp_path / f"good/{number}.txt").write_text(text)
    rows = [{"body": text, "label": "spam"} for text in BAD] + [{"body": GOOD[0], "label": "ham"}]
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return [str(tmp_path / "good")], [{"path": str(tmp_path / "bad.jsonl.gz"), "text": "body", "where": {"label": "spam"}}]


def test_texts_are_scored_like_the_examples_that_they_resemble(heaps):
    frame = pl.DataFrame({"id": ["a", "b", "c"], "text": ["The proof on the mountain follows.", "buy casino bonus now !!!", ""]})
    found = quality(frame, good=heaps[0], bad=heaps[1], threshold=0.4)
    assert found["quality"][0] > 0.6 > 0.4 > found["quality"][1] and found["quality"][2] == 0.5
    assert found["reason"].to_list() == [None, "unlike the good examples", None]
    assert found["rule"][1] == "quality < 0.4" and found["value"][1] == str(found["quality"][1])


def test_the_score_is_a_function_of_examples_seed_and_text():
    options = {"buckets": 1 << 12, "ngram": 2, "characters": 100}
    texts = pl.Series([*GOOD, *BAD, "water bonus", "日本語の文章"])
    model = linear.train(GOOD, BAD, **options, seed=0)
    assert (linear.train(GOOD, BAD, **options, seed=0).score(texts) == model.score(texts)).all()
    assert (linear.train(GOOD, BAD, **options, seed=1).score(texts) != model.score(texts)).any()
    assert np.allclose(np.concatenate([model.score(texts[place : place + 1]) for place in range(len(texts))]), model.score(texts))
    long = GOOD[0] + GOOD[1]
    assert (
        model.score(pl.Series([long[:100] + BAD[0] * 9]))[0] == model.score(pl.Series([long[:100]]))[0]
    )  # what stands behind `characters` does not count


def test_letters_tell_a_misspelled_word_where_words_do_not():
    options = {"buckets": 1 << 14, "ngram": 1, "characters": 100, "seed": 0}
    texts = pl.Series(["c4sino b0nuses", "ca sino bonu s", "inductoin mountian"])
    model = linear.train(GOOD, BAD, **options, letters=4)
    assert len(set(linear.train(GOOD, BAD, **options).score(texts))) == 1
    assert model.score(texts)[:2].max() < model.score(texts)[2] - 0.05
    assert np.allclose(np.concatenate([model.score(texts[place : place + 1]) for place in range(3)]), model.score(texts))
    assert model.score(pl.Series([""]))[0] == 0.5


def test_every_kind_of_file_gives_its_texts(tmp_path):
    (tmp_path / "a.csv").write_text('text,kind\n"one, two",x\nthree,y\n')
    (tmp_path / "b.txt").write_text("first\nsecond\n")
    pl.DataFrame({"text": ["four", None]}).write_parquet(tmp_path / "c.parquet")
    assert list(linear.examples(str(tmp_path))) == ["one, two", "three", "first\nsecond\n", "four"]
    assert list(linear.examples({"path": str(tmp_path / "b.txt"), "lines": True})) == ["first", "second"]
    assert list(linear.examples({"path": str(tmp_path / "a.csv"), "where": {"kind": "y"}})) == ["three"]


def test_missing_examples_are_told(tmp_path):
    frame = pl.DataFrame({"text": ["a"]})
    with pytest.raises(InputError, match="no such file or folder"):
        quality(frame, good=[str(tmp_path / "none")], bad=[])
    with pytest.raises(InputError, match="examples of both kinds"):
        quality(frame, good=[], bad=[])


def test_half_of_some_real_mail_tells_the_other_half():
    file = Path(__file__).parents[3] / "shared/data/restricted/spamassassin-mail/mail.jsonl.gz"
    if not file.is_file():
        pytest.skip("no shared data")
    rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()][::3]
    ham, spam = ([row["text"].split("\n\n", 1)[-1] for row in rows if (row["label"] == "ham") == wanted] for wanted in (True, False))
    model = linear.train(ham[::2], spam[::2], buckets=1 << 16, ngram=2, characters=2000, seed=0)
    assert (model.score(pl.Series(ham[1::2])) > 0.5).mean() > 0.9 and (model.score(pl.Series(spam[1::2])) < 0.5).mean() > 0.85
