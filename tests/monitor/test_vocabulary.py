"""A shift of topic or language is found; two windows of the same traffic are quiet."""

import random

import polars as pl
import pytest

from fmcycle.monitor.vocabulary import Language, Vocabulary, language

CLOUD = ["bucket", "object", "key", "region", "table", "stream", "queue", "role", "policy", "deletes", "lists", "the", "of", "a"]
BIBLE = ["lord", "god", "king", "house", "son", "went", "came", "said", "unto", "people", "land", "day", "the", "of", "a"]


def frame(words, rows, seed):
    draw = random.Random(seed)
    return pl.DataFrame({"prompt": [" ".join(draw.choices(words, k=12)) for _ in range(rows)]})


def test_a_shift_of_topic_alarms():
    found = Vocabulary("prompt")(frame(CLOUD, 300, 0), frame(BIBLE, 40, 1))
    assert found["alarm"] and found["value"] > 0.5


def test_the_same_traffic_is_quiet_and_small_windows_look_no_different():
    for seed in range(10):
        found = Vocabulary("prompt")(frame(CLOUD, 200, seed), frame(CLOUD, 30, seed + 100))
        assert not found["alarm"] and abs(found["value"]) < 0.05


def test_a_shift_of_language_alarms_and_the_same_is_quiet():
    english = pl.DataFrame({"prompt": ["What does the bucket do?", "How is the table made?"] * 50})
    german = pl.DataFrame({"prompt": ["Was macht der Eimer mit dem Objekt?", "What is a table?"] * 20})
    assert Language("prompt")(english, german)["alarm"]
    assert not Language("prompt")(english, english.head(40))["alarm"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("Was ist das für ein Eimer?", "German"), ("¿Qué es el cubo y cómo se usa?", "Spanish"), ("Что это такое?", "Cyrillic"),
     ("これは何ですか漢字", "Japanese"), ("print(x)", "unclear"), ("What is the use of it?", "English"), ("", "unclear")],
)  # fmt: skip
def test_a_language_is_told_by_its_script_or_small_words(text, name):
    assert language(text) == name
