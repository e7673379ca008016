from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from fmcycle.data.precompute import annotate, needed
from fmcycle.data.table import Table
from fmcycle.errors import InputError
from fmcycle.model import store as model_store
from fmcycle.objective.dpo import DPO
from fmcycle.processor import store
from fmcycle.processor.chat import instruction, preference
from fmcycle.processor.image import image, pixels
from fmcycle.processor.media import as_png
from fmcycle.training.budget import Budget


def test_rows_are_padded_at_the_right_and_padding_is_not_trained_on(material):
    processor = store.load_processor(material / "processor")
    rows = Table(str(material / "instructions.parquet"), instruction)("train", processor)
    first, second = rows[0], rows[1]
    batch = rows.collate([first, second])
    longest = max(len(first["input_ids"]), len(second["input_ids"]))
    assert batch["input_ids"].shape == batch["labels"].shape == (2, longest)
    for row, sample in enumerate((first, second)):
        size = len(sample["input_ids"])
        assert batch["input_ids"][row, :size].tolist() == sample["input_ids"]
        assert (batch["labels"][row, size:] == -100).all() and (batch["input_ids"][row, size:] == processor.pad_token_id).all()


def test_long_rows_are_left_out_not_cut_and_counted(material, capsys):
    processor = store.load_processor(material / "processor")
    every = Table(str(material / "instructions.parquet"), instruction, max_length=4000)("train", processor)
    rows = Table(str(material / "instructions.parquet"), instruction, max_length=40)("train", processor)
    assert (
        len(rows) > 0
        and rows.lengths.max() <= 40
        and len(rows) + rows.left_out["too_long"] == len(every)
        and every.left_out == {"too_long": 0}
    )
    told = capsys.readouterr().out
    assert told == f"train: {len(rows):,} of {len(every):,} rows, {rows.left_out['too_long']:,} longer than data.max_length 40\n"
    with pytest.raises(
        InputError, match=f"none of {len(every)} rows of train is left, {len(every)} of them are longer than data.max_length 1"
    ):
        Table(str(material / "instructions.parquet"), instruction, max_length=1)("train", processor)


def test_a_table_without_rows_says_which_it_lacks(material, tmp_path):
    processor = store.load_processor(material / "processor")
    frame = pl.read_parquet(material / "instructions.parquet")
    for name, rows in {"empty": frame.clear(), "train": frame.head(3).with_columns(split=pl.lit("train"))}.items():
        rows.write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match="0 rows in the table"):
        Table(str(tmp_path / "empty.parquet"), instruction)("validation", processor)
    with pytest.raises(InputError, match=r"no row of validation among 3 rows: .* split\.validation=0\.3"):
        Table(str(tmp_path / "train.parquet"), instruction)("validation", processor)
    rows.with_columns(split=pl.Series(["train", "train", "test"]), task=pl.Series(["a", "a", "b"])).write_parquet(
        tmp_path / "other.parquet"
    )
    with pytest.raises(InputError, match=r"no row of train matches data\.where"):
        Table(str(tmp_path / "other.parquet"), instruction, where={"task": ["b"]})("train", processor)


def test_nothing_is_learnt_from_a_masked_answer(material):
    processor = store.load_processor(material / "processor")
    talk = [
        {"role": role, "content": text} for role, text in (("user", "One?"), ("assistant", "Yes."), ("user", "Two?"), ("assistant", "No."))
    ]
    plain, masked = instruction({"messages": talk}, processor), instruction({"messages": talk, "masked": [1]}, processor)
    kept = [label for label in masked["labels"] if label != -100]
    assert plain["input_ids"] == masked["input_ids"] and [label for label in plain["labels"] if label != -100][-len(kept) :] == kept
    assert processor.decode(kept).startswith("No.") and instruction({"messages": talk, "masked": None}, processor) == plain


def test_where_keeps_the_rows_it_names(material):
    processor = store.load_processor(material / "processor")
    assert len(Table(str(material / "instructions.parquet"), instruction, where={"task": ["method"]})("train", processor)) > 0
    with pytest.raises(InputError, match="no such column"):
        Table(str(material / "instructions.parquet"), instruction, where={"tsk": ["method"]})("train", processor)


@pytest.mark.parametrize("values", [["method", "metod"], "metod", ["method", 7], [None, "method"]])
def test_a_value_of_where_that_no_row_has_is_refused_though_others_fit(material, values):
    processor = store.load_processor(material / "processor")
    with pytest.raises(InputError, match=r"data\.where\.task: no row of .*instructions.parquet has (metod; did you mean method\?|7|None)"):
        Table(str(material / "instructions.parquet"), instruction, where={"task": values})("train", processor)


def test_every_filter_of_rows_says_how_many_it_left_out(material, tmp_path, capsys):
    processor = store.load_processor(material / "processor")
    frame = pl.read_parquet(material / "instructions.parquet").filter(pl.col("split") == "train").head(9)
    frame = frame.with_columns(task=pl.Series(["a"] * 7 + ["b"] * 2), name=pl.Series([str(number) for number in range(9)]))
    frame.write_parquet(tmp_path / "rows.parquet")

    def some(row, processor):
        return None if row["name"] in "01" else instruction(row, processor)

    longest = max(len(instruction(row, processor)["input_ids"]) for row in frame.head(7).iter_rows(named=True))
    rows = Table(str(tmp_path / "rows.parquet"), some, where={"task": "a"}, max_length=longest)("train", processor)
    assert rows.left_out == {"other_where": 2, "no_example": 2, "too_long": 0} and len(rows) == 5
    assert capsys.readouterr().out == "train: 5 of 9 rows, 2 not in data.where, 2 without an example\n"


def test_an_annotation_is_computed_once_and_equals_the_model(material, tmp_path):
    processor = store.load_processor(material / "processor")
    rows = Table(str(material / "preferences.parquet"), preference, max_length=128)("train", processor)
    indices, loads = np.arange(3, 11), []

    def model():
        loads.append(1)
        return model_store.load_model(material / "model")[0]

    for _ in range(2):
        annotate(rows, "reference_chosen", DPO.reference_chosen, model, indices=indices, key={"model": "m"}, folder=tmp_path)
    assert len(loads) == 1
    with torch.no_grad():
        expected = DPO.reference_chosen(model(), rows.collate([rows[5]]))
    torch.testing.assert_close(torch.tensor([rows[5]["reference_chosen"]]), expected, rtol=1e-4, atol=1e-4)
    assert np.isnan(rows[0]["reference_chosen"])


def test_needed_rows_are_those_of_the_budget(material):
    processor = store.load_processor(material / "processor")
    rows = Table(str(material / "preferences.parquet"), preference, max_length=128)("train", processor)
    assert len(needed(rows, Budget(max_steps=2, global_batch=4))) == 12  # and of the step that the loader has ready
    assert list(needed(rows, Budget(max_steps=10_000, global_batch=4))) == list(range(len(rows)))


def test_a_template_that_refuses_a_row_is_named_with_the_row_and_its_own_repair(material):
    processor = store.load_processor(material / "processor")
    processor.chat_template = processor.chat_template.replace("<|end|>", "")
    with pytest.raises(InputError, match=r"row 0 of train .*: the chat template writes no end-of-turn token .* in chat_template\.jinja$"):
        Table(str(material / "instructions.parquet"), instruction)("train", processor)


def test_what_a_format_gets_wrong_is_named_with_its_row(material):
    processor = store.load_processor(material / "processor")
    size = len(processor)
    wrong = {
        rf"input_ids holds 3 \.\. {size}, the processor has tokens 0 \.\. {size - 1}": {"input_ids": [3, size], "labels": [-100, 3]},
        r"labels holds -7 \.\. 5": {"input_ids": [3, 4, 5], "labels": [-100, -7, 5]},
        r"input_ids is not a list of whole numbers \(float64": {"input_ids": [0.5, 1.0], "labels": [1, 2]},
        r"its columns differ in length: {'input_ids': 2, 'labels': 1}": {"input_ids": [1, 2], "labels": [1]},
        r"chosen: labels holds 1 \.\. 999999": {"chosen": {"input_ids": [1, 2], "labels": [1, 999_999]}},
    }
    for message, row in wrong.items():
        with pytest.raises(InputError, match=f"row 0 of train .*: {message}.*; correct data.format or the row"):
            Table(str(material / "instructions.parquet"), lambda *_, row=row: row)("train", processor)


def test_a_number_that_was_never_computed_is_not_trained_on(material):
    processor = store.load_processor(material / "processor")
    rows = Table(str(material / "preferences.parquet"), preference, max_length=128)("train", processor)
    rows.annotations["reference_chosen"] = np.full(len(rows), np.nan, dtype=np.float32)
    with pytest.raises(InputError, match=r"column reference_chosen is NaN in a row: delete \.cache/annotate"):
        rows.collate([rows[0], rows[1]])


def pictures(folder, change=None):
    """A table of ten pictures in two classes; `change`: (rows) -> None."""
    rows = [
        {
            "id": f"p/{number}",
            "split": "test" if number > 6 else "train",
            "label": ("cat", "dog")[number % 2],
            "media": as_png(np.full((1, 4 + number, 6), number / 10)),
        }
        for number in range(10)
    ]
    if change:
        change(rows)
    pl.DataFrame(rows).write_parquet(folder / "examples.parquet")
    return Table(str(folder / "examples.parquet"), pixels, classes="label"), image([], size=8, channels=1)


def test_pictures_are_made_when_they_are_read_and_stacked(tmp_path):
    table, processor = pictures(tmp_path)
    rows = table("train", processor)
    batch = rows.collate([rows[index] for index in range(len(rows))])
    assert batch["pixel_values"].shape == (7, 1, 8, 8) and batch["labels"].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert rows.classes == ["cat", "dog"] and not rows.rows and np.array_equal(rows[3]["pixel_values"], rows[3]["pixel_values"])


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n and then nothing", b"", None])
def test_a_picture_that_is_none_is_named_before_anything_begins(tmp_path, content):
    table, processor = pictures(tmp_path, lambda rows: rows[4].update(media=content))
    with pytest.raises(InputError, match=r"examples\.parquet: row 4 of train \(p/4\): .*image.*; correct data\.format or the row"):
        table("train", processor)


def test_a_class_unseen_in_training_is_left_out_and_counted(tmp_path, capsys):
    def owls(rows):
        rows[8]["label"] = rows[9]["label"] = "owl"

    table, processor = pictures(tmp_path, owls)
    held_out = table("test", processor)
    assert len(held_out) == 1 and held_out.classes == ["cat", "dog"]
    assert held_out.left_out["other_class"] == 2 and "2 of a label that train lacks" in capsys.readouterr().out


def test_a_column_of_classes_that_is_not_there_is_told(tmp_path):
    table, processor = pictures(tmp_path)
    with pytest.raises(InputError, match=r"data\.classes: .* has no such column, kind; it has id, split, label, media"):
        replace(table, classes="kind")("train", processor)
