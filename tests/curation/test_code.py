import polars as pl
import pytest

from fmcycle.curation.code import syntax


def judged(name, text, kind="code"):
    return syntax(pl.DataFrame({"id": [name, "x.py"], "text": [text, "a = 1"], "type": [kind, "code"]})).row(0, named=True)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("a/b.py", "def f(:\n    pass", "line 1: invalid syntax"),
        ("b.py#12", "print 'two'", "line 1: Missing parentheses in call to 'print'. Did you mean print(...)?"),
        ("c.json~2", '{"a": 1,}', "Expecting property name enclosed in double quotes: line 1 column 9 (char 8)"),
        ("d.toml", "a = ", "Invalid value (at end of document)"),
        ("e.YML", "a: [1, 2", "while parsing a flow sequence"),
        ("f.py", "a = '\0'", "source code string cannot contain null bytes"),  # without its line before Python 3.11.4
    ],
)
def test_code_that_does_not_parse_is_dropped_with_the_place(name, text, value):
    found = judged(name, text)
    assert found["reason"] == "code does not parse" and value.split(" (")[0][:30] in found["value"]
    assert found["rule"].endswith(" parses") and found["count:unchecked"] == 0


@pytest.mark.parametrize(
    ("name", "text"), [("a.py", "def f():\n    return '\\d'"), ("b.json", "[1]"), ("c.toml", "a = 1"), ("d.yaml", "a: [1]\n---\nb: 2")]
)
def test_code_that_parses_stays(name, text):
    found = judged(name, text)
    assert (found["reason"], found["count:unchecked"]) == (None, 0)


def test_other_languages_are_counted_and_texts_are_not_read():
    assert judged("a.rs", "fn main( {")["count:unchecked"] == 1
    assert judged("Makefile", "all:")["count:unchecked"] == 1
    assert judged("a.py", "def f(:", "text")["reason"] is None


def test_a_row_of_a_table_is_not_in_the_language_of_the_table():
    found = syntax(
        pl.DataFrame(
            {
                "id": ["codes.json#3", "codes.json#4", "codes.jsonl#5", "m/x.py.gz", "codes.json#6~2"],
                "text": ["def f(): pass", "def f(:", "a = [", "print 1", "fn main( {"],
                "type": ["code"] * 5,
                "domain": ["unknown", "Python", "python", "python", "rust"],
            }
        )
    )
    assert found["rule"].to_list() == [None, "py parses", "py parses", "py parses", None]
    assert found["count:unchecked"].to_list() == [1, 0, 0, 0, 1]


def test_a_notebook_is_json():
    assert judged("a.ipynb", '{"cells": []}')["count:unchecked"] == 0 and judged("a.ipynb", "{cells")["reason"] == "code does not parse"


def test_deep_nesting_is_a_verdict_and_no_crash():
    assert judged("a.json", "[" * 200_000)["reason"] == "code does not parse"
    assert judged("a.py", "(" * 100_000)["reason"] == "code does not parse"
