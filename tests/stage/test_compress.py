"""compress: nothing by default; int8 stays a transformers folder, costs little, and says how much."""

import json
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaForCausalLM

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError
from fmcycle.model import int8
from fmcycle.model import store as model_store
from fmcycle.stage.compress import run


def config(material, out, kind):
    inputs = {"model": str(material / "model"), "documents": str(material / "documents.parquet")}
    fidelity = {
        "_target_": "fmcycle.evaluation.fidelity.Fidelity",
        "documents": inputs["documents"],
        "reference": inputs["model"],
        "limit": 20,
    }
    compress = {"_target_": f"fmcycle.compress.methods.{kind}", "_partial_": True}
    return SimpleNamespace(inputs=inputs, out=str(out), compress=compress, evaluation={"fidelity": fidelity})


@pytest.fixture(scope="module")
def small(material, tmp_path_factory):
    """(folder of the int8 model, its metrics)."""
    out = tmp_path_factory.mktemp("compress")
    return out / "model", run(config(material, out, "int8"))


def test_by_default_the_model_passes_through(material, tmp_path):
    metrics = run(config(material, tmp_path, "none"))
    assert artifact.verify(tmp_path / "model") == artifact.digest(material / "model")
    assert metrics["megabytes"] == metrics["reference/megabytes"]


def test_int8_costs_little_and_says_so(small):
    _, metrics = small
    assert metrics["megabytes"] < 0.55 * metrics["reference/megabytes"]
    assert metrics["bits_per_byte_loss"] == pytest.approx(metrics["bits_per_byte"] - metrics["reference/bits_per_byte"], abs=2e-6)
    assert abs(metrics["bits_per_byte_loss"]) < 0.02
    assert metrics["top1_agreement"] > 0.95 and 0 <= metrics["kl"] < 0.01


def test_transformers_loads_the_int8_folder_unaided_and_agrees(small):
    folder, _ = small
    ours, processor = model_store.load_model(folder)
    theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert any(isinstance(module, int8.Linear) for module in ours.modules())
    ids = torch.tensor([processor("Return a copy of the string.")["input_ids"]])
    with torch.no_grad():
        assert (ours(ids).logits - theirs(ids).logits).abs().max() < 0.2


def test_compressing_twice_gives_the_same_bytes(small, material, tmp_path):
    run(config(material, tmp_path, "int8"))
    assert artifact.digest(tmp_path / "model") == artifact.digest(small[0])


def test_an_unknown_scheme_is_refused(small, tmp_path):
    (tmp_path / int8.FILE).write_text(json.dumps({"linear": "int3"}))
    with pytest.raises(InputError, match="another scheme"):
        int8.compressed(tmp_path)
