"""A bound refuses what was not measured, what rests on too few rows, and what only equals a strict bound."""

import pytest

from fmcycle.gate.bound import Bound, judge
from fmcycle.statistics.interval import FEWEST


def interval(name, value, low, high, n):
    return {name: value, f"{name}/low": low, f"{name}/high": high, f"{name}/n": n}


def test_a_strict_bound_is_not_met_by_equality():
    metrics = interval("gain", 0.0, 0.0, 0.0, 40)
    assert Bound(min=0.0, of="low")("gain", metrics)["passed"]
    check = Bound(above=0.0, of="low")("gain", metrics)
    assert not check["passed"] and check["why"] == "gain/low is 0, above 0: not reached"
    assert not Bound(below=0.0)("gain", metrics)["passed"]


@pytest.mark.parametrize("of", ["low", "high"])
def test_an_interval_of_too_few_rows_excludes_nothing(of):
    for n, passed in ((2, False), (FEWEST - 1, False), (FEWEST, True)):
        check = Bound(min=0.5, of=of)("accuracy", interval("accuracy", 1.0, 1.0, 1.0, n))
        assert check["passed"] == passed
        told = f"accuracy/{of} rests on {n} rows, and fewer than 6 can't exclude chance: hold out more rows"
        assert passed or check["why"].startswith(told)
    assert Bound(min=0.5)("accuracy", interval("accuracy", 1.0, 1.0, 1.0, 2))["passed"]  # the value itself needs no interval


def test_a_metric_is_bounded_by_another_on_the_same_rows():
    bound = Bound(below="baseline/bits", of="high")
    own = interval("bits", 1.2, 1.1, 1.3, 400)
    assert bound("bits", own | interval("baseline/bits", 1.35, 1.2, 1.5, 400))["passed"]
    check = bound("bits", own | interval("baseline/bits", 1.25, 1.2, 1.5, 400))
    assert not check["passed"] and check["why"] == "bits/high is 1.3, below baseline/bits 1.25: misses by 0.05"
    check = bound("bits", own | interval("baseline/bits", 1.35, 1.2, 1.5, 200))
    assert not check["passed"] and "measured on other rows than baseline/bits" in check["why"]
    check = bound("bits", own)
    assert not check["passed"] and check["why"].startswith("baseline/bits was not measured, and bounds bits")


@pytest.mark.parametrize("metrics", [{}, {"gain": float("nan")}, {"gain": 1.0}, {"gain/low": None}])
def test_what_was_not_measured_is_refused_in_a_sentence(metrics):
    verdict = judge({"gain": Bound(above=0.0, of="low")}, metrics)
    assert not verdict["passed"] and verdict["checks"][0]["why"].startswith("gain/low was not measured; ")
