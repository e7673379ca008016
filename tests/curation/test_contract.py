"""What holds for every step that conf/curation names and that needs no examples or model of its own, on the step's sample."""

import polars as pl
import pytest
import yaml

from fmcycle.config import build, example
from fmcycle.curation.corpus_step import VERDICT, is_corpus, judged
from fmcycle.curation.quality import fineweb, gopher
from fmcycle.curation.repetition import gopher_repetition

FILES = ("good", "toxic", "folder", "model")  # keys of a step that name a person's files


def steps(corpus: bool) -> list:
    """(step, its sample's frame) of every entry and list: those that look at the whole corpus, or at each row by itself."""
    found = []
    for file in sorted((build.conf_dir() / "curation").glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        nodes = {file.stem: content} if "_target_" in content else {f"{file.stem}.{name}": node for name, node in content.items()}
        for name, node in nodes.items():
            if not set(FILES) & set(node) and is_corpus(step := build.build(node)) == corpus:
                found.append(pytest.param(step, example.of("curation", node["_target_"])["frame"], id=name))
    return found


def frame():
    return example.curation()["frame"]


@pytest.mark.parametrize(("step", "frame"), steps(corpus=False))
def test_a_step_returns_the_rows_that_it_got_in_their_order_and_looks_at_each_alone(step, frame):
    found = step(frame)
    assert found["id"].to_list() == frame["id"].to_list()
    alone = pl.concat([step(frame[place : place + 1]) for place in range(frame.height)], how="diagonal")
    missing = [name for name in found.columns if name not in alone.columns]
    assert all(found[name].null_count() == found.height for name in missing)
    assert alone.select(pl.exclude("^count:.*$")).equals(found.select(name for name in alone.columns if not name.startswith("count:")))
    assert step(frame.clear()).is_empty()


def test_a_column_that_is_named_as_a_figure_of_a_rule_stays():
    own = frame().with_columns(pl.lit(-7).alias(name) for name in ("words", "total", "characters", "lines", "bullets"))
    for step in (gopher, gopher_repetition, fineweb):
        assert step(own).select(own.columns).equals(own)
        assert step(own).select(step(frame()).columns).equals(step(frame()))


@pytest.mark.parametrize(("step", "frame"), steps(corpus=False))
def test_what_a_step_left_it_leaves_again(step, frame):
    once = step(frame)
    kept = once.filter(pl.col("reason").is_null()).drop(VERDICT) if "reason" in once.columns else once
    again = step(kept.drop(name for name in kept.columns if name.startswith("count:")))
    assert "reason" not in again.columns or again["reason"].null_count() == again.height
    assert again["text"].to_list() == kept["text"].to_list()


@pytest.mark.parametrize(("step", "frame"), steps(corpus=True))
def test_a_corpus_step_finds_the_same_however_the_corpus_is_cut(step, frame):
    numbered = pl.concat([frame] * 2).with_row_index("row").with_columns(pl.col("row").cast(pl.UInt64))
    found, findings = judged(step, numbered)
    assert found["row"].to_list() == numbered["row"].to_list() and set(VERDICT) <= set(found.columns)
    cut = pl.concat([step.sketch(numbered[:5]), step.sketch(numbered[5:])])
    whole = step.sketch(numbered)
    assert whole.schema["row"] == pl.UInt64 and whole.schema["part"] == pl.UInt32
    assert sorted(cut.rows(), key=repr) == sorted(whole.rows(), key=repr)
    again, others = judged(step, numbered)
    assert again.equals(found) and others == findings
