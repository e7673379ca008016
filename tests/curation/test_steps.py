"""What holds for every step that looks at each row by itself, as conf/curation names them."""

import polars as pl
import pytest
import yaml

from fmcycle import build
from fmcycle.curation.corpus import is_corpus
from fmcycle.curation.quality import fineweb, gopher
from fmcycle.curation.repetition import gopher_repetition

PAGE = (
    "<html><body><nav><a href='/'>Home</a></nav><article>"
    + "<p>The keeper of the inn told us a long story.</p>" * 9
    + "</article></body></html>"
)
TEXTS = [
    ("a.txt", "The queue holds the messages of a service, and the service reads them in order.\n" * 9, "text"),
    ("b.txt", "", "text"),
    ("c.py", "def f(:\n    pass", "code"),
    ("d.html", PAGE, "html"),
    ("e.txt", "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。", "text"),
    ("f.txt", "It's the shit that you shit.\n\ndonâ€™t   write\r\nto me@example.com [1]\n" + "and again " * 60, "markdown"),
    ("g.json", "{}", None),
]


def steps():
    """(file and name, step) of every entry and list that needs no examples or model."""
    for file in sorted((build.conf_dir() / "curation").glob("*.yaml")):
        if file.stem in ("learned", "toxicity_examples", "toxicity_model"):
            continue
        content = yaml.safe_load(file.read_text())
        nodes = {file.stem: content} if "_target_" in content else {f"{file.stem}.{name}": node for name, node in content.items()}
        for name, node in nodes.items():
            if node.get("_partial_"):
                yield pytest.param(build.build(node), id=name)


def frame():
    rows = pl.DataFrame(TEXTS, schema={"id": pl.String, "text": pl.String, "type": pl.String}, orient="row")
    return rows.with_columns(licence=pl.lit("MIT"))


@pytest.mark.parametrize("step", list(steps()))
def test_a_step_returns_the_rows_that_it_got_in_their_order_and_looks_at_each_alone(step):
    assert not is_corpus(step)
    found = step(frame())
    assert found["id"].to_list() == frame()["id"].to_list()
    alone = pl.concat([step(frame()[place : place + 1]) for place in range(frame().height)], how="diagonal")
    missing = [name for name in found.columns if name not in alone.columns]
    assert all(found[name].null_count() == found.height for name in missing)
    assert alone.select(pl.exclude("^count:.*$")).equals(found.select(name for name in alone.columns if not name.startswith("count:")))
    assert step(frame().clear()).is_empty()


def test_a_column_that_is_named_as_a_figure_of_a_rule_stays():
    own = frame().with_columns(pl.lit(-7).alias(name) for name in ("words", "total", "characters", "lines", "bullets"))
    for step in (gopher, gopher_repetition, fineweb):
        assert step(own).select(own.columns).equals(own)
        assert step(own).select(step(frame()).columns).equals(step(frame()))


@pytest.mark.parametrize("step", list(steps()))
def test_what_a_step_left_it_leaves_again(step):
    verdict = ("reason", "rule", "value")
    once = step(frame())
    kept = once.filter(pl.col("reason").is_null()).drop(verdict) if "reason" in once.columns else once
    again = step(kept.drop(name for name in kept.columns if name.startswith("count:")))
    assert "reason" not in again.columns or again["reason"].null_count() == again.height
    assert again["text"].to_list() == kept["text"].to_list()
