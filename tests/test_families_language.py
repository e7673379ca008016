"""Models of text, each by its experiment: a few steps through the real stages, saved, loaded again with the same outputs, and asked.

The proofs run each at its stated size and hold it against its bar.
"""

import shutil
from pathlib import Path

import polars as pl
import pytest
import shared
from experiments import FEW, project, saved_and_loaded, train

from fmcycle.config.compose import compose
from fmcycle.engine.classifier import Classifier
from fmcycle.engine.embedding import Embedding
from fmcycle.engine.protocol import Request, Sampling, generate
from fmcycle.engine.seq2seq import Seq2Seq
from fmcycle.engine.transformers import Transformers
from fmcycle.runner.run import perform

FEW = [*FEW, "budget.global_batch=4", "trainer.sample_every=0"]
TEXT = [f"inputs.{name}" for name in ("tokens=tokens", "processor=processor", "documents=documents.parquet")]
TEXT += ["processor.vocab_size=512"]
SMALL = [f"model.{each}" for each in ("hidden_size=64", "intermediate_size=128", "num_hidden_layers=2", "max_position_embeddings=128")]

BEGUN = [TEXT[0], TEXT[2], TEXT[3], "inputs.model=model", "model.tie_word_embeddings=false", "evaluation.domain_shift.context=64"]
LABELLED = ["inputs.documents=documents.parquet", "model.num_labels=2", "processor.vocab_size=512", "data.format.longest=32"]
PAIRS = ["inputs.instructions=instructions.parquet", "evaluation.seq2seq.limit=4", "evaluation.seq2seq.max_new_tokens=4"]


def written(engine) -> int:
    return len(generate(engine, [Request(engine.begin([7, 8, 9]), Sampling(max_tokens=3))])[0])


FAMILIES = {  # experiment: what makes it short, and one request of its kind; one that begins from another comes behind it
    "bert_masked": ([*TEXT, "data.max_length=32"], lambda folder: Embedding(folder).embed(["a list"])[0].shape == (1, 192)),
    "bert_services": (LABELLED, lambda folder: set(Classifier(folder).classify(["a list"])[0]) == {"long", "short"}),
    "t5_spans": ([*TEXT, "model.vocab_size=640", "data.max_length=32"], lambda folder: written(Seq2Seq(folder)) == 3),
    "t5_answers": ([*PAIRS, "model.vocab_size=640", "data.where.task=[method,type]"], lambda folder: written(Seq2Seq(folder)) == 3),
    "moe": ([*TEXT, "data.max_length=32"], lambda folder: written(Transformers(folder)) == 3),
    "continue_bible": (
        [*BEGUN, *SMALL, "data.max_length=32"],
        lambda folder: written(Transformers(folder)) == 3,
    ),
}
BEGINS = {"bert_services": "bert_masked", "t5_answers": "t5_spans"}
BARS = {
    "bert_masked": lambda found: found["masked_accuracy/low"] > found["baseline/bigram_accuracy/high"],
    "bert_services": lambda found: found["accuracy"] > found["baseline/most_frequent_accuracy"] + 0.3,
    "t5_answers": lambda found: found["bleu"] > found["baseline/copy_bleu"],
    "moe": lambda found: found["bits_per_byte"] < 1.2 * found["baseline/kneser_ney_5gram_bits_per_byte"],
    "continue_bible": lambda found: found["domain_fall/low"] > 0 and found["general_rise/high"] < 0.05,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, material) -> Path:
    """A project with a processor, documents of two sources and with labels, their tokens, and a base."""
    made = project(tmp_path_factory.mktemp("language"))
    for name in ("processor", "model"):
        shutil.copytree(material / name, made / name)
    shutil.copy(material / "instructions.parquet", made)
    rows = pl.read_parquet(material / "documents.parquet").with_row_index("place")
    bible = pl.when(pl.col("place") // 4 % 2 == 0).then(pl.lit("bible")).otherwise(pl.lit("python"))
    label = pl.when(pl.col("text").str.len_chars() > 150).then(pl.lit("long")).otherwise(pl.lit("short"))
    rows.with_columns(source=bible, label=label).drop("place").write_parquet(made / "documents.parquet")
    return made


@pytest.fixture
def here(folder, monkeypatch) -> Path:
    monkeypatch.chdir(folder)
    if not (folder / "tokens").is_dir():
        perform(compose(["stage=tokens", "inputs.documents=documents.parquet", "inputs.processor=processor", "out=tokens"]))
    return folder


def short(experiment: str) -> list[str]:
    begun = [f"inputs.model={made(BEGINS[experiment])}/model"] if experiment in BEGINS else []
    return [f"experiment={experiment}", *FEW, *FAMILIES[experiment][0], *begun]


def made(experiment: str) -> Path:
    """The folder of a short run, trained once."""
    return perform(compose([*short(experiment)]))


@pytest.mark.parametrize("experiment", FAMILIES)
def test_a_few_steps_are_saved_loaded_and_asked(experiment, here, monkeypatch):
    out, _ = saved_and_loaded([*short(experiment), "budget.seed=1"], monkeypatch, "validation")
    assert FAMILIES[experiment][1](str(out / "model"))


@pytest.fixture(scope="module")
def proof(tmp_path_factory) -> Path:
    """A project in which what experiments share is made once."""
    return project(tmp_path_factory.mktemp("proof"))


@pytest.mark.prove
@pytest.mark.parametrize("experiment", BARS)
def test_an_experiment_reaches_what_its_head_says(experiment, proof, monkeypatch, fmcycle):
    monkeypatch.chdir(proof)
    found = train(fmcycle, f"experiment={experiment}")
    assert BARS[experiment](found), found


@pytest.mark.prove
@pytest.mark.skipif(not shared.DATA.is_dir(), reason=shared.MISSING)
def test_intents_of_a_bank_beside_logistic_regression(proof, monkeypatch, fmcycle):
    monkeypatch.chdir(proof)
    if not Path("banking77").is_dir():
        shared.banking77(Path("banking77"))
    done = fmcycle("curate", "curation=labelled", "split.test=0.2", "inputs.data=banking77", "out=runs/banking77")
    assert done.returncode == 0, done.stderr
    found = train(fmcycle, "experiment=bert_services", "inputs.documents=runs/banking77/documents.parquet", "model.num_labels=77")
    assert found["accuracy/low"] > 0.6 and found["baseline/regression_accuracy"] > 0.7, found
