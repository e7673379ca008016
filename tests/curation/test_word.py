import random

import polars as pl
import pytest

from fmcycle.curation import word

LETTERS = "a1 \n፡人生ก็ា་ཀམ。-།éи\u0301\u200b\x1c\x85\u00a0\u1680\U00020000\U0001f600"


def check(texts):
    """`cut` against the pattern that it stands for."""
    found, expected = word.cut(texts), texts.str.extract_all(word.WORD)
    words = expected.explode(empty_as_null=False)
    assert (found.start[1:] - found.start[:-1]).tolist() == expected.list.len().to_list()
    assert [found.joined[begin:end].decode() for begin, end in zip(found.begin, found.end, strict=True)] == words.to_list()
    assert found.length.tolist() == words.str.len_chars().to_list()
    lettered = words.str.contains(r"\p{L}")
    assert ((found.kind & word.LETTER) != 0).tolist() == lettered.to_list()
    others = (~lettered).arg_true()
    assert ((found.kind & word.NUMBER) != 0)[others].tolist() == words.gather(others).str.contains(r"\p{N}").to_list()


@pytest.mark.parametrize("seed", range(5))
def test_words_as_arrays_are_those_of_the_pattern(seed):
    chance = random.Random(seed)
    check(pl.Series(["".join(chance.choices(LETTERS, k=chance.randrange(14))) for _ in range(3000)]))


def test_every_character_is_what_the_pattern_takes_it_for():
    points = [point for point in range(0x32000) if not 0xD800 <= point < 0xE000]
    check(pl.Series(["".join(map(chr, points[low : low + 200])) for low in range(0, len(points), 200)]))
    check(pl.Series(["a" + chr(point) + "ก" + chr(point) for point in points[::7]]))


def test_sums_over_the_words_of_each_text():
    found = word.cut(pl.Series(["", "two words", "", "\n", "naïve"]))
    assert found.each(found.length).tolist() == [0, 8, 0, 0, 5]
    assert found.each(found.length > 3).tolist() == [0, 1, 0, 0, 1]


def test_lines_have_words_and_a_longest_run_without_a_blank():
    words, longest = word.cut(pl.Series(["two words\n\n", "", "人生 naïve", "12፡34 a\nb"])).lines()
    assert words.tolist() == [2, 0, 0, 0, 3, 3, 1]
    assert longest.tolist() == [5, 0, 0, 0, 5, 5, 1]
