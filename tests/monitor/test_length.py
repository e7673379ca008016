"""Length alarms on a large shift, and not for many words of small ones."""

import polars as pl

from fmcycle.monitor.length import Length


def texts(*sizes):
    return pl.DataFrame({"answer": ["word " * size for size in sizes]})


def test_much_longer_answers_alarm_and_slightly_longer_ones_do_not():
    reference = texts(*range(5, 25), *range(5, 25))
    assert Length("answer")(reference, texts(*range(50, 90)))["alarm"]
    assert not Length("answer")(reference, texts(*range(6, 26), *range(6, 26)))["alarm"]


def test_nothing_varies_and_nothing_differs():
    found = Length("answer")(texts(3, 3, 3), texts(3, 3, 3))
    assert found["value"] == 0 and not found["alarm"]
