"""Checkpoints: whole or not there, as large as what is trained; and models that come back as they were saved."""

import resource
import shutil
import warnings
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained import assert_same, fit, make_model, with_adapter

from fmcycle.artifact import folder as artifact
from fmcycle.errors import InputError, TrainingError
from fmcycle.kernels import linear_cross_entropy
from fmcycle.model import store as model_store
from fmcycle.objective.sft import SFT
from fmcycle.processor.bpe import bpe
from fmcycle.training import checkpoint
from fmcycle.training.checkpoint import SafeCheckpointIO, write_tensors


def bytes_of(folder) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_an_adapter_checkpoint_is_as_large_as_the_adapter_and_its_optimizer(tmp_path):
    module = fit(tmp_path, make=partial(with_adapter, 8, hidden_size=128, vocab_size=2048), budget={"max_steps": 2})
    newest = checkpoint.latest(tmp_path)
    state = SafeCheckpointIO().load_checkpoint(newest)
    assert {"lora_A", "lora_B", "token_adapter"} <= {part for name in state["state_dict"] for part in name.split(".")}
    trained = [p for p in module.model.parameters() if p.requires_grad]
    assert len(state["state_dict"]) == len(trained)
    assert bytes_of(newest) <= 1.2 * 3 * sum(p.numel() * p.element_size() for p in trained)  # AdamW: two of each
    assert sum(p.numel() for p in module.model.parameters()) > 3 * sum(p.numel() for p in trained)


def test_a_resumed_adapter_equals_the_uninterrupted_one(tmp_path):
    def killed(model, batch):
        if model.training and next(calls) == 3:
            raise RuntimeError("killed")
        return SFT()(model, batch)

    calls = iter(range(100))
    whole = fit(tmp_path / "whole", make=with_adapter)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", make=with_adapter, objective=killed)
    assert_same(whole, fit(tmp_path / "cut", make=with_adapter))


def test_a_corrupt_checkpoint_is_passed_over_with_its_name(tmp_path):
    fit(tmp_path)
    newest = tmp_path / "step-00000006"
    file = newest / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="step-00000006/tensors.safetensors: sha256"):
        assert checkpoint.latest(tmp_path).name == "step-00000004"
    (newest / artifact.MANIFEST).unlink()
    with pytest.warns(UserWarning, match="its writing was interrupted"):
        assert checkpoint.latest(tmp_path).name == "step-00000004"


def test_only_the_last_checkpoints_stay_and_nothing_half_written(tmp_path):
    (tmp_path / ".step-00000001.partial").mkdir()
    fit(tmp_path, budget={"max_steps": 9}, keep=2)
    assert sorted(path.name for path in tmp_path.glob("*step-*")) == ["step-00000008", "step-00000009"]


def test_a_full_disk_is_named_with_its_folder_and_leaves_the_checkpoint_before(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def filling(model, batch):
        if model.training and next(calls) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # no file may grow beyond this
        return SFT()(model, batch)

    calls = iter(range(100))
    try:
        with pytest.raises(TrainingError, match=r"step-00000004: the disk has no room for a checkpoint of 0\.\d MB .*free some"):
            fit(tmp_path / "full", objective=filling)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert checkpoint.latest(tmp_path / "full").name == "step-00000002"
    assert not list((tmp_path / "full").glob(".*"))
    assert_same(fit(tmp_path / "whole"), fit(tmp_path / "full"))


def test_tensors_are_written_as_safetensors_reads_them(tmp_path):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"{dtype}/{shape}": torch.randint(0, 2, shape, generator=generator).to(dtype)
        for dtype in checkpoint.NAMES
        for shape in ((), (3,), (5, 7), (0, 4))
    } | {"strided": torch.arange(12.0).reshape(3, 4).T, "view": torch.arange(9, dtype=torch.uint8)[2:5]}
    write_tensors(tmp_path / "ours.safetensors", tensors)
    found = load_file(tmp_path / "ours.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items())
    with safe_open(tmp_path / "ours.safetensors", "pt") as file:
        assert set(file.keys()) == set(tensors)


NEW = [64, 65, 66]  # tokens that are added to a vocabulary of 64


def made(tied: bool, adapter: bool, added: bool):
    """() -> a model; its new tokens begin as the mean of the others."""
    from peft import LoraConfig, get_peft_model

    def make():
        model = make_model(tie_word_embeddings=tied, attention_dropout=0.0)
        if added:
            model.resize_token_embeddings(64 + len(NEW), mean_resizing=True)
        if adapter:
            torch.manual_seed(1)
            config = {"r": 4, "target_modules": "all-linear", "trainable_token_indices": NEW if added else [1, 2]}
            model = get_peft_model(model, LoraConfig(**config))
        return model

    return make


@pytest.mark.parametrize("added", [False, True], ids=["as-it-was", "new-tokens"])
@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_a_trained_model_comes_back_with_the_same_logits(tmp_path, tied, adapter, added):
    def with_new_tokens(model, batch):
        ids = batch["input_ids"].clone()
        ids[:, 1] = 64 if added else 2
        return SFT()(model, batch | {"input_ids": ids})

    make = made(tied, adapter, added)
    module = fit(tmp_path / "run", make=make, objective=with_new_tokens, budget={"max_steps": 3, "validate_every": 0})
    model = linear_cross_entropy.plain(module.model).eval()
    ids = torch.tensor([[5, 64 if added else 2, 9, 65 if added else 1, 30]])
    with torch.no_grad():
        trained = model(input_ids=ids).logits
        assert not torch.allclose(trained, make().eval()(input_ids=ids).logits, atol=1e-3)
        row = model.get_input_embeddings()(torch.tensor([64 if added else 2]))
        begun = make().get_input_embeddings()(torch.tensor([64 if added else 2]))
        assert not torch.equal(row, begun)
        if adapter:
            model = model.merge_and_unload()
        model_store.save_model(model, bpe(["a text of some words"] * 4, vocab_size=280), tmp_path / "model")
        again, _ = model_store.load_model(tmp_path / "model")
        torch.testing.assert_close(again(input_ids=ids).logits, trained, rtol=0, atol=1e-5)
        shared = again.get_input_embeddings().weight is again.get_output_embeddings().weight
        assert shared == tied == again.config.tie_word_embeddings


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    model_store.save_model(make_model(tie_word_embeddings=False), bpe(["a text of some words"] * 4, vocab_size=280), folder)
    return folder


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "integers"])
def test_a_base_whose_weights_do_not_fit_is_refused_with_their_names(saved, tmp_path, fault):
    folder = shutil.copytree(saved, tmp_path / "model")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors = load_file(folder / "model.safetensors")
    if fault == "missing":
        del tensors[name]
    elif fault == "extra":
        tensors["model.layers.9.mlp.up_proj.weight"] = tensors[name].clone()
        name = "model.layers.9.mlp.up_proj.weight"
    elif fault == "shape":
        tensors[name] = tensors[name][:-1].clone()
    else:
        tensors[name] = (tensors[name] * 100).to(torch.int8)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        model_store.load_model(folder)


def test_a_base_in_half_precision_is_trained_in_full(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "model")
    half = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    model, _ = model_store.load_model(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    name = "model.norm.weight"
    assert torch.equal(dict(model.named_parameters())[name], half[name].float())
