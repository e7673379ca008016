"""Every objective in conf/objective builds and keeps the contract: a summed loss, the count it is over, a gradient."""

from pathlib import Path

import diffusers
import elsewhere
import pytest
import torch
import transformers
import yaml
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from fmcycle.build import build
from fmcycle.given import placed
from fmcycle.pipeline import Diffusion
from fmcycle.training import speed

FILES = sorted((Path(__file__).parents[2] / "conf/objective").glob("*.yaml"))
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64, "pad_token_id": 1}


DRAWN = ("masked_token", "span_corruption", "masked_patch", "denoising")  # what is covered, or the noise, is drawn for the whole batch
AMONG = ("contrastive",)  # a row is told apart from the others of its batch


def model_of(name: str):
    torch.manual_seed(0)
    wide = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    if name == "classify":
        return LlamaForSequenceClassification(LlamaConfig(num_labels=3, **SIZES))
    if name in ("seq2seq", "span_corruption"):
        sizes = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "vocab_size": 80, "dropout_rate": 0.0}
        return transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes, pad_token_id=1, decoder_start_token_id=0))
    if name == "masked_patch":
        decoder = {
            "decoder_hidden_size": 16,
            "decoder_num_hidden_layers": 1,
            "decoder_num_attention_heads": 2,
            "decoder_intermediate_size": 32,
        }
        config = transformers.ViTMAEConfig(image_size=8, patch_size=2, num_channels=1, **wide, **decoder)
        return transformers.ViTMAEForPreTraining(config)
    if name == "contrastive":
        text, vision = {**wide, "vocab_size": 64, "eos_token_id": 3}, {**wide, "image_size": 8, "patch_size": 4, "num_channels": 1}
        return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    if name == "denoising":
        blocks = {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"], "block_out_channels": [8], "norm_num_groups": 4}
        unet = diffusers.UNet2DModel(sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, num_class_embeds=4, **blocks)
        return Diffusion(unet, diffusers.DDPMScheduler())
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def batch_of(name: str, rows: slice = slice(None)) -> dict:
    """Eight rows of ragged length, padded at their right end; pictures where the objective wants them."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 64, (8, 12), generator=generator)
    pictures = torch.rand((8, 1, 8, 8), generator=generator)[rows]
    labels = ids.clone()
    for row in range(8):
        ids[row, 12 - row :], labels[row, 12 - row :] = 1, -100
    side = {"input_ids": ids[rows], "labels": labels[rows]}
    classes = torch.arange(8)[rows] % 3
    if name == "dpo":
        other = {"input_ids": ids.flip(0)[rows], "labels": labels.flip(0)[rows]}
        return {"chosen": side, "rejected": other, "reference_margin": torch.linspace(-1, 1, 8)[rows]}
    if name == "seq2seq":
        return {"input_ids": side["input_ids"], "decoder_labels": labels[rows].flip(1)}
    if name in ("masked_patch", "denoising"):
        return {"pixel_values": pictures, "labels": classes}
    if name == "contrastive":
        return {"pixel_values": pictures, "input_ids": side["input_ids"]}
    return {"input_ids": side["input_ids"], "labels": classes} if name == "classify" else side


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_loss_is_a_sum_over_a_count_and_has_a_gradient(file):
    name, objective = file.stem, build(yaml.safe_load(file.read_text()))
    model = model_of(name)
    out = objective(model, batch_of(name))
    assert out["loss"].ndim == 0 and float(out["count"]) > 0
    out["loss"].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("file", [file for file in FILES if file.stem not in DRAWN + AMONG], ids=lambda file: file.stem)
def test_parts_of_a_batch_add_up_to_it(file):
    name, objective = file.stem, build(yaml.safe_load(file.read_text()))
    model = model_of(name)
    whole = objective(model, batch_of(name))
    parts = [objective(model, batch_of(name, rows)) for rows in (slice(0, 3), slice(3, 8))]
    assert sum(float(part["count"]) for part in parts) == float(whole["count"])
    torch.testing.assert_close(sum(part["loss"] for part in parts), whole["loss"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_fused_equals_plain(file):
    name, objective = file.stem, build(yaml.safe_load(file.read_text()))
    found = []
    for rewrite in (speed.plain, speed.fuse):
        model = rewrite(model_of(name).eval())
        torch.manual_seed(3)
        out = objective(model, batch_of(name))
        out["loss"].backward()
        found.append([out["loss"].detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_computes_elsewhere_what_it_computes_here(file):
    name, objective = file.stem, build(yaml.safe_load(file.read_text()))
    found = []
    with elsewhere.device() as there:
        for device in ("cpu", there):
            model = speed.fuse(model_of(name)).to(device)
            torch.manual_seed(3)
            out = objective(model, placed(model, batch_of(name)))
            assert out["loss"].device.type == torch.device(device).type
            out["loss"].backward()
            found.append([out["loss"].detach().cpu(), *(p.grad.cpu() for p in model.parameters() if p.grad is not None)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
