"""What was said beside what it was: nothing is lost, and the next prediction is better."""

import random

import pytest

from fmcycle.cost import ledger

HERE = {"device": "a processor", "threads": 1}


def line(actual: float, said: float = 10.0, machine: dict = HERE) -> dict:
    return {"machine": machine, "raw": {"seconds": said, "peak": 1.0}, "actual": {"seconds": actual, "peak": 1.0, "start": actual}}


def test_lines_stay_whole_and_a_cut_one_is_left_out(tmp_path):
    file = tmp_path / "runs/ledger.jsonl"
    ledger.append(line(1.0), file)
    with open(file, "a") as handle:
        handle.write('{"machine": {"dev')  # a power cut
    ledger.append(line(2.0), file)
    ledger.append(line(3.0, machine={"device": "another"}), file)
    assert [entry["actual"]["seconds"] for entry in ledger.read(HERE, file)] == [1.0, 2.0]
    assert ledger.read(HERE, tmp_path / "none") == []


def test_without_runs_the_prediction_stands_and_is_wide():
    value, low, high = ledger.calibrated(10.0, [], "seconds")
    assert value == pytest.approx(10) and low < 8 and high > 13


def test_runs_correct_the_next_prediction_and_narrow_it():
    before = None
    for count in (1, 4, 16):
        value, low, high = ledger.calibrated(10.0, [line(20.0)] * count, "seconds")
        assert abs(value - 20) < abs((before or (10, 0, 0))[0] - 20) and low < value < high
        assert before is None or high / low < before[2] / before[1]
        before = value, low, high
    assert before[0] == pytest.approx(20, rel=0.05)


def test_the_interval_covers_nine_of_ten():
    draw = random.Random(0)
    hits = 0
    for _ in range(400):
        lines = [line(10.0 * 1.3 * draw.lognormvariate(0, 0.15)) for _ in range(8)]
        _, low, high = ledger.calibrated(10.0, lines, "seconds")
        hits += low <= 13.0 * draw.lognormvariate(0, 0.15) <= high
    assert 0.87 <= hits / 400 <= 0.99


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 2.132), (10, 1.812), (50, 1.676)])
def test_students_quantile_is_that_of_the_tables(freedom, quantile):
    assert ledger.student(freedom) == pytest.approx(quantile, rel=0.01)


def test_the_least_start_is_taken():
    assert ledger.least([line(9.0), line(4.0)], "start", 1.0) == 4.0 and ledger.least([], "start", 1.0) == 1.0
