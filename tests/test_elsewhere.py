"""What computes does so on the device and in the type that the machine says: tried on a second device that refuses what a GPU refuses."""

import elsewhere
import families
import numpy as np
import peft
import polars as pl
import pytest
import torch

from fmcycle.curation import semantic, toxicity
from fmcycle.kernels import linear_cross_entropy
from fmcycle.model import adapter
from fmcycle.model import store as model_store
from fmcycle.model.inputs import placed
from fmcycle.objective.next_token import NextToken
from fmcycle.objective.sft import SFT
from fmcycle.processor import store
from fmcycle.source.generate import Model

IDS = torch.arange(20, 52).view(2, 16)


def test_the_device_refuses_what_a_gpu_refuses():
    with elsewhere.device() as device:
        there, here = torch.ones(2, 3, device=device), torch.ones(2, 3)
        assert there.device.type == "elsewhere" and (there * 2 + here[0, 0]).cpu().equal(3 * here)
        for wrong in (
            lambda: there + here,
            lambda: here @ there.T,
            lambda: torch.cat([there, here]),
            lambda: here[there.long()],
            lambda: here[0, 0].add_(there.sum()),
        ):
            with pytest.raises(RuntimeError, match="same device"):
                wrong()
        for wrong in (there.numpy, lambda: np.asarray(there)):
            with pytest.raises(TypeError, match="can't convert"):
                wrong()
        for wrong in (lambda **chance: torch.multinomial(there, 1, **chance), lambda **chance: torch.rand(3, device=device, **chance)):
            with pytest.raises(RuntimeError, match="generator"):
                wrong(generator=torch.Generator())
    assert not torch.accelerator.is_available()


def test_an_adapter_merges_and_vectors_stand_before_the_tokens_there(material, tmp_path):
    def made(config):
        torch.manual_seed(0)
        model = peft.get_peft_model(model_store.load_weights(material / "model"), config).eval()
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
        return model

    lora = peft.LoraConfig(r=4, target_modules="all-linear", trainable_token_indices=[1, 2])
    wanted = adapter.merge(made(lora))(IDS).logits
    with elsewhere.device() as device:
        merged = adapter.merge(made(lora).to(device))
        torch.testing.assert_close(merged(IDS.to(device)).logits.cpu(), wanted, rtol=1e-4, atol=1e-4)
    processor = store.load_processor(material / "model")
    for kind in (peft.PrefixTuningConfig, peft.PromptTuningConfig):
        model_store.save_model(made(kind(task_type="CAUSAL_LM", num_virtual_tokens=3)), processor, tmp_path / kind.__name__)
        wanted = model_store.load_weights(tmp_path / kind.__name__)(IDS).logits
        with elsewhere.device() as device:
            for dtype, near in ((None, 1e-4), (torch.bfloat16, 0.2)):
                found = model_store.load_weights(tmp_path / kind.__name__, device, dtype)
                assert found.dtype == (dtype or torch.float32) and found.device.type == "elsewhere"
                logits = found(placed(found, IDS), attention_mask=torch.ones_like(IDS, device=device)).logits.float().cpu()
                torch.testing.assert_close(logits, wanted, rtol=near, atol=near)


def packed(objective: type, device, half: bool = False) -> torch.Tensor:
    """The gradient of two packed rows, fused, as one vector on the CPU."""
    model = linear_cross_entropy.fuse(families.decoder()[0])
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model = model.to(device)
    positions = torch.tensor([*range(7), *range(9)]).expand(2, -1)
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
        out = objective()(model, placed(model, {"input_ids": IDS, "labels": IDS, "position_ids": positions}))
    out["loss"].backward()
    return torch.cat([out["loss"].detach().cpu().view(1), *(p.grad.float().cpu().flatten() for p in model.parameters())])


@pytest.mark.parametrize("objective", [SFT, NextToken])
def test_packed_rows_and_mixed_precision_have_the_gradient_of_the_cpu_there(objective):
    wanted = packed(objective, "cpu")
    with elsewhere.device() as device:
        torch.testing.assert_close(packed(objective, device), wanted, rtol=1e-4, atol=1e-4)
        half = packed(objective, device, half=True)
    assert not torch.equal(half, wanted) and (half - wanted).norm() < 0.03 * wanted.norm()


def test_models_that_curate_and_write_data_compute_where_they_are(material, tmp_path, monkeypatch):
    texts = ["The bucket holds objects and the owner may list them.", "A user deletes what no other user needs."]
    families.save("encoder", tmp_path / "encoder")
    model, processor = families.text_classifier()
    model.config.id2label, model.config.label2id = {0: "safe", 1: "toxic", 2: "other"}, {"safe": 0, "toxic": 1, "other": 2}
    model_store.save_model(model, processor, tmp_path / "judge")
    author = Model(str(material / "model"), max_tokens=4)
    judged = {"folder": str(tmp_path / "judge"), "label": "toxic", "batch": 2}
    near, said = semantic.embeddings(texts, str(tmp_path / "encoder"), 32, 2, 2), author(texts)
    toxic = toxicity.probability(pl.Series(texts), **judged)
    with elsewhere.device() as device:
        encoder, tokenizer = semantic.load(str(tmp_path / "encoder"))
        monkeypatch.setattr(semantic, "load", lambda _: (encoder.to(device), tokenizer))
        assert np.allclose(semantic.embeddings(texts, "", 32, 2, 2), near, atol=1e-4)
        tokenizer, judge = toxicity.loaded(str(tmp_path / "judge"))
        monkeypatch.setattr(toxicity, "loaded", lambda _: (tokenizer, judge.to(device)))
        assert np.allclose(toxicity.probability(pl.Series(texts), **judged), toxic, atol=1e-4)
        author.loaded = (model_store.place(author.loaded[0], device), author.loaded[1])
        assert author(texts) == said


def test_a_model_takes_the_type_and_its_buffers_keep_theirs(material):
    model = model_store.load_weights(material / "model", dtype=torch.bfloat16)
    again = model_store.place(model_store.load_weights(material / "model"), dtype=torch.bfloat16)
    for each in (model, again):
        assert {p.dtype for p in each.parameters()} == {torch.bfloat16} and each.model.rotary_emb.inv_freq.dtype == torch.float32
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, again(IDS).logits)
        full = model_store.load_weights(material / "model")(IDS).logits
    assert (model(IDS).logits.float() - full).abs().max() < 0.2


def test_integers_stay_on_the_cpu_and_say_so(material, tmp_path, capsys):
    from fmcycle.compress.methods import int8

    int8(material / "model", tmp_path / "small")
    wanted = model_store.load_weights(tmp_path / "small")(IDS).logits
    assert not capsys.readouterr().out
    with elsewhere.device() as device:
        model = model_store.load_weights(tmp_path / "small", device, torch.bfloat16)
    assert model.device.type == "cpu" and "8-bit integers" in capsys.readouterr().out
    assert torch.equal(model(IDS).logits, wanted)
