import inspect
import itertools

import polars as pl

from fmcycle.curation.duplicate import exact, minhash


def documents(texts):
    return pl.DataFrame({"id": [f"{number:04}" for number in range(len(texts))], "text": list(texts)})


def kept(judged):
    return judged.filter(pl.col("reason").is_null()).select("id", "text")


def docstrings():
    """Real texts: the documentation of Python's own types and modules, among them many near-copies."""
    import collections
    import decimal
    import fractions
    import pathlib

    kinds = (
        str,
        bytes,
        bytearray,
        int,
        float,
        dict,
        set,
        frozenset,
        collections.OrderedDict,
        decimal.Decimal,
        fractions.Fraction,
        pathlib.Path,
    )
    found = (inspect.getdoc(getattr(kind, name)) for kind in kinds for name in sorted(dir(kind)))
    return [text for text in found if text and len(text) > 80]


def shingles(text, size=3):
    words = text.lower().split()
    return {tuple(words[start : start + size]) for start in range(max(1, len(words) - size + 1))}


def jaccard(one, other):
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_exact_copies_but_for_case_and_blanks_go():
    judged = exact(documents(["One text", "another", "one  TEXT ", "One text."]))
    assert judged["reason"].to_list() == [None, None, "exact duplicate", None]
    assert judged["value"].to_list() == [None, None, "0000", None]


def test_a_planted_near_copy_goes_and_names_what_stays():
    text = "The operation puts a message into the queue of the account and returns its digest, so that the caller can check what came. " * 3
    words = text.split()
    near = " ".join([*words[:-1], "arrived."])
    judged = minhash(documents([text, "Something else entirely, about graphs and their nodes.", near]))
    assert judged["value"].to_list() == [None, None, "0000"]
    assert judged["reason"][2] == "near duplicate"


def test_deduplication_twice_removes_nothing_more():
    frame = documents(docstrings())
    for step in (exact, minhash):
        once = kept(step(frame))
        assert 0 < once.height < frame.height
        assert kept(step(once)).equals(once)


def test_what_goes_is_near_and_what_stays_is_not():
    frame = kept(exact(documents(docstrings())))
    judged = minhash(frame, threshold=0.8)
    text = dict(frame.select("id", "text").iter_rows())
    gone = judged.filter(pl.col("reason").is_not_null())
    assert gone.height > 5
    assert min(jaccard(text[row["id"]], text[row["value"]]) for row in gone.to_dicts()) >= 0.8
    stays = kept(judged)["text"].to_list()
    assert max(jaccard(one, other) for one, other in itertools.combinations(stays, 2)) < 0.8


def test_the_order_of_rows_decides_which_copy_stays_and_nothing_else_does():
    frame = documents(docstrings()[:200])
    assert minhash(frame).equals(minhash(frame))
    assert kept(minhash(frame.reverse())).height > 0


def test_short_and_few_texts_are_no_problem():
    assert minhash(documents(["a", "b", "a b", "a"]))["value"].to_list() == [None, None, None, "0000"]
    assert minhash(documents([]).cast({"text": pl.String})).height == 0
