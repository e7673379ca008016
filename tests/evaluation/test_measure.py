"""Figures of several evaluations stand beside one another, and none of them twice."""

import pytest

from fmcycle.errors import InputError
from fmcycle.evaluation.measure import measure


def node(material, **more):
    """Bits per byte of three documents."""
    return {"_target_": "fmcycle.evaluation.bits_per_byte.BitsPerByte", "documents": str(material / "documents.parquet"), "limit": 3} | more


def test_the_figures_are_those_of_every_evaluation(assistant, material):
    nodes = {"bits": node(material), "sound": preference(material)}
    whole = measure(nodes, *assistant)
    assert whole == measure({"bits": nodes["bits"]}, *assistant) | measure({"sound": nodes["sound"]}, *assistant)
    assert {"bits_per_byte", "preference_accuracy"} <= set(whole)


def test_a_figure_that_comes_twice_is_refused_with_the_name_of_the_evaluation(assistant, material):
    with pytest.raises(InputError, match=r"evaluation\.again gives bits_per_byte,"):
        measure({"bits": node(material), "again": node(material)}, *assistant)
    with pytest.raises(InputError, match=r"evaluation\.bits gives perplexity,"):
        measure({"bits": node(material)}, *assistant, beside={"perplexity": 3.0})


def test_a_table_with_a_clean_twin_is_measured_twice(assistant, material, tmp_path):
    clean = tmp_path / "documents.parquet"
    clean.write_bytes((material / "documents.parquet").read_bytes())
    found = measure({"bits": node(material)}, *assistant, clean={str(material / "documents.parquet"): str(clean)})
    assert found["bits_per_byte/clean"] == found["bits_per_byte"] and found["bits_per_byte/clean/n"] == found["bits_per_byte/n"]


def test_one_that_cannot_be_built_is_refused_before_the_first_is_run(material):
    with pytest.raises(InputError, match="Nothing"):
        measure({"bits": node(material), "none": {"_target_": "fmcycle.evaluation.sample.Nothing"}}, None, None)


def preference(material):
    """The accuracy on two pairs."""
    target = "fmcycle.evaluation.preference.Preference"
    return {"_target_": target, "preferences": str(material / "preferences.parquet"), "limit": 2}
