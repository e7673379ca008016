"""Real answers are relevant; silence, loops, salads and answers to another question are not, at rates that are measured here."""

import numpy as np
import polars as pl
import pytest

from fmcycle.evaluation.relevance import Judge, words

LISTS = ("Lists the {} of a {}.", "Deletes a {} from the {} that you name.", "Returns the {} that belongs to each {} of the account.")
THINGS = ("bucket", "queue", "topic", "table", "cluster", "alarm", "policy", "certificate", "snapshot", "pipeline", "gateway", "volume")
ROWS = [
    (f"What does the operation {form.split()[0][:-1]}{one.title()}{other.title()} do?", form.format(one, other))
    for form in LISTS
    for one in THINGS
    for other in THINGS
    if one != other
]


@pytest.fixture(scope="module")
def measured():
    """{kind of answer: share that is readable and related}, on 80 rows that taught the judge nothing."""
    random = np.random.default_rng(0)
    order = random.permutation(len(ROWS))
    asked, taught = [ROWS[place] for place in order[:80]], [ROWS[place] for place in order[80:]]
    prompts, true = map(list, zip(*asked, strict=True))
    judge = Judge([text for row in taught for text in row], prompts)
    kinds = {
        "true": true,
        "another question's": true[1:] + true[:1],
        "word salad": [" ".join(random.permutation(words(text))) for text in true],
        "loop": [f"{text} " * 5 for text in true],
        "one word again and again": ["bucket " * 8] * len(true),
        "empty": [""] * len(true),
        "marks": ["..."] * len(true),
    }
    return {
        kind: float(np.mean(np.array([judge.readable(text) for text in said]) & judge.related(said, prompts)))
        for kind, said in kinds.items()
    }


def test_real_answers_are_relevant(measured):
    assert measured["true"] > 0.85


@pytest.mark.parametrize("kind", ["another question's", "word salad", "loop", "one word again and again", "empty", "marks"])
def test_what_answers_nothing_is_not(measured, kind):
    assert measured[kind] <= {"another question's": 0.25, "word salad": 0.15}.get(kind, 0)


def test_the_judge_says_the_same_each_time(material):
    texts = pl.read_parquet(material / "documents.parquet")["text"].to_list()[:40]
    one, two = (Judge(texts, texts[:9]) for _ in range(2))
    assert [one.readable(text) for text in texts] == [two.readable(text) for text in texts]
    assert one.related(texts[:9], texts[:9]).all() and not one.related([""], texts[:1]).any()
