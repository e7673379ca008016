"""The traffic over time: nothing is lost between the times of a chart, and each event lies at its own."""

import polars as pl
import pytest

from fmcycle.monitor import history


def traffic(times, **changes):
    row = {"model": "m", "rating": 0, "latency": 0.5, "refused": False, "prompt_tokens": 3, "answer_tokens": 2, "prompt": "x"} | changes
    return pl.DataFrame([{"answer_id": f"a{place:04}", "time": time} | row for place, time in enumerate(times)])


SPANS = [
    ("hour", ["2026-03-01T10:59:59.9+00:00", "2026-03-01T11:00:00", "2026-03-03T09:00:00"], 48),
    ("day", ["2026-02-27T23:59:59", "2026-03-20T00:00:00"], 22),
    ("week", ["2025-12-30T12:00:00", "2026-06-01T00:00:00"], 23),
    ("month", ["2023-01-31T12:00:00", "2026-02-01T00:00:00"], 38),
]


@pytest.mark.parametrize(("unit", "times", "count"), SPANS)
def test_the_unit_follows_the_span_and_empty_times_are_there(unit, times, count):
    rows = traffic(times)
    found = history.over_time(rows)
    assert found["unit"] == unit and len(found["times"]) == count == len(set(found["times"])) and sum(found["answers"]) == len(times)
    assert [history.place_of(found, times[0]), history.place_of(found, times[-1])] == [0, count - 1]
    assert found["p50"][0] == 0.5 and (found["p50"][2] is None) == (found["answers"][2] == 0)
    assert all(len(found[name]) == count for name in found if name != "unit")


def test_complaints_have_an_interval_only_if_somebody_rated():
    rows = pl.concat([traffic(["2026-01-01T00:00:00"] * 4, rating=-1), traffic(["2026-01-01T01:00:00"])])
    found = history.over_time(rows)
    assert found["disliked"] == [1.0, None] and 0 < found["disliked_low"][0] < 1 == found["disliked_high"][0]


def test_nothing_and_what_has_no_time_are_no_traffic():
    assert history.over_time(traffic(["yesterday"])) == history.over_time(traffic(["x"]).clear()) == {"unit": "day", "times": []}
    assert history.windows(traffic(["yesterday"]), 1) == []


@pytest.mark.parametrize(("rows", "size", "count"), [(29, 30, 0), (30, 30, 1), (95, 30, 3), (1000, 30, 8)])
def test_windows_hold_every_row_once_and_enough_of_them(rows, size, count):
    parts = history.windows(traffic([f"2026-01-01T{place // 60:02}:{place % 60:02}:00" for place in range(rows)]), size)
    assert len(parts) == count and all(len(part) >= size for part in parts)
    assert not parts or [name for part in parts for name in part["answer_id"]] == [f"a{place:04}" for place in range(rows)]


def test_models_come_in_the_order_of_their_last_answers():
    rows = pl.concat([traffic(["2026-01-01T00:00:00", "2026-01-09T00:00:00"], model="b"), traffic(["2026-01-05T00:00:00"], model="a")])
    assert [part["model"][0] for part in history.models(rows)] == ["a", "b"]
