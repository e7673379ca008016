import gzip
import json

import polars as pl
import pytest

from fmcycle.curation.contamination import Contamination, Match
from fmcycle.curation.corpus_step import gathered, whole
from fmcycle.errors import InputError

QUESTION = "A train leaves the station at noon and travels sixty miles every hour; how far is it from the station at three?"
OTHER = "Which of these animals lays eggs in the sand of the beach and then goes back to the sea for years?"


@pytest.fixture
def evaluation(tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    rows = [{"question": QUESTION, "choices": ["one", "two"]}, {"question": OTHER}, {"question": "Too short to tell."}]
    (folder / "quiz.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    (folder / "lines.txt").write_text("Nobody has ever written this line of nine words.\n")
    pl.DataFrame({"prompt": ["an unused prompt of more than eight words in a table"]}).write_parquet(folder / "table.parquet")
    return str(folder)


def documents(*texts):
    return pl.DataFrame({"id": [str(number) for number in range(len(texts))], "text": pl.Series(texts, dtype=pl.String)})


def found(step, frame):
    numbered = frame.with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64))
    return step.findings(gathered([step.settle(step.sketch(numbered))]))


def test_copies_and_edited_copies_go_and_name_the_row(evaluation):
    edited = QUESTION.upper().replace("NOON", "MIDNIGHT")
    frame = documents(
        "A text about trains that leave a station.", f"Exam: {QUESTION} Answer: 180", edited, f"x {OTHER} y", "too short to tell"
    )
    judged = whole(Contamination(evaluation), frame)
    assert judged["value"].to_list() == [None, "quiz.jsonl.gz#1", "quiz.jsonl.gz#1", "quiz.jsonl.gz#2", None]
    assert set(judged["reason"].drop_nulls()) == {"evaluation text"}


def test_a_part_of_a_question_is_no_contamination(evaluation):
    words = QUESTION.split()
    judged = whole(Contamination(evaluation), documents(" ".join(words[:12]), " ".join(words[:18])))
    assert judged["value"].to_list() == [None, "quiz.jsonl.gz#1"]


def test_an_edited_copy_is_found_and_its_words_far_apart_are_none(evaluation):
    changed = QUESTION.replace("leaves", "quits").replace("how far", "how many miles")
    filler = " ".join(f"filler{number}" for number in range(3000))
    words = QUESTION.split()
    scattered = f" {filler} ".join(" ".join(words[place : place + 7]) for place in range(0, len(words), 7))
    judged = whole(Contamination(evaluation), documents(f"{filler} {changed} {filler}", scattered))
    assert judged["value"].to_list() == ["quiz.jsonl.gz#1", None]


def test_the_form_that_all_questions_have_tells_of_none():
    form = "Read the passage with care and choose the one answer that it gives."
    own = [f"{form} Here number{n} sailor{n} built house{n} of wood{n} beside river{n} in summer{n} {n}" for n in range(20)]
    match = Match()
    index = match.index(pl.DataFrame({"name": ["quiz"] * 20, "line": [str(n) for n in range(20)], "text": own}))
    held = match.held(pl.Series([f"{form} Another passage altogether.", f"It says: {own[7]}"]), index)
    assert held.select("owner", "line").rows() == [(1, "7")]


def test_scripts_without_blanks_need_more_letters_than_words():
    row = "长江是亚洲最长的河流它发源于青藏高原流经十一个省市最后在上海注入东海"
    match = Match()
    index = match.index(pl.DataFrame({"name": ["quiz"] * 2, "line": ["1", "2"], "text": [row, "他昨天去了北京大学"]}))
    held = match.held(pl.Series([f"课本说{row}对不对", f"课本说{row.replace('亚洲', '世界')}", "他昨天去了北京大学看书"]), index)
    assert held.select("owner", "line").rows() == [(0, "1"), (1, "1")]


def test_findings_name_the_touched_rows_of_every_evaluation(evaluation):
    frame = documents(f"{OTHER} {QUESTION}", OTHER, "nothing of it")
    clean = {"lines.txt": {"rows": 1, "touched": []}, "table.parquet": {"rows": 1, "touched": []}}
    assert found(Contamination(evaluation), frame) == {"evaluations": clean | {"quiz.jsonl.gz": {"rows": 3, "touched": [1, 2]}}}
    kept = Contamination(evaluation, keep=True)
    assert whole(kept, frame)["reason"].null_count() == 3 and found(kept, frame)["evaluations"]["quiz.jsonl.gz"]["touched"] == [1, 2]


def test_without_an_evaluation_nothing_is_looked_for():
    step = Contamination(None)
    assert whole(step, documents(QUESTION, OTHER))["reason"].null_count() == 2
    assert found(step, documents(QUESTION)) == {"evaluations": {}}
    assert whole(step, documents()).height == 0


def test_what_cannot_be_read_is_refused_with_its_name(tmp_path, evaluation):
    with pytest.raises(InputError, match="no folder of evaluation texts"):
        whole(Contamination(str(tmp_path / "nowhere")), documents(QUESTION))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/half.jsonl").write_text('{"question": "half')
    with pytest.raises(InputError, match="half"):
        whole(Contamination(str(tmp_path / "bad")), documents(QUESTION))
