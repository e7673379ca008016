import polars as pl
import pytest

from fmcycle.error import InputError
from fmcycle.source.feedback import COLUMNS, feedback

ASKED = [{"role": "user", "content": "What is a queue?"}]
ROW = {
    "answer_id": "a1", "time": "2026-01-01T00:00:00", "prompt": ASKED, "answer": "A line.", "rating": 0, "comment": "", "corrected": "",
    "preferred": "", "role": "user", "model": "m", "processor": "p", "config": "c", "prompt_tokens": 4, "answer_tokens": 2, "latency": 0.5,
    "refused": False,
}  # fmt: skip


def given(tmp_path, *snapshots):
    folder = tmp_path / "feedback/snapshots"
    folder.mkdir(parents=True)
    for number, rows in enumerate(snapshots):
        pl.DataFrame([ROW | row for row in rows], schema=COLUMNS).write_parquet(folder / f"{number}.parquet")
    feedback(tmp_path / "out", path=str(tmp_path / "feedback"))
    return [pl.read_parquet(tmp_path / f"out/{name}.parquet").to_dicts() for name in ("feedback", "instructions", "preferences")]


def test_without_feedback_the_tables_are_there_and_empty(tmp_path):
    assert given(tmp_path) == [[], [], []]


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
