"""The figures of a run: what is in a row, what is the objective's own, and what a resumed run finds in loss.jsonl."""

import json

from trained import fit

from fmcycle.training.history import History


def test_steps_that_are_left_out_are_counted_in_a_row(tmp_path):
    history = History(tmp_path)
    assert [history.skipped(step) for step in (2, 3, 5, 6, 7, 9)] == [1, 2, 1, 2, 3, 1]
    assert history.curve["skipped"] == [2, 3, 5, 6, 7, 9]


def test_loss_jsonl_holds_the_curve_and_is_written_anew_where_a_run_goes_on(tmp_path):
    history = fit(tmp_path, budget={"max_steps": 2, "validate_every": 0}).history
    written = (tmp_path / "loss.jsonl").read_text()
    rows = [json.loads(line) for line in written.splitlines()]
    assert rows == [{name: history.curve[name][place] for name in rows[0]} for place in range(2)]
    assert history.validated(2) and not history.validated(1) and history.own == []
    with open(tmp_path / "loss.jsonl", "a") as log:
        log.write('{"step": 3')  # a kill in the middle of a line
    fit(tmp_path, budget={"max_steps": 3, "validate_every": 0})
    assert (tmp_path / "loss.jsonl").read_text().startswith(written)
    assert len((tmp_path / "loss.jsonl").read_text().splitlines()) == 3
