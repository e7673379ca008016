from dataclasses import dataclass

import polars as pl

from fmcycle.curation import corpus_step


@dataclass(frozen=True)
class SameLength:
    """Drops a text as long as an earlier one: enough to see how a corpus step is walked through."""

    parts: int = 4

    def sketch(self, frame):
        length = pl.col("text").str.len_bytes()
        return frame.select("row", part=(length % self.parts).cast(pl.UInt32), length=length)

    def settle(self, frame):
        first = pl.col("row").first().over("length")
        return frame.select("row", original=first).filter(pl.col("row") != pl.col("original"))

    def verdicts(self, settled, fetch):
        assert fetch(settled["original"])["text"].str.len_bytes().n_unique() == settled["original"].n_unique()
        return settled.with_columns(reason=pl.lit("as long"), rule=pl.lit("same length"))


def frame_of(*texts):
    return pl.DataFrame({"id": [f"d{place}" for place in range(len(texts))], "text": texts}, schema={"id": pl.String, "text": pl.String})


def test_the_whole_corpus_in_memory_keeps_order_and_names_the_original():
    judged = corpus_step.whole(SameLength(), frame_of("a", "bb", "c", "dd", "eee", "f"))
    assert judged.columns == ["id", "text", "reason", "rule", "value"]
    assert judged["value"].to_list() == [None, None, "d0", "d1", None, "d0"]
    assert judged["reason"].to_list() == [None, None, "as long", "as long", None, "as long"]


def test_the_number_of_parts_changes_nothing():
    frame = frame_of(*[word * (place % 7) for place, word in enumerate(["red", "lilac", "green", "amber"] * 9, 1)])
    assert corpus_step.whole(SameLength(1), frame).equals(corpus_step.whole(SameLength(13), frame))


def test_an_empty_corpus_has_no_verdict():
    assert corpus_step.whole(SameLength(), frame_of()).columns == ["id", "text", "reason", "rule", "value"]


def test_a_step_that_rewrites_has_its_own_way_to_apply():
    class Shout(SameLength):
        def apply(self, frame, found):
            return frame.with_columns(
                text=pl.when(pl.col("row").is_in(found["row"].implode())).then(pl.col("text").str.to_uppercase()).otherwise("text")
            )

    assert corpus_step.whole(Shout(), frame_of("a", "b"))["text"].to_list() == ["a", "B"]
