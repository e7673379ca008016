"""A person's own rows where a stage reads a table: they are curated first, whatever their form."""

import csv
import json

import polars as pl
import pytest

from fmcycle.config.compose import compose
from fmcycle.errors import InputError
from fmcycle.runner.own_table import curated, is_table
from fmcycle.runner.run import perform

TEXT = "Jar {0} of the pantry is kept on shelf {1}, behind the door, and it is as full as it was in the spring of the year {2}."


@pytest.fixture
def rows(project, monkeypatch):
    """Questions in several forms, and texts."""
    monkeypatch.chdir(project)
    asked = [{"question": f"Where is jar {number}?", "answer": f"On shelf {number * 3}."} for number in range(40)]
    (project / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    with open(project / "my rows.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["question", "answer"])
        table.writeheader()
        table.writerows(asked)
    (project / "hub/data").mkdir(parents=True)
    pl.DataFrame(asked).write_parquet(project / "hub/data/train-00000-of-00001.parquet")
    pl.DataFrame([row | {"question": row["question"] + " And why?"} for row in asked[:4]]).write_parquet(
        project / "hub/data/test-00000-of-00001.parquet"
    )
    (project / "hub/README.md").write_text("---\nlicense: mit\n---\nA card.\n")
    (project / "texts").mkdir()
    for number in range(8):
        (project / f"texts/{number}.txt").write_text(TEXT.format(number, number * 7, 1900 + number * 11))
    return project


@pytest.mark.parametrize("name", ["my.jsonl", "my rows.csv", "hub"])
def test_rows_of_any_form_become_the_table_that_a_stage_reads(rows, name, capfd):
    found = curated(compose(["stage=finetune", f"inputs.instructions='{name}'"]), perform).inputs["instructions"]
    frame = pl.read_parquet(found)
    assert found.endswith("instructions.parquet") and is_table(rows / found, "instructions")
    assert frame.height == (44 if name == "hub" else 40) and set(frame["licence"]) == {"mit" if name == "hub" else "unknown"}
    assert name != "hub" or set(frame["split"]) == {"train", "test"}
    told = capfd.readouterr().out
    assert told.count("finetune needs curate first: ") == 1 and "by `fmcycle curate inputs.data=" in told
    again = compose(["stage=finetune", f"inputs.instructions={found}"])
    assert curated(again, perform) is again


def test_rows_of_another_kind_are_named(rows):
    with pytest.raises(InputError, match=r"inputs\.preferences: my\.jsonl holds no preferences, but 40 instructions"):
        curated(compose(["stage=align", "inputs.preferences=my.jsonl"]), perform)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-20], lambda _: b"PAR1 and no more", lambda _: b""])
def test_a_damaged_table_is_refused_by_name(rows, damage, tmp_path):
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"text": ["a"], "split": ["train"]}).write_parquet(whole)
    (rows / "cut.parquet").write_bytes(damage(whole.read_bytes()))
    for stage, name in (("finetune", "instructions"), ("tokens", "documents")):
        with pytest.raises(InputError, match=rf"inputs\.{name}: cut\.parquet is not a readable Parquet file \(.*: copy or make it again"):
            curated(compose([f"stage={stage}", f"inputs.{name}=cut.parquet"]), perform)


def test_a_folder_of_texts_makes_a_processor(rows, fmcycle):
    result = fmcycle("processor", "inputs.documents=texts", "processor.vocab_size=300")
    assert result.returncode == 0 and "processor needs curate first" in result.stdout, result.stderr
    refused = fmcycle("processor", "inputs.documents=my.jsonl", "processor.vocab_size=300", "base=require")
    assert refused.returncode == 2 and "run `fmcycle curate inputs.data=my.jsonl`" in refused.stderr
