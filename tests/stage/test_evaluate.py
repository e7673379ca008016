"""evaluate: the same inputs give the same bytes, and the digests say of what."""

import json
from types import SimpleNamespace

import polars as pl
import pytest

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.serving.pipeline import guards_digest
from fmcycle.stage.evaluate import run


def config(material, out, **inputs):
    given = {"model": str(material / "model"), "pretrain_metrics": None} | inputs
    tables = {name: str(material / f"{name}.parquet") for name in ("documents", "instructions", "preferences", "prompts")}
    node = "fmcycle.evaluation"
    instruction = {
        "_target_": f"{node}.instruction.Instruction",
        "instructions": tables["instructions"],
        "max_new_tokens": 12,
    }
    return SimpleNamespace(
        inputs=given | tables,
        out=str(out),
        runs=str(out.with_name(f"{out.name}-runs")),
        evaluation={
            "bits_per_byte": {"_target_": f"{node}.bits_per_byte.BitsPerByte", "documents": tables["documents"], "limit": 10},
            "instruction": instruction | {"reference": given["model"]},
        },
        contamination={"_target_": "fmcycle.curation.contamination.Match"},
        sample={"_target_": f"{node}.sample.Sample", "instructions": tables["instructions"], "max_new_tokens": 12},
    )


def test_twice_gives_the_same_bytes_and_names_what_was_measured(material, tmp_path):
    found = [run(config(material, tmp_path / name)) for name in ("one", "two")]
    assert found[0] == found[1]
    for name in ("samples.jsonl", "report.html", "contaminated.jsonl", "evaluated.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads((tmp_path / "one" / "evaluated.json").read_text())["model"] == artifact.digest(material / "model")
    samples = [json.loads(line) for line in (tmp_path / "one" / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == len({(row["task"], row["id"]) for row in samples}) == found[0]["rouge_l/n"]  # a row is answered and shown once
    assert all(row["reference"] == row["answer"] for row in samples)


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


def test_every_figure_stands_once_more_on_the_rows_that_no_training_text_holds(material, tmp_path):
    for name in ("documents", "instructions", "preferences", "prompts"):
        frame = pl.read_parquet(material / f"{name}.parquet")
        frame.filter(pl.col("split") == "test").unique("id" if name != "documents" else "text", maintain_order=True).write_parquet(
            tmp_path / f"{name}.parquet"
        )
    documents = pl.read_parquet(tmp_path / "documents.parquet")
    told = documents.filter(pl.col("text").str.count_matches(r"\w+") > 20).head(1)
    copy = told.with_columns(id=pl.lit("copy"), split=pl.lit("train"), text=pl.lit("It says: ") + pl.col("text"))
    model = {"model": str(material / "model")}
    documents.write_parquet(tmp_path / "documents.parquet")
    before = run(config(tmp_path, tmp_path / "before", **model))
    assert not [key for key in before if "/clean" in key] and before["contaminated/documents"] == 0
    pl.concat([documents, copy]).write_parquet(tmp_path / "documents.parquet")
    metrics = run(config(tmp_path, tmp_path / "out", **model))
    held = [json.loads(line) for line in (tmp_path / "out/contaminated.jsonl").read_text().splitlines()]
    assert ("documents", told["id"][0], "copy") in {(row["table"], row["id"], row["by"]) for row in held}
    documents.filter(~pl.col("id").is_in([row["id"] for row in held])).write_parquet(tmp_path / "documents.parquet")
    alone = run(config(tmp_path, tmp_path / "rest", **model))
    for end in ("", "/low", "/high", "/n"):
        assert metrics[f"bits_per_byte/clean{end}"] == alone[f"bits_per_byte{end}"]
        assert metrics[f"bits_per_byte{end}"] == before[f"bits_per_byte{end}"]
    html = (tmp_path / "out/report.html").read_text()
    assert "Held-out rows that training texts hold" in html and told["id"][0] in html and "Bits per byte, clean rows" in html


def test_without_a_match_nothing_is_looked_for(material, tmp_path):
    cfg = config(material, tmp_path / "out")
    cfg.contamination = None
    assert not [key for key in run(cfg) if key.startswith("contaminated")]


def test_a_sample_that_cannot_be_built_is_named_before_any_work(material, tmp_path):
    cfg = config(material, tmp_path / "out")
    cfg.sample = cfg.sample | {"_target_": "fmcycle.evaluation.sample.Nothing"}
    cfg.inputs["model"] = str(tmp_path / "no model")
    with pytest.raises(InputError, match=r"fmcycle\.evaluation\.sample\.Nothing"):
        run(cfg)


def test_answers_are_judged_behind_the_guards_which_evaluated_json_names(material, tmp_path):
    bare, guarded = config(material, tmp_path / "bare"), config(material, tmp_path / "guarded")
    guards = {"input": [{"_target_": "fmcycle.guardrail.refuse.Refuse", "patterns": ["."], "reason": "Nothing."}]}
    for cfg, guardrail in ((bare, None), (guarded, guards)):
        for node in (cfg.evaluation["instruction"], cfg.sample):
            node["guardrail"] = guardrail
    plain, refused = run(bare), run(guarded)
    assert plain["rouge_l"] > refused["rouge_l"] == refused["reference/rouge_l"] == 0 and plain["bits_per_byte"] == refused["bits_per_byte"]
    samples = [json.loads(line) for line in (tmp_path / "guarded/samples.jsonl").read_text().splitlines()]
    assert samples and all(row["refused"] and row["answer"] == "Nothing." for row in samples)
    for name, guardrail in (("bare", None), ("guarded", guards)):
        assert json.loads((tmp_path / name / "evaluated.json").read_text())["guardrail"] == guards_digest(guardrail)
    del bare.evaluation["instruction"]
    run(bare)
    assert "guardrail" not in json.loads((tmp_path / "bare/evaluated.json").read_text())
