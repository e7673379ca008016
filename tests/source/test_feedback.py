import hashlib

import polars as pl
import pytest

from fmcycle.errors import InputError
from fmcycle.source.feedback import COLUMNS, feedback

ASKED = [{"role": "user", "content": "What is a queue?"}]
ROW = {
    "answer_id": "a1", "time": "2026-01-01T00:00:00", "prompt": ASKED, "answer": "A line.", "rating": 0, "comment": "", "corrected": "",
    "preferred": "", "role": "user", "model": "m", "processor": "p", "config": "c", "prompt_tokens": 4, "answer_tokens": 2, "latency": 0.5,
    "refused": False, "kind": "chat", "media": [],
}  # fmt: skip


def given(tmp_path, *snapshots):
    folder = tmp_path / "feedback/snapshots"
    folder.mkdir(parents=True)
    for number, rows in enumerate(snapshots):
        pl.DataFrame([ROW | row for row in rows], schema=COLUMNS).write_parquet(folder / f"{number}.parquet")
    feedback(tmp_path / "out", path=str(tmp_path / "feedback"))
    return [pl.read_parquet(tmp_path / f"out/{name}.parquet").to_dicts() for name in ("feedback", "instructions", "preferences")]


def test_without_feedback_the_tables_are_there_and_empty_and_no_others(tmp_path):
    assert given(tmp_path) == [[], [], []]
    names = ["feedback.parquet", "instructions.parquet", "licence.json", "preferences.parquet"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names


def test_a_correction_becomes_an_instruction_and_a_preference(tmp_path):
    rows, instructions, preferences = given(tmp_path, [{"corrected": "A first-in, first-out list."}])
    assert len(rows) == 1
    assert instructions[0]["messages"] == [*ASKED, {"role": "assistant", "content": "A first-in, first-out list."}]
    assert (preferences[0]["prompt"], preferences[0]["chosen"], preferences[0]["rejected"]) == (
        ASKED,
        "A first-in, first-out list.",
        "A line.",
    )
    assert instructions[0]["source"] == "feedback" and instructions[0]["group"] == preferences[0]["group"]


def test_a_thumb_up_teaches_the_answer_and_a_thumb_down_nothing(tmp_path):
    other = [{"role": "user", "content": "What is a topic?"}]
    _, instructions, preferences = given(tmp_path, [{"rating": 1}, {"answer_id": "a2", "prompt": other, "rating": -1}])
    assert [row["id"] for row in instructions] == ["feedback/a1"] and preferences == []


def test_what_was_said_later_wins_and_silence_unsays_nothing(tmp_path):
    first = {"rating": 1, "comment": "good", "time": "2026-01-01"}
    second = {"rating": -1, "time": "2026-01-02"}
    third = {"corrected": "A list.", "time": "2026-01-03"}
    (row,), instructions, _ = given(tmp_path, [third, first], [second])
    assert (row["rating"], row["comment"], row["corrected"], row["time"]) == (-1, "good", "A list.", "2026-01-03")
    assert instructions[0]["messages"][-1]["content"] == "A list."


def test_answers_to_one_prompt_give_one_lesson_whatever_the_order(tmp_path):
    rows = [{"answer_id": "b", "rating": 1, "time": "2026-02-01"}, {"answer_id": "a", "corrected": "Right.", "time": "2026-01-01"}]
    _, instructions, _ = given(tmp_path / "one", rows)
    _, again, _ = given(tmp_path / "two", rows[::-1])
    assert instructions == again and [row["id"] for row in instructions] == ["feedback/a"]


def test_the_preferred_answer_is_chosen_over_the_correction(tmp_path):
    _, instructions, preferences = given(tmp_path, [{"corrected": "Worse.", "preferred": "answer"}])
    assert (preferences[0]["chosen"], preferences[0]["rejected"]) == ("A line.", "Worse.")
    assert instructions[0]["messages"][-1]["content"] == "A line."


def test_a_broken_snapshot_is_named(tmp_path):
    (tmp_path / "feedback/snapshots").mkdir(parents=True)
    (tmp_path / "feedback/snapshots/x.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match=r"x\.parquet: not a readable snapshot .*fmcycle feedback export"):
        feedback(tmp_path / "out", path=str(tmp_path / "feedback"))


PICTURE, OTHER = b"\x89PNG one", b"\x89PNG two"


def classified(content, **changes):
    name = hashlib.sha256(content).hexdigest()
    prompt = [{"role": "user", "content": f"[{len(content)} bytes, sha256 {name}]"}]
    return {"kind": "classification", "prompt": prompt, "answer": '["cat"]', "media": [name], **changes}


def taught(tmp_path, rows, *files):
    folder = tmp_path / "feedback/snapshots/media"
    folder.mkdir(parents=True)
    for content in files:
        (folder / hashlib.sha256(content).hexdigest()).write_bytes(content)
    pl.DataFrame([ROW | row for row in rows], schema=COLUMNS).write_parquet(folder.parent / "1.parquet")
    feedback(tmp_path / "out", path=str(tmp_path / "feedback"))
    tables = {file.stem: pl.read_parquet(file).to_dicts() for file in (tmp_path / "out").glob("*.parquet")}
    return tables.get("examples"), tables.get("documents"), tables["instructions"] + tables["preferences"]


def test_the_latest_word_on_a_picture_is_one_example_whoever_asked(tmp_path):
    rows = [
        classified(PICTURE, answer_id="a", corrected="dog", time="2026-01-01"),
        classified(PICTURE, answer_id="b", corrected=" owl\n", time="2026-01-02"),
        classified(PICTURE, answer_id="c", rating=1, time="2026-01-03"),
        classified(OTHER, answer_id="d", rating=1),
    ]
    examples, documents, others = taught(tmp_path, rows, PICTURE, OTHER)
    assert [(row["id"], row["label"], row["media"], row["type"]) for row in examples] == [
        ("feedback/b", "owl", PICTURE, "image"),
        ("feedback/d", "cat", OTHER, "image"),
    ]
    assert examples[0]["group"] != examples[1]["group"] and (documents, others) == (None, [])


def test_the_preferred_class_is_the_one_that_was_given(tmp_path):
    examples, *_ = taught(tmp_path, [classified(PICTURE, corrected="dog", preferred="answer")], PICTURE)
    assert examples[0]["label"] == "cat"


def test_a_text_and_its_class_are_a_document_also_where_the_text_was_a_chat_too(tmp_path):
    rows = [{"answer_id": "a", "rating": 1}, {"answer_id": "b", "kind": "classification", "answer": '["question"]', "rating": 1}]
    examples, documents, (instruction,) = taught(tmp_path, rows)
    assert examples is None and [(row["text"], row["label"]) for row in documents] == [("What is a queue?", "question")]
    assert documents[0]["group"] == instruction["group"]


@pytest.mark.parametrize("change", [{"refused": True}, {"media": []}, {"prompt": [*ASKED, *ASKED], "media": []}, {"rating": -1}])
def test_what_can_not_be_learnt_from_is_left_out(tmp_path, change):
    assert taught(tmp_path, [classified(PICTURE, rating=1) | change], PICTURE) == (None, None, [])


def test_bytes_that_were_deleted_are_told_and_damaged_ones_refused(tmp_path, capsys):
    assert taught(tmp_path, [classified(PICTURE, rating=1)])[0] is None
    assert "1 answers" in (told := capsys.readouterr().err) and "snapshots/media" in told
    (tmp_path / "feedback/snapshots/media" / classified(PICTURE)["media"][0]).write_bytes(OTHER)
    with pytest.raises(InputError, match="dvc checkout"):
        feedback(tmp_path / "out", path=str(tmp_path / "feedback"))


def test_snapshots_of_before_kinds_are_chats(tmp_path):
    folder = tmp_path / "feedback/snapshots"
    folder.mkdir(parents=True)
    pl.DataFrame([ROW | {"rating": 1}], schema=COLUMNS).drop("kind", "media").write_parquet(folder / "1.parquet")
    pl.DataFrame([ROW | classified(PICTURE, answer_id="a2")], schema=COLUMNS).write_parquet(folder / "2.parquet")
    feedback(tmp_path / "out", path=str(tmp_path / "feedback"))
    assert pl.read_parquet(tmp_path / "out/instructions.parquet").height == 1
    assert pl.read_parquet(tmp_path / "out/feedback.parquet")["kind"].to_list() == ["chat", "classification"]
