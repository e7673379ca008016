import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fmcycle.source.reader import read

NAMES = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}


def png():
    """The bytes of a small picture."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write(file, table, said=None):
    """A table as Parquet, or as an Arrow stream, with the features that the datasets library would write."""
    if said:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": said}})})
    if file.suffix == ".parquet":
        pq.write_table(table, file)
        return
    with pa.OSFile(str(file), "wb") as target, pa.ipc.new_stream(target, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_numbers_of_classes_become_their_names(tmp_path, name):
    rows = pa.table({"text": ["A bad kiln.", "A good kiln.", "A kiln."], "label": [0, 1, -1], "other": [1, 2, 3]})
    write(tmp_path / name, rows, NAMES | {"other": {"dtype": "int64", "_type": "Value"}})
    assert read(tmp_path).table("documents")["label"].to_list() == ["neg", "pos", ""]
    write(tmp_path / name, rows)
    assert read(tmp_path).table("documents")["label"].to_list() == ["0", "1", "-1"]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_a_picture_or_sound_with_its_bytes_is_an_example(tmp_path, name):
    held = pa.array([{"bytes": png(), "path": "a.png"}, {"bytes": None, "path": "b.png"}])
    write(tmp_path / name, pa.table({"image": held, "label": [1, 0], "caption": ["A kiln.", "None."], "type": ["x", "y"]}), NAMES)
    reading = read(tmp_path)
    (row,) = reading.table("examples").to_dicts()
    assert (row["media"], row["text"], row["label"], row["type"]) == (png(), "A kiln.", "pos", "image")
    assert [entry["reason"] for entry in reading.quarantine] == ["media is empty or not bytes"]
    write(tmp_path / name, pa.table({"audio": held[:1], "sentence": ["A kiln."]}), {"audio": {"_type": "Audio"}})
    assert read(tmp_path).table("examples").select("text", "type").row(0) == ("A kiln.", "speech")


def test_a_picture_beside_a_question_is_refused_by_name(tmp_path):
    held = pa.array([{"bytes": png(), "path": "a.png"}])
    write(tmp_path / "rows.parquet", pa.table({"image": held, "question": ["What is it?"], "answer": ["A kiln."]}))
    (entry,) = read(tmp_path).quarantine
    assert entry["reason"].startswith("image changes what the row means")


def test_folders_of_the_datasets_library_itself_are_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "blue"])})
    held = datasets.Dataset.from_dict({"image": [{"bytes": png(), "path": None}] * 2, "label": [0, 1]}, features=features)
    datasets.DatasetDict({"train": held, "test": held.select([1])}).save_to_disk(tmp_path / "saved")
    found = read(tmp_path / "saved").table("examples").sort("id")
    assert found["label"].to_list() == ["blue", "red", "blue"] and found["split"].to_list() == ["test", "train", "train"]
