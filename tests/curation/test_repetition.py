import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from fmcycle.curation.repetition import DUPLICATE, TOP, gopher_repetition

PROSE = (
    "The queue holds the messages of a service until the service reads them. A message that nobody reads in two weeks goes away. "
    "Readers hide what they work on, so that no two of them do the same; whoever fails to finish lets it appear again.\n\n"
    "Order is kept in one kind of queue only, which is slower, and costs more than the other."
)


def verdict(text, **kwargs):
    found = gopher_repetition(pl.DataFrame({"id": ["a"], "text": [text]}), **kwargs).to_dicts()[0]
    return found["reason"], found["rule"], found["value"]


def by_hand(text):
    """The table of the paper read word for word: the name of the first rule broken."""
    words = text.split()
    for n, bound in enumerate(TOP, 2):
        grams = Counter(" ".join(words[start : start + n]) for start in range(len(words) - n + 1))
        if grams and grams.most_common(1)[0][1] > 2 and len(grams.most_common(1)[0][0]) * grams.most_common(1)[0][1] / len(text) > bound:
            return f"top_{n}_gram > {bound}"
    for n, bound in enumerate(DUPLICATE, 5):
        seen, characters, place = set(), 0, 0
        while place + n <= len(words):
            gram = "".join(words[place : place + n])
            if gram in seen:
                characters, place = characters + len(gram), place + n
            else:
                seen.add(gram)
                place += 1
        if characters / len(text) > bound:
            return f"duplicate_{n}_grams > {bound}"
    return None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE, (None, None, None)),
        (PROSE + "\n\nRead more here." * 3, ("paragraphs repeated", "paragraphs > 0.3", "0.4")),
        (
            "Short.\n\n" + PROSE + "\n\n" + PROSE.split("\n\n")[0] + "\n\nEnd.",
            ("paragraphs repeated", "paragraphs_characters > 0.2", "0.409"),
        ),
        (PROSE + "\nRead more." * 4, ("lines repeated", "lines > 0.3", "0.5")),
        (PROSE + " buy cheap shoes" * 12, ("one phrase again and again", "top_2_gram > 0.2", "0.208")),
        (
            PROSE.replace("\n\n", " ") + " " + "Whoever fails to finish in time lets the message appear again. " * 2,
            ("phrases repeated", "duplicate_10_grams > 0.1", "0.102"),
        ),
        ("DisassociateServiceRoleFromAccount needs two names and a reason to go on.", (None, None, None)),
    ],
)
def test_each_rule_names_what_it_measured(text, expected):
    assert verdict(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The body is with the King, but the King is not with the body.",
        "Ein Mann mit einem Eimer und ein Mädchen mit einem Hut am Strand.",
        "Un homme noir regarde un autre homme noir qui joue dans la cascade.",
    ],
)
def test_a_phrase_that_is_said_twice_is_a_manner_of_speaking(text):
    assert verdict(text) == (None, None, None) and verdict(text, min_top_count=2)[0] == "one phrase again and again"


def test_a_phrase_that_is_there_once_is_no_repetition_unless_asked():
    assert verdict("DisassociateServiceRoleFromAccount needs two names.", min_top_count=1)[1] == "top_2_gram > 0.2"


def test_the_rows_of_a_frame_do_not_see_each_other():
    alone = gopher_repetition(pl.DataFrame({"text": [PROSE]}))
    together = gopher_repetition(pl.DataFrame({"text": [PROSE, "x", "", PROSE, "a b " * 90, PROSE]}))
    assert together["reason"].to_list() == [None, None, None, None, "one phrase again and again", None]
    assert together[[0]].equals(alone) and gopher_repetition(pl.DataFrame({"text": [PROSE]}).clear()).is_empty()


def test_scripts_without_blanks_are_judged_by_their_characters():
    chinese = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"
    assert verdict(chinese) == (None, None, None)
    assert verdict(chinese + "快买鞋子" * 12)[0] == "one phrase again and again"


def test_the_bounds_lose_nothing_on_real_text():
    folder = Path(__file__).parents[3] / "shared/data/text/us-speeches"
    if not folder.is_dir():
        pytest.skip("no shared data")
    texts = [file.read_text(errors="replace") for file in sorted(folder.glob("*.txt"))[:60]]
    texts += [text[:400] + text[:100] * (place % 5) + text[400:600] for place, text in enumerate(texts)]
    off = {f"max_{name}": 1.0 for name in ("lines", "paragraphs", "line_characters", "paragraph_characters")}
    judged = gopher_repetition(pl.DataFrame({"text": texts}), **off)
    assert judged["rule"].to_list() == [by_hand(text) for text in texts]
    assert judged["rule"].n_unique() > 3, json.dumps(judged["rule"].unique().to_list())
