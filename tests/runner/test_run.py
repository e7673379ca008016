"""Around every stage: what is missing is made, what was made is found, what is wrong is refused."""

import json
import os

import polars as pl
import pytest

from fmcycle.artifact import provenance


@pytest.fixture
def documents(project):
    """Real small text: the docstrings of Python's own json package, as curated documents."""
    rows = [
        {"id": f"json/{i}", "text": line * 3, "source": "json", "domain": "code", "licence": "PSF-2.0", "group": f"{i}", "split": split}
        for i, line in enumerate(json.__doc__.split("\n\n"))
        for split in ("train", "validation", "test")
    ]
    pl.DataFrame(rows).write_parquet(project / "documents.parquet")
    return "inputs.documents=documents.parquet"


SMALL = "processor.vocab_size=300"


def test_a_missing_input_is_made_once_and_then_found(project, documents, fmcycle):
    first = fmcycle("tokens", documents, SMALL)
    assert first.returncode == 0, first.stderr
    assert (
        "tokens needs processor first: about" in first.stdout and "fmcycle processor processor=bpe processor.vocab_size=300" in first.stdout
    )
    (made,) = (project / "runs/processor").glob("[!.]*")
    again = fmcycle("tokens", documents, SMALL)
    assert again.returncode == 0 and "made before with the same identity" in again.stdout
    assert list((project / "runs/processor").glob("[!.]*")) == [made]
    other = fmcycle("tokens", documents, "processor.vocab_size=310")
    assert other.returncode == 0 and len(list((project / "runs/processor").glob("[!.]*"))) == 2


def test_base_require_refuses_and_hands_over_the_command(project, documents, fmcycle):
    result = fmcycle("tokens", documents, SMALL, "base=require")
    assert result.returncode == 2
    assert f"run `fmcycle processor processor=bpe {SMALL} {documents}`" in result.stderr, result.stderr
    assert not list(project.glob("runs/tokens/*/out")) and not (project / "runs/processor").exists()


def test_a_mix_that_breaks_its_policy_is_refused_before_what_is_missing_is_made(project, documents, fmcycle):
    result = fmcycle("pretrain", documents, SMALL, "model=llama_tiny", "licence.allow=[public-domain]")
    assert result.returncode == 2 and "rows of source json under PSF-2.0" in result.stderr, result.stderr
    assert "needs processor" not in result.stdout and not (project / "runs/processor").exists()


def test_where_it_runs_is_not_who_it_is(project, documents, fmcycle):
    assert fmcycle("processor", documents, SMALL).returncode == 0
    (file,) = project.glob("runs/processor/*/out.provenance.json")
    one = json.loads(file.read_text())
    os.rename(project / "documents.parquet", project / "moved.parquet")
    assert "made before" in fmcycle("processor", "inputs.documents=moved.parquet", SMALL).stdout
    assert fmcycle("processor", "inputs.documents=moved.parquet", SMALL, "out=elsewhere").returncode == 0
    two = json.loads(provenance.provenance_file(project / "elsewhere").read_text())
    assert one["identity"] == two["identity"] and list(one["outs"].values()) == list(two["outs"].values())


def test_a_corrupt_input_is_refused_before_any_work(project, documents, fmcycle):
    assert fmcycle("processor", documents, SMALL, "out=bpe").returncode == 0
    with open(project / "bpe/tokenizer.json", "a") as handle:
        handle.write(" ")
    result = fmcycle("tokens", documents, "inputs.processor=bpe", "out=tokens")
    assert result.returncode == 2 and "bpe/tokenizer.json: sha256" in result.stderr and not (project / "tokens").exists()


def test_a_multirun_makes_a_folder_for_each_identity(project, documents, fmcycle):
    result = fmcycle("processor", "-m", documents, "processor.vocab_size=300,301,302")
    assert result.returncode == 0, result.stderr
    identities = {json.loads(file.read_text())["identity"] for file in project.glob("runs/processor/*/out.provenance.json")}
    assert len(identities) == 3


def test_a_second_run_on_the_same_folder_is_refused(project, documents, fmcycle):
    from fmcycle.artifact import atomic

    with atomic.lock(project / "bpe"):
        result = fmcycle("processor", documents, SMALL, "out=bpe")
    assert result.returncode == 2 and "is writing here" in result.stderr
