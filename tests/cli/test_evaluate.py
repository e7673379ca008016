"""`fmcycle evaluate MODEL DATA`: a model folder on rows of one's own, whatever their form."""

import json

import families
import polars as pl
import pytest

from fmcycle.cli import evaluate
from fmcycle.config import compose
from fmcycle.errors import ConfigError, InputError


@pytest.fixture
def rows(project, material):
    """Rows of three kinds in three forms; none of them was trained on."""
    asked = [{"instruction": f"Where is jar {number}?", "output": f"On shelf {number % 3}."} for number in range(30)]
    (project / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    pairs = [{"prompt": f"Jar {n}?", "chosen": f"It is on shelf {n}.", "rejected": f"No idea of {n}"} for n in range(12)]
    pl.DataFrame(pairs).write_csv(project / "pairs.csv")
    (project / "texts").mkdir()
    for number in range(6):
        (project / f"texts/{number}.txt").write_text(f"Jar {number} is on shelf {number * 3} of the pantry.\n")
    (project / "model").symlink_to(material / "model")
    return project


def test_the_figures_are_printed_and_the_page_has_every_answer_beside_its_reference(rows, capsys):
    assert evaluate.main(["model", "asked.jsonl", "evaluation.instruction.max_new_tokens=4"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "evaluate: 30 instructions by evaluation=instruction" in told
    *_, page = told
    folder = page.partition("/report.html: ")[0]
    metrics = json.loads((rows / folder / "metrics.json").read_text())
    assert metrics["rouge_l/n"] == 30 and metrics["baseline/copy_exact_match"] == 0
    table = {line.split()[0]: line.split() for line in told if line.startswith(("rouge_l ", "  copy_exact_match"))}
    assert table["rouge_l"][1:] == [f"{metrics['rouge_l']:.3f}", f"[{metrics['rouge_l/low']:.3f},", f"{metrics['rouge_l/high']:.3f}]", "30"]
    assert table["copy_exact_match"][:3] == ["copy_exact_match", "(baseline)", "0.000"]
    answers = [json.loads(line) for line in (rows / folder / "samples.jsonl").read_text().splitlines()]
    assert {(row["prompt"], row["expected"]) for row in answers} == {(f"Where is jar {n}?", f"On shelf {n % 3}.") for n in range(30)}
    html = (rows / folder / "report.html").read_text()
    assert all(f"Where is jar {n}?" in html for n in range(30)) and "On shelf 2." in html


def test_rows_of_every_kind_and_form_find_their_evaluation(rows, capsys):
    for data, key, n, baseline in (
        ("pairs.csv", "preference_accuracy", 12, "baseline/longer_preference_accuracy"),
        ("texts", "bits_per_byte", None, "baseline/deflate_bits_per_byte"),
    ):
        out = evaluate.on("model", data)
        metrics = json.loads((out / "metrics.json").read_text())
        assert metrics[f"{key}/n"] == n or n is None
        assert 0 <= metrics[f"{baseline}/low"] <= metrics[baseline] <= metrics[f"{baseline}/high"]
    assert metrics["bits_per_byte/n"] == sum(len((rows / f"texts/{n}.txt").read_text()) for n in range(6))


def test_a_split_that_the_rows_declare_is_kept(rows, capsys):
    own = [{"instruction": f"Where is jar {n}?", "output": "Here.", "split": "test" if n < 5 else "train"} for n in range(20)]
    (rows / "split.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    out = evaluate.on("model", "split.jsonl", "evaluation.instruction.max_new_tokens=2")
    assert json.loads((out / "metrics.json").read_text())["rouge_l/n"] == 5
    assert "5 instructions by evaluation=instruction; 15 rows of other splits" in capsys.readouterr().out


def test_a_classifier_is_evaluated_on_labelled_texts(rows, capsys):
    families.save("text_classifier", rows / "classifier")
    names = list(json.loads((rows / "classifier/config.json").read_text())["id2label"].values())
    own = [{"text": f"The jar number {n} stands here.", "label": names[n % 2]} for n in range(10)]
    (rows / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    out = evaluate.on("classifier", "labelled.jsonl")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["accuracy/n"] == 10 and metrics["baseline/most_frequent_accuracy"] == 0.5
    shown = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert {row["expected"] for row in shown} == {*names[:2]} and all(row["answer"] in names and "jar" in row["prompt"] for row in shown)
    own = [row | {"label": "another"} for row in own]
    (rows / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    with pytest.raises(InputError, match="another is none of them"):
        evaluate.on("classifier", "labelled.jsonl")
    with pytest.raises(InputError, match=r"asked\.jsonl holds 30 instructions; a \w+ is evaluated on documents or examples"):
        evaluate.on("classifier", "asked.jsonl")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model", "askd.jsonl"], r"askd\.jsonl is not there; did you mean asked\.jsonl\?"),
        (["modl", "asked.jsonl"], r"modl: is not there; did you mean model=model\?"),
        (["model", "asked.jsonl", "more"], "take more out"),
        (["model", "asked.jsonl", "--cfg", "job"], "take --cfg out"),
        (["model", "asked.jsonl", "evaluation.instruction.max_tokens=3"], "max_tokens: no such key.*did you mean max_new_tokens"),
    ],
)
def test_a_wrong_word_is_refused_before_any_work(words, said, rows):
    with pytest.raises((InputError, ConfigError), match=said):
        evaluate.main(words)
    assert not (rows / "runs").exists()


def test_without_words_it_is_the_stage_and_a_model_alone_is_its_input(project, material, fmcycle):
    shown = fmcycle("evaluate", "--cfg", "job", "--package", "inputs.model")
    assert shown.stdout.strip() == "stage:compress/model", shown.stderr
    shown = fmcycle("evaluate", str(material / "model"), "evaluation=[]", "--cfg", "job", "--package", "inputs.model")
    assert shown.stdout.strip() == str(material / "model"), shown.stderr
    assert compose.compose(["stage=evaluate_on"]).inputs["reference"] is None
