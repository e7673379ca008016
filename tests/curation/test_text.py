import polars as pl

from fmcycle.curation.text import normalize


def one(text, kind="text"):
    return normalize(pl.DataFrame({"text": [text], "type": [kind]}))["text"][0]


def turn(text):
    return normalize(pl.DataFrame({"text": [text]}))["text"][0]


def test_one_form_of_each_character_and_line_end():
    assert one("Cafe\u0301 \r\n\r\n\r\n\r\nbar\rbaz\u2028end ") == "Caf\u00e9\n\n\nbar\nbaz\nend"


def test_invisible_characters_go_and_meaning_stays():
    assert one("so\u00adft\u200b zero\ufeff bell\x07") == "soft zero bell"
    assert one("2\u2075 \u2260 25, \u00bd, \ufb01ne") == "2\u2075 \u2260 25, \u00bd, \ufb01ne"
    assert one("\tcode:\n    indented\n\ttab") == "\tcode:\n    indented\n\ttab"


def test_blanks_that_mean_something_stay():
    body = "    total = 0\n    for each in rows:\n        total += each  \n\n\n\n\n    return total"
    for text in (one(f" \n\n{body}\n\n", "code"), one(f"\n{body}", "table"), one(body, "markdown"), turn(f"\r\n{body} \n")):
        assert text == body
    assert one(f"\n{body}") == "    total = 0\n    for each in rows:\n        total += each\n\n\n    return total"
    assert turn("1. Mix.  \n2. Bake.\u00a0%") == "1. Mix.  \n2. Bake.\u00a0%"


def test_joiners_stay_where_a_script_needs_them():
    for text in ("می‌خواهم", "ക്ഷ‍", "क्‍ष", "👩‍👩‍👧"):
        assert one(f"{text}x") == f"{text}x"
    assert one("wo\u200drd\u200c one\u200c\u200d, می\u200c end\u200c") == "word one, می end"


def test_a_normalised_text_normalises_to_itself():
    texts = [
        "e\u200c\u0301 می\u200c\u200b\u200d خ\u200c",
        "a\u0301\u0323 \r\n x\t\n\n\n\ny",
        "\u200b\n\n \n\n z",
        "x \u00a0\n\u00a0",
        " \x0b a",
        "\u2028\u2028\u2028b",
    ]
    once = [one(text) for text in texts]
    assert [one(text) for text in once] == once
