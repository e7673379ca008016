"""evaluate: the same inputs give the same bytes, and the digests say of what."""

import json
from types import SimpleNamespace

import pytest

from fmcycle import artifact
from fmcycle.error import InputError
from fmcycle.stage.evaluate import run

RENDER = {"_target_": "fmcycle.processor.chat.render", "_partial_": True}


def config(material, out, **inputs):
    given = {"model": str(material / "model"), "pretrain_metrics": None} | inputs
    tables = {name: str(material / f"{name}.parquet") for name in ("documents", "instructions", "preferences", "prompts")}
    node = "fmcycle.evaluation"
    instruction = {
        "_target_": f"{node}.instruction.Instruction",
        "instructions": tables["instructions"],
        "render": RENDER,
        "max_new_tokens": 12,
    }
    return SimpleNamespace(
        inputs=given | tables,
        out=str(out),
        evaluation={
            "bits_per_byte": {"_target_": f"{node}.bits_per_byte.BitsPerByte", "documents": tables["documents"], "limit": 10},
            "instruction": instruction | {"reference": str(material / "model")},
        },
        sample={"_target_": f"{node}.sample.Sample", "instructions": tables["instructions"], "render": RENDER, "max_new_tokens": 12},
    )


def test_twice_gives_the_same_bytes_and_names_what_was_measured(material, tmp_path):
    found = [run(config(material, tmp_path / name)) for name in ("one", "two")]
    assert found[0] == found[1]
    for name in ("samples.jsonl", "report.html", "evaluated.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads((tmp_path / "one" / "evaluated.json").read_text())["model"] == artifact.digest(material / "model")
    assert len((tmp_path / "one" / "samples.jsonl").read_text().splitlines()) == 8


def test_two_evaluations_of_one_name_are_refused(material, tmp_path):
    cfg = config(material, tmp_path)
    cfg.evaluation["again"] = cfg.evaluation["bits_per_byte"]
    with pytest.raises(InputError, match=r"evaluation.again gives bits_per_byte"):
        run(cfg)


def test_a_broken_metrics_file_is_named_before_any_work(material, tmp_path):
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json: not readable"):
        run(config(material, tmp_path / "out", pretrain_metrics=str(tmp_path / "metrics.json")))
    assert not (tmp_path / "out").exists()
