import itertools

import numpy as np
import polars as pl

from fmcycle.curation.shingle import LONGEST, grams, jaccard, pieces, smallest, words


def test_words_are_the_same_whatever_stands_around_them():
    found = words(pl.Series(["The cat, the Cat!", "", "thé THÉ", "你好 世界", "...", "x" * (LONGEST + 9), "x" * (LONGEST + 8)]))
    assert np.diff(found.start).tolist() == [4, 0, 2, 4, 0, 1, 1]
    assert found.value[0] == found.value[2] != found.value[1] and found.of(2)[0] == found.of(2)[1] != found.value[0]
    assert found.of(5) != found.of(6)
    alone = words(pl.Series(["cat"]))
    assert alone.value[0] == found.value[1]


def test_different_words_have_different_hashes():
    texts = [" ".join(map("".join, itertools.product("abcdefg", repeat=length))) for length in (1, 2, 3, 4, 5)]
    assert len(np.unique(words(pl.Series(texts)).value)) == sum(7**length for length in (1, 2, 3, 4, 5))


def test_grams_stay_inside_their_text():
    found = grams(words(pl.Series(["a b c d", "", "b c", "a b c", "c d"])), 3)
    assert np.diff(found.start).tolist() == [2, 0, 1, 1, 1]
    assert found.of(0)[0] == found.of(3)[0] and found.of(2)[0] != found.of(4)[0]
    assert grams(words(pl.Series(["b c", "c b"])), 3).value.tolist()[0] != grams(words(pl.Series(["c b"])), 3).value[0]


def test_hashes_are_the_same_on_every_machine_and_in_every_version():
    found = words(pl.Series(["one two Straße 漢字"]))
    assert found.value.tolist() == [
        17578134777016199983,
        11150849805719407956,
        18191612070660175042,
        11700334455968920886,
        5426297185248676646,
    ]


def test_overlap_is_exact_where_the_samples_are_whole():
    one, other = smallest(grams(words(pl.Series(["a b c d e", "c d e f"])), 2))
    assert jaccard(one, other) == 2 / 5
    assert jaccard(one, one) == 1 and jaccard(one, one[:0]) == 0 and jaccard(one[:0], one[:0]) == 0


def test_samples_of_long_texts_come_near_their_overlap():
    texts = [" ".join(f"w{number}" for number in range(low, low + 4000)) for low in (0, 400)]
    whole, part = smallest(grams(words(pl.Series(texts)), 1)), smallest(grams(words(pl.Series(texts)), 1), 1000)
    assert len(part[0]) == 1000 and set(part[0]) <= set(whole[0])
    assert abs(jaccard(*part, 1000) - jaccard(*whole)) < 0.04


def test_pieces_are_the_frame():
    frame = pl.DataFrame({"text": ["x" * size for size in (10, 200, 5, 5, 5, 300, 0)]})
    found = list(pieces(frame, 20))
    assert pl.concat(found).equals(frame) and [part.height for part in found] == [1, 1, 3, 1, 1]
    assert list(pieces(frame.head(0))) == []
