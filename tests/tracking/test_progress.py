"""What a run leaves while it goes on: every step once, whoever is told; a page; samples; and no weight is changed by it."""

import csv
import html
import json
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from trained import fit, make_model, ragged, state

from fmcycle.hardware import peak
from fmcycle.objective.sft import SFT
from fmcycle.tracking import run_page, run_record
from fmcycle.tracking.loggers import Log
from fmcycle.tracking.progress import clock, line, tokens
from fmcycle.training import sample

CSV = {"csv": {"_target_": "lightning.pytorch.loggers.CSVLogger", "name": "csv", "version": "", "flush_logs_every_n_steps": 10}}
BOARD = {"board": {"_target_": "lightning.pytorch.loggers.TensorBoardLogger", "name": "tensorboard", "version": ""}}


@pytest.fixture(scope="module", autouse=True)
def believed():
    """Every measured peak counts, whatever else this machine does, so that runs here have an MFU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peak, "QUIET", 0.0)
        yield


def killed_at(step: int):
    """An objective that breaks in the micro-batch after `step` steps."""
    objective, calls = SFT(), iter(range(1000))

    def call(model, batch):
        if model.training and next(calls) == step:
            raise RuntimeError("killed")
        return objective(model, batch)

    return call


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A run that broke in its sixth step, after the checkpoint of the fourth, and then went on to the end."""
    folder = tmp_path_factory.mktemp("runs") / "pretrain/0123456789abcdef"
    run_record.begin(folder, {"stage": "pretrain", "identity": "0123456789abcdef" * 4, "section": {"budget": {"seed": 0}}})
    with pytest.raises(RuntimeError, match="killed"):
        fit(folder, objective=killed_at(5), loggers=CSV | BOARD, checkpoint_every=4)
    assert [row["step"] for row in run_record.rows(folder)] == [1, 2, 3, 4, 5]
    run_record.begin(folder, run_record.read(folder))
    fit(folder, loggers=CSV | BOARD, checkpoint_every=4)
    return folder


def test_a_killed_and_resumed_run_has_every_step_once(resumed):
    kept = list(run_record.rows(resumed))
    assert [row["step"] for row in kept] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in kept if "validation_loss" in row] == [2, 4, 6]
    assert all({"loss", "lr", "tokens_per_s", "gradient_norm", "mfu", "memory", "skipped"} <= set(row) for row in kept)
    with open(resumed / "csv/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in kept]
    assert [row["step"] for row in rows if row["validation_loss"]] == ["2", "4", "6"]


def test_tensorboard_reads_every_step_once(resumed):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(resumed / "tensorboard"))
    events.Reload()
    assert {"loss", "lr", "mfu", "memory", "tokens_per_s", "gradient_norm", "validation_loss"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("validation_loss")] == [2, 4, 6]
    losses = [row["loss"] for row in run_record.rows(resumed)]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses, rel=1e-6)


class Service:
    """A logger without files: it can't take back what it was told."""

    log_dir = None

    def __init__(self):
        self.told = []

    def log_metrics(self, figures, step):
        self.told.append((step, *figures))


def test_a_service_is_told_each_step_once_over_a_kill(tmp_path):
    service = Service()
    for begin, end in ((0, 5), (3, 6)):  # killed after step 5, the checkpoint was of step 3
        steps = run_record.Steps(tmp_path, begin)
        log = Log([service], tmp_path, steps.reached)
        for step in range(begin + 1, end + 1):
            for row in ({"step": step, "loss": 1.0}, {"step": step, "validation_loss": 2.0}):
                steps.add(row)
                log.add(row)
        steps.close()
    assert service.told == [(step, name) for step in range(1, 7) for name in ("loss", "validation_loss")]


def test_the_page_stands_alone_and_shows_the_run(resumed):
    text = (resumed / "run.html").read_text()
    assert "http" not in text.replace("http-equiv", "") and "src=" not in text and text.count("<script>") == 1
    drawn = [part.split("</svg>")[0] + "</svg>" for part in text.split("<svg")[1:]]
    assert len(drawn) >= 6
    for svg in drawn:
        ElementTree.fromstring("<svg" + svg)
    assert "Started 2 times" in text and "6 of 6" in text and "seed: 0" in text
    assert [start["from_step"] for start in run_record.read(resumed)["starts"]] == [0, 4]


def test_the_page_shows_what_was_predicted_beside_what_was(resumed):
    plan = {"seconds": [10.0, 8.0, 12.0], "weights": 2**20, "money": None, "actual": {"seconds": 12.5, "weights": 2**20}}
    (resumed / "plan.json").write_text(json.dumps(plan))
    (seconds, said, was, ratio), weights = run_page.costs(resumed)
    assert seconds.startswith("time of training") and (said, was, ratio) == ("10 (8 to 12)", "12.5", "1.25")
    assert weights == ("weights, MB", "1", "1", "1.00")
    assert "10 (8 to 12)" in run_page.write(resumed).read_text()
    (resumed / "plan.json").write_text(json.dumps(plan | {"steps": 8, "actual": {"seconds": 12.5, "steps": 4}}))
    assert run_page.costs(resumed)[0][1:] == ("5 (4 to 6)", "12.5", "2.50")  # a run that went on is timed from there


def test_samples_change_nothing_and_are_the_same_after_a_kill(tmp_path, material):
    from fmcycle.processor.store import load_processor

    processor = load_processor(material / "processor")
    plain = fit(tmp_path / "plain")
    seen = fit(tmp_path / "seen", processor=processor, sample_every=2)
    assert all(torch.equal(tensor, state(seen)[name]) for name, tensor in state(plain).items())
    assert plain.history.curve == seen.history.curve
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", processor=processor, sample_every=2, objective=killed_at(5))
    fit(tmp_path / "cut", processor=processor, sample_every=2)
    assert (tmp_path / "cut/samples.jsonl").read_text() == (tmp_path / "seen/samples.jsonl").read_text()
    rows = list(run_record.lines(tmp_path / "seen/samples.jsonl"))
    assert [row["step"] for row in rows] == [2, 2, 4, 4, 6, 6]
    assert rows[0]["prompt"] in html.unescape((tmp_path / "seen/run.html").read_text())


def test_a_sample_is_the_greedy_answer_of_the_plain_model(material):
    from fmcycle.engine.generate import generate, greedy
    from fmcycle.engine.protocol import Request
    from fmcycle.kernels import linear_cross_entropy
    from fmcycle.processor.store import load_processor

    model, processor, rows = make_model().eval(), load_processor(material / "processor"), ragged()
    asked = [Request(sample.split(rows[index])[0], greedy(processor, sample.ANSWER)) for index in range(2)]
    expected = [processor.decode(answer.ids, skip_special_tokens=True).strip() for answer in generate(model, asked, batch_size=1)]
    model = linear_cross_entropy.fuse(model).train()
    assert [row["continuation"] for row in sample.take(model, rows, processor, 1)] == expected and model.training


def test_a_prompt_is_the_question_or_the_beginning_of_a_text():
    assert sample.split({"input_ids": [1, 2, 3, 4, 5, 6], "labels": [-100, -100, 3, 4, -100, 6]}) == ([1, 2], [3, 4])
    assert sample.split({"chosen": {"input_ids": [1, 2, 3], "labels": [-100, -100, 3]}, "rejected": {}}) == ([1, 2], [3])
    text = list(range(100))
    for row in (text, {"input_ids": text}, {"input_ids": text, "labels": [-100, *text[1:]]}):
        assert sample.split(row) == (text[: sample.PROMPT], text[sample.PROMPT : sample.PROMPT + sample.ANSWER])


def test_a_long_run_keeps_few_points_with_the_same_mean():
    thin = run_record.Thin(most=100)
    for step in range(1, 10_001):
        thin.add(step, float(step))
    thin.add(10_001, float("nan"))
    steps, values = thin.points()
    assert len(steps) <= 100 and steps == pytest.approx(values, abs=thin.width)


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    (tmp_path / run_record.STEPS).write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    steps = run_record.Steps(tmp_path, 2)
    steps.add({"step": 2, "loss": 1.5})
    steps.close()
    assert list(run_record.rows(tmp_path)) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}]


def test_padding_is_no_token():
    batch = {"chosen": {"input_ids": torch.tensor([[5, 6, 1], [7, 1, 1]])}, "rejected": {"input_ids": torch.tensor([[5, 1]])}}
    assert int(tokens(batch, 1)) == 4 and tokens(batch, None) == 8


def test_figures_read_as_one_line():
    row = {"loss": 2.5, "tokens_per_s": 12345.6, "mfu": 0.55, "memory": 2**30, "skipped": 2}
    assert line(row) == "loss 2.500  12,346 tokens/s  MFU 0.55  1.00 GB  2 skipped"
    assert clock(59.6) == "1:00" and clock(4000) == "1:06:40"


def test_without_a_terminal_there_is_a_line_at_the_end(tmp_path, capsys):
    fit(tmp_path, budget={"max_steps": 3, "validate_every": 0})
    shown = capsys.readouterr().out
    assert "step 3/3  loss" in shown and "MFU" in shown and "tokens/s" in shown and "0:00 left" in shown
