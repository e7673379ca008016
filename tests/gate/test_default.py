"""The default gate refuses the constant answer, a model of shuffled answers and one of flipped preferences, by their real figures."""

from itertools import product
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from fmcycle.config.build import build
from fmcycle.evaluation import control
from fmcycle.evaluation.held_out import held_out
from fmcycle.evaluation.instruction import Instruction, rouge_l
from fmcycle.evaluation.preference import Preference
from fmcycle.gate.bound import judge

GAINS = ("rouge_l_over_baseline", "exact_match_over_baseline")
WORDS = [
    "".join(parts)
    for parts in product(("ba", "de", "fi", "go", "ku"), ("lan", "mer", "nos", "pit", "tul", "ras"), ("", "a", "ekam", "imos"))
]


class Spoken(Instruction):
    """The real evaluation of answers that are given: {id: answer}."""

    said: dict[str, str]

    def _answers(self, model, processor, rows):
        return [SimpleNamespace(text=self.said[row["id"]], refusals=[]) for row in rows]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    """Two tasks: the answer stands in the prompt, or is one of two options. Every prompt has a word of its own."""
    found = []
    for number, word in enumerate(WORDS):
        asked = {
            "take": (f"{word} is number {number}. Which word?", word),
            "judge": (f"Is {word} long or short?", "long" if len(word) > 7 else "short"),
        }
        for task, (prompt, answer) in asked.items():
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
            found.append({"id": f"{task}-{number}", "split": ("train", "test")[number % 2], "task": task, "messages": messages})
    file = tmp_path_factory.mktemp("rows") / "instructions.parquet"
    pl.DataFrame(found).write_parquet(file)
    return file


@pytest.fixture(scope="module")
def gate(root):
    return build(yaml.safe_load((root / "conf/gate/default.yaml").read_text()))


@pytest.fixture(scope="module")
def embedded(root):
    """The gate of the embedded default's own lifecycle."""
    name = yaml.safe_load((root / "params.yaml").read_text())["stages"]["package"]["gate"]
    return build(yaml.safe_load((root / f"conf/gate/{name}.yaml").read_text()))


def refused(gate, metrics, names) -> list[str]:
    """The bounds of `names` that the metrics do not meet."""
    verdict = judge({name: gate[name] for name in names}, metrics)
    return [check["metric"] for check in verdict["checks"] if not check["passed"]]


def figures(rows, assistant, said) -> dict[str, float]:
    evaluation = Spoken(str(rows), per_task=60)
    evaluation.said = said
    return evaluation(*assistant)


def test_the_gate_of_the_embedded_default_refuses_what_needs_no_model(rows, assistant, embedded):
    asked, train = held_out(str(rows), "test"), held_out(str(rows), "train")
    for name, texts in control.answers(train, asked, rouge_l).items():
        said = {row["id"]: text for row, text in zip(asked, texts, strict=True)}
        assert refused(embedded, figures(rows, assistant, said), GAINS[:1]) == [GAINS[0]], name


def test_right_answers_pass_and_the_constant_one_is_refused(rows, assistant, gate):
    asked, train = held_out(str(rows), "test"), held_out(str(rows), "train")
    right = {row["id"]: control.answer(row) for row in asked}
    assert refused(gate, figures(rows, assistant, right), GAINS) == []
    for name, texts in control.answers(train, asked, rouge_l).items():
        said = {row["id"]: text for row, text in zip(asked, texts, strict=True)}
        assert refused(gate, figures(rows, assistant, said), GAINS) == list(GAINS), name


def test_answers_of_a_model_that_learned_shuffled_ones_are_refused(rows, assistant, gate):
    """Such a model has the form of each task's answers, and no tie between question and answer."""
    test = pl.read_parquet(rows).filter(pl.col("split") == "test").with_columns(split=pl.lit("train"))
    said = {row["id"]: control.answer(row) for row in control.shuffled(test).to_dicts()}
    assert refused(gate, figures(rows, assistant, said), GAINS) == list(GAINS)


def test_a_model_aligned_on_flipped_preferences_is_refused(material, assistant, gate, tmp_path):
    """To a model, labels that were flipped before alignment are labels that were flipped before its evaluation."""
    pairs = pl.read_parquet(material / "preferences.parquet").with_columns(split=pl.lit("train"))
    for name, frame, refusals in (("true", pairs, []), ("flipped", control.exchanged(pairs), ["preference_accuracy"])):
        frame.with_columns(split=pl.lit("test")).write_parquet(tmp_path / f"{name}.parquet")
        metrics = Preference(str(tmp_path / f"{name}.parquet"))(*assistant)
        assert refused(gate, metrics, ["preference_accuracy"]) == refusals, (name, metrics["preference_accuracy"])


def test_a_gate_asks_an_end_that_can_refuse(gate):
    """The low end of what should be high, and the high end of what should be low."""
    for name, bound in gate.items():
        least, most = (bound.min, bound.above), (bound.max, bound.below)
        assert (bound.of == "low") == any(each is not None for each in least), name
        assert (bound.of == "high") == any(each is not None for each in most), name
