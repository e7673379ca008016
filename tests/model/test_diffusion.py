"""A diffusion model is guided and saved as others would have it; padding behind a text plays no part, and alone asks for nothing."""

from types import SimpleNamespace

import diffusers
import families
import pytest
import torch
import transformers

from fmcycle.model import diffusion
from fmcycle.processor import store


def model(pad):
    text = transformers.CLIPTextConfig(
        vocab_size=30, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=12,
        pad_token_id=pad, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    denoiser = diffusers.PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=1, out_channels=1, num_layers=1, cross_attention_dim=16, sample_size=8,
        patch_size=2, caption_channels=16, use_additional_conditions=False,
    )  # fmt: skip
    torch.nn.init.normal_(denoiser.proj_out.weight)
    return diffusion.Diffusion(denoiser, diffusers.DDPMScheduler(num_train_timesteps=50), transformers.CLIPTextModel(text)).eval()


def test_padding_plays_no_part():
    torch.manual_seed(0)
    made = model(pad=1)
    noisy, at = torch.randn(1, 1, 8, 8), torch.tensor([5])
    with torch.inference_mode():
        short = made(noisy, at, input_ids=torch.tensor([[5, 7, 0]]))
        padded = made(noisy, at, input_ids=torch.tensor([[5, 7, 0, 1, 1, 1]]))
        other = made(noisy, at, input_ids=torch.tensor([[5, 7, 9]]))
    assert torch.allclose(short, padded, atol=1e-5) and not torch.allclose(short, other, atol=1e-4)
    assert made.nothing({"input_ids": torch.tensor([[5, 7, 0]])})["input_ids"].tolist() == [[1, 1, 1]]


class Known(torch.nn.Module):
    """Predicts the noise exactly: it knows what lies under a picture, a checkerboard or its negative, or nothing."""

    config = SimpleNamespace(in_channels=1, sample_size=8, num_class_embeds=3)

    def __init__(self, schedule):
        super().__init__()
        self.weight, self.schedule, self.spread = torch.nn.Parameter(torch.zeros(())), schedule, []
        self.board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1

    def forward(self, x, t, class_labels):
        self.spread.append(float(x.std()))
        share = self.schedule.alphas_cumprod[t].view(-1, 1, 1, 1)
        under = torch.tensor([-1.0, 1.0, 0.0])[class_labels].view(-1, 1, 1, 1) * self.board
        return SimpleNamespace(sample=(x - share.sqrt() * under) / (1 - share).sqrt())


@pytest.mark.parametrize("steps", [5, 50, 200])
def test_a_guided_sample_stays_among_the_pictures_that_were_trained_on(steps):
    schedule = diffusers.DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
    known = Known(schedule)
    labels = torch.tensor([0, 1] * 8)
    made = diffusion.Diffusion(known, schedule).sample(
        16, {"labels": labels}, steps=steps, guidance=4.0, generator=torch.Generator().manual_seed(0)
    )
    assert torch.allclose(made, torch.tensor([-1.0, 1.0])[labels].view(-1, 1, 1, 1) * known.board, atol=1e-2)
    assert max(known.spread) < 1.2  # a picture and its noise have the spread 1 at every step


def test_diffusers_loads_what_was_saved_without_us(tmp_path):
    for family, given in (("diffusion", {}), ("text_diffusion", {"vae": None})):
        made = families.save(family, tmp_path / family)
        found = diffusers.DiffusionPipeline.from_pretrained(str(made), local_files_only=True, **given)
        ours = diffusion.load(made)
        theirs = found.unet if family == "diffusion" else found.transformer
        assert all(torch.equal(ours.denoiser.state_dict()[name], weight) for name, weight in theirs.state_dict().items())
        if given:
            assert found.tokenizer("the bucket")["input_ids"] == store.load_processor(made)("the bucket")["input_ids"]
