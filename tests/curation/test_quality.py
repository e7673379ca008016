import polars as pl
import pytest

from fmcycle.curation.quality import gopher

GOOD = "The queue holds the messages of a service, and the service reads them in order. " * 2


def verdict(text, **kwargs):
    row = gopher(pl.DataFrame({"id": ["a"], "text": [text]}), **{"min_words": 5, **kwargs}).to_dicts()[0]
    return row["reason"], row["rule"], row["value"]


def test_a_good_text_stays():
    assert verdict(GOOD) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The end of it.", ("too short", "words < 5", "4.0")),
        ("Buy shoes now, cheap shoes, best shoes!", ("no stop words", "stop_words < 2", "0.0")),
        ("the " + "is a b c d e f g " * 4, ("words too short", "word_length < 3.0", "1.182")),
        ("the of " + "pneumonoultramicroscopic " * 9, ("words too long", "word_length > 10.0", "20.091")),
        (GOOD + "# " * 8, ("many symbols", "symbols > 0.1", "0.211")),
        ("to the end of 12345 67890 12345 67890 12345", ("few letters", "alphabetic < 0.8", "0.444")),
        ("- the first of these\n- the second of these\n- and the third one", ("only list items", "bullets > 0.9", "1.0")),
        (
            "Read the rest of this chapter and all of the next one here…\nThe end of the story is in the book that is on the table...",
            ("lines cut short", "ellipses > 0.3", "1.0"),
        ),
        ("the end of line\n" * 5, ("lines repeated", "repeated_lines > 0.3", "0.8")),
    ],
)
def test_each_rule_names_what_it_measured(text, expected):
    assert verdict(text) == expected


def test_no_row_is_lost_and_no_column_of_the_measuring_stays():
    frame = pl.DataFrame({"id": ["a", "b"], "text": [GOOD, "short"], "group": ["g", "h"]})
    judged = gopher(frame)
    assert judged.columns == ["id", "text", "group", "reason", "rule", "value"]
    assert judged["id"].to_list() == ["a", "b"]
    assert gopher(frame.clear()).columns == judged.columns
