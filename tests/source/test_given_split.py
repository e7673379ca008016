import json

import pytest

from fmcycle.source.given_split import of_card, place_of_file
from fmcycle.source.reader import read

ROW = {"instruction": "What is a kiln?", "output": "An oven for clay."}
TEXT = {"text": "A kiln is an oven for clay."}


def splits(folder, files, table="instructions"):
    """(the splits of the rows by id, the quarantine) of a folder of these files."""
    for name, rows in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
    reading = read(folder)
    return dict(reading.tables[table].select("id", "split").iter_rows()), [entry["reason"] for entry in reading.quarantine]


@pytest.mark.parametrize("name", ["split", "Split", "subset", "set", "fold", "phase", "usage", "partition", "data_type", "dataset_split"])
@pytest.mark.parametrize(("row", "table"), [(ROW, "instructions"), (TEXT, "documents")])
def test_a_column_that_names_the_split_counts_whatever_its_name(tmp_path, name, row, table):
    found, refused = splits(tmp_path, {"a.jsonl": [row | {name: value} for value in ("TEST", "dev", "train_sft", "eval")]}, table)
    assert [*found.values()] == ["test", "validation", "train", "test"] and refused == []


@pytest.mark.parametrize(("row", "table"), [(ROW, "instructions"), (TEXT, "documents")])
def test_a_column_of_such_a_name_with_other_values_is_none(tmp_path, row, table):
    found, refused = splits(tmp_path, {"a.jsonl": [row | {"subset": "en", "fold": "3"}]}, table)
    assert found == {"a.jsonl#1": ""} and refused == []
    found, refused = splits(tmp_path, {"a.jsonl": [row | {"split": "en"}, row]}, table)
    assert refused == ["split 'en' is not one of train, validation, test"] and found == {"a.jsonl#2": ""}


def test_a_row_of_train_in_a_file_of_held_out_rows_is_refused_and_other_rows_say_it_better(tmp_path):
    files = {"validation/a.jsonl": [ROW | {"split": "train"}, ROW | {"split": "test"}, ROW], "train.jsonl": [ROW | {"split": "val"}, ROW]}
    found, refused = splits(tmp_path, files)
    assert refused == ["split 'train', but its file's name says validation"]
    expected = {
        "train.jsonl#1": "validation",
        "train.jsonl#2": "train",
        "validation/a.jsonl#2": "test",
        "validation/a.jsonl#3": "validation",
    }
    assert found == expected


def test_the_splits_of_a_dataset_card_count(tmp_path):
    card = """---
license: mit
configs:
- config_name: default
  data_files:
  - {split: train, path: [data/a.jsonl, ./data/more-*.jsonl]}
  - {split: test, path: data/held.jsonl}
---
# A card
"""
    rows = {"data/a.jsonl": [ROW], "data/more-1.jsonl": [ROW], "data/held.jsonl": [ROW]}
    found, refused = splits(tmp_path, {"README.md": card} | rows)
    assert found == {"data/a.jsonl#1": "train", "data/more-1.jsonl#1": "train", "data/held.jsonl#1": "test"} and refused == []
    assert of_card({"configs": [{"data_files": {"train": "a", "dev": ["b", "c"]}}]}) == [
        ("a", "train"),
        ("b", "validation"),
        ("c", "validation"),
    ]
    for odd in (None, {"configs": "x"}, {"configs": [7, {"data_files": "x.jsonl"}, {"data_files": {"path": "x"}}]}):
        assert of_card(odd) == []


def test_every_split_is_found_in_a_file_s_name():
    assert [place_of_file(name) for name in ("my_Training.csv", "valid-1.csv", "x/EVAL/a.csv", "dev.json", "latest.csv", "a.csv")] == [
        "train", "validation", "test", "validation", None, None,
    ]  # fmt: skip
