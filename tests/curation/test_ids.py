import polars as pl

from fmcycle.curation import corpus_step
from fmcycle.curation.ids import Unique


def numbered(*names):
    return corpus_step.whole(Unique(), pl.DataFrame({"id": names, "text": names}, schema={"id": pl.String, "text": pl.String}))[
        "id"
    ].to_list()


def test_a_taken_id_gets_the_next_number_in_the_order_of_the_rows():
    assert numbered("a", "b", "a", "a", "b") == ["a", "b", "a~2", "a~3", "b~2"]


def test_a_number_that_a_document_has_by_itself_is_not_given_again():
    assert numbered("a", "a", "a~2", "a~2") == ["a", "a~3", "a~2", "a~2~2"]
    assert numbered("a~2", "a", "a") == ["a~2", "a", "a~3"]
    assert numbered("a~2", "a~2", "a~2~2") == ["a~2", "a~2~3", "a~2~2"]


def test_unique_ids_stay_as_they_are():
    assert numbered("x~9", "x", "y~", "~2", "") == ["x~9", "x", "y~", "~2", ""]
    assert numbered() == []
