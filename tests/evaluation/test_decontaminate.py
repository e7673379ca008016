"""Rows that a training text holds: planted copies are named, left out, and nothing else is."""

import polars as pl
import pytest

from fmcycle.curation.contamination import Match
from fmcycle.evaluation import decontaminate

ROW = "The lighthouse keeper counted eleven ships before the storm came in from the west and put out every lamp on the shore."
EDITED = ROW.replace("ships", "boats").replace("put out", "put down").upper()


@pytest.fixture
def tables(tmp_path):
    """Documents, instructions and prompts: a test row of each is in a training row of another, some words changed."""
    documents = [
        ("a", f"It is told so. {EDITED} And so it was.", "train"),
        ("b", ROW, "test"),
        ("c", "Nobody has ever seen the far side of this hill, or so they say in town.", "validation"),
    ]
    answer = "A sextant measures the angle between the horizon and a star at night, from which sailors find where they are."
    talk = [
        ("d", [{"role": "user", "content": "What for?"}, {"role": "assistant", "content": f"{answer} Always."}], "train"),
        ("e", [{"role": "user", "content": "What is a sextant for?"}, {"role": "assistant", "content": answer}], "test"),
        (
            "f",
            [{"role": "user", "content": "What is new?"}, {"role": "assistant", "content": "Nothing that anyone would tell of."}],
            "test",
        ),
    ]
    prompts = [("g", "harmful", "train"), ("h", "harmless", "train"), ("i", "harmless", "test"), ("j", "toxic", "train")]
    frames = {
        "documents": pl.DataFrame(documents, schema=["id", "text", "split"], orient="row"),
        "instructions": pl.DataFrame(talk, schema=["id", "messages", "split"], orient="row"),
        "prompts": pl.DataFrame(prompts, schema=["id", "kind", "split"], orient="row").with_columns(text=pl.lit(ROW)),
    }
    for name, frame in frames.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
    return {name: str(tmp_path / f"{name}.parquet") for name in frames}


def test_edited_copies_are_named_with_the_training_row_that_has_them(tables):
    found, rows = decontaminate.touched(tables, Match())
    assert found.select("table", "id", "by").rows() == [
        ("documents", "b", "a"), ("instructions", "e", "d"), ("prompts", "g", "a"), ("prompts", "i", "a"), ("prompts", "j", "a"),
    ]  # fmt: skip
    assert found["share"][0] == pytest.approx(20 / 22) and found["share"][1] == 1
    assert {name: sorted(ids) for name, ids in rows.items()} == {
        "documents": ["b", "c"], "instructions": ["e", "f"], "prompts": ["g", "i", "j"],
    }  # fmt: skip


def test_clean_tables_hold_what_was_looked_for_and_is_in_no_training_text(tables, tmp_path, monkeypatch):
    found, rows = decontaminate.touched(tables, Match())
    assert decontaminate.counts(found, rows) == {
        "contaminated/documents": 1, "contaminated/documents/n": 2, "contaminated/instructions": 1, "contaminated/instructions/n": 2,
        "contaminated/prompts": 3, "contaminated/prompts/n": 3,
    }  # fmt: skip
    files = decontaminate.without(tables, found, rows, tmp_path / "clean")
    assert {name: pl.read_parquet(files[file])["id"].to_list() for name, file in tables.items()} == {
        "documents": ["c"], "instructions": ["f"], "prompts": [],
    }  # fmt: skip
    node = {"documents": tables["documents"], "limit": 3, "parts": [tables["prompts"]]}
    assert decontaminate.replaced(node, files) == {"documents": files[tables["documents"]], "limit": 3, "parts": [files[tables["prompts"]]]}
    monkeypatch.setattr(decontaminate, "CHECKED", 10)
    assert {len(ids) for ids in decontaminate.touched(tables, Match())[1].values()} == {1}  # of each the first by digest


def test_how_the_training_rows_are_cut_changes_nothing(tables, monkeypatch):
    whole = decontaminate.touched(tables, Match())
    monkeypatch.setattr(decontaminate, "BATCH", 1)
    assert decontaminate.touched(tables, Match())[0].equals(whole[0])


def test_names_of_clean_metrics():
    metrics = {"rouge_l": 1, "rouge_l/low": 2, "task/bleu/n": 3}
    assert decontaminate.named(metrics) == {"rouge_l/clean": 1, "rouge_l/clean/low": 2, "task/bleu/clean/n": 3}
