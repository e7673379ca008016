import polars as pl

from fmcycle.curation import corpus_step
from fmcycle.curation.corpus_step import whole
from fmcycle.curation.duplicate import Exact, Repeated, exact

VERSE = "In the beginning God created the heaven and the earth, and the earth was without form, and void."
OTHER = "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse."


def documents(texts):
    return pl.DataFrame({"id": [f"{number:04}" for number in range(len(texts))], "text": list(texts)})


def test_exact_copies_but_for_case_and_blanks_go():
    judged = exact(documents(["One text", "another", "one  TEXT ", "One text."]))
    assert judged["reason"].to_list() == [None, None, "exact duplicate", None]
    assert judged["value"].to_list() == [None, None, "0000", None]


def test_exact_twice_removes_nothing_more_and_keeps_the_order():
    frame = documents(["b", "a", "B", "c", " a", "b"])
    once = exact(frame).filter(pl.col("reason").is_null()).select(frame.columns)
    assert once["text"].to_list() == ["b", "a", "c"]
    assert exact(once)["reason"].null_count() == 3


def test_how_rows_are_cut_changes_nothing():
    frame = documents([VERSE, OTHER, VERSE.upper(), "x", OTHER] * 3).with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64) * 7)
    for step in (Exact(), Repeated(min_length=10)):
        one = step.sketch(frame).sort("row", maintain_order=True)
        assert pl.concat([step.sketch(part) for part in frame.iter_slices(4)]).equals(one)


def test_a_paragraph_of_an_earlier_document_is_taken_out():
    frame = documents([f"Genesis\n\n{VERSE}", f"Mine\n\n{VERSE.lower()}\n\nIt ends.", OTHER])
    judged = whole(Repeated(min_length=50), frame)
    assert judged["text"].to_list() == [f"Genesis\n\n{VERSE}", "Mine\n\nIt ends.", OTHER]
    assert judged["count:paragraphs taken out"].to_list() == [0, 1, 0]
    assert judged["reason"].null_count() == 3


def test_a_document_of_nothing_else_is_dropped_as_it_was():
    frame = documents([f"{OTHER}\n\n{VERSE}", f"{VERSE}\n\n{OTHER}"])
    judged = whole(Repeated(min_length=50), frame)
    assert judged["text"].to_list() == frame["text"].to_list()
    assert judged["reason"].to_list() == [None, "every paragraph stands elsewhere"] and judged["value"][1] == "2"


def test_refrains_and_short_paragraphs_stay():
    refrain = documents([f"{VERSE}\n\nOne.\n\n{VERSE}\n\nTwo.\n\n{VERSE}", "One.\n\nTwo."])
    assert whole(Repeated(min_length=50), refrain)["text"].equals(refrain["text"])


def test_code_and_tables_are_left_whole():
    text = f"def one():\n\n    {OTHER}\n\n    return 1"
    frame = documents([text, text.replace("1", "2"), text, text]).with_columns(type=pl.Series(["code", "code", "table", "text"]))
    judged = whole(Repeated(min_length=50), frame)
    assert judged["text"].equals(frame["text"]) and judged["reason"].null_count() == 4


def test_lines_may_stand_in_some_documents():
    frame = documents([f"{name}\nAll rights reserved by the owners of this page." for name in "abcd"])
    step = Repeated(unit="line", min_length=20, most=4)
    assert whole(step, frame)["text"].equals(frame["text"])
    assert whole(Repeated(unit="line", min_length=20, most=3), frame)["text"].to_list() == [frame["text"][0], "b", "c", "d"]


def test_one_text_with_two_labels_stays_twice_and_is_told():
    frame = documents([VERSE, VERSE, VERSE, OTHER]).with_columns(label=pl.Series(["good", "bad", "good", "good"]))
    judged, found = corpus_step.judged(Exact(), frame)
    assert judged["reason"].to_list() == [None, None, "exact duplicate", None] and judged["value"][2] == "0000"
    assert found == {"rows of one text with several labels": 3} and corpus_step.judged(Exact(), frame.drop("label"))[1] == {}


def test_case_and_blanks_of_code_and_tables_are_told_apart():
    frame = documents(["if a:\n    b()\nc()", "if a:\n    b()\n    c()", "if A:\n    b()\nc()", "if a:\n    b()\nc()"])
    assert exact(frame.with_columns(type=pl.lit("code")))["value"].to_list() == [None, None, None, "0000"]
    assert exact(frame.with_columns(type=pl.lit("text")))["value"].to_list() == [None, "0000", "0000", "0000"]
    assert exact(frame, fold=False)["value"].to_list() == [None, None, None, "0000"]
