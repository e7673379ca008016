"""Rates and latency alarm when they are surely beyond their bound."""

import polars as pl

from fmcycle.monitor.rate import Latency, Rate

NONE = pl.DataFrame()


def test_few_refusals_do_not_alarm_many_do():
    def refused(hits, n):
        return Rate("refused", bound=0.2)(NONE, pl.DataFrame({"refused": [True] * hits + [False] * (n - hits)}))

    assert not refused(2, 4)["alarm"] and refused(60, 100)["alarm"] and refused(60, 100)["value"] == 0.6


def test_only_rated_answers_count_as_disliked():
    found = Rate("disliked", bound=0.4)(NONE, pl.DataFrame({"rating": [-1] * 30 + [1] * 2 + [0] * 500}))
    assert found["n"] == 32 and found["alarm"]
    assert Rate("disliked", bound=0.4)(NONE, pl.DataFrame({"rating": [0, 0]}))["what"] == "nobody rated an answer"


def test_latency_speaks_of_the_slow_ones():
    assert Latency(bound=1)(NONE, pl.DataFrame({"latency": [0.1] * 50 + [5.0] * 50}))["alarm"]
    assert not Latency(bound=1)(NONE, pl.DataFrame({"latency": [0.1] * 99 + [5.0]}))["alarm"]
