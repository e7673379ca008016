"""What stands behind a text's end does not change what is drawn for it, and nothing is asked for by padding alone."""

import diffusers
import torch
import transformers

from fmcycle import pipeline


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
    return pipeline.Diffusion(denoiser, diffusers.DDPMScheduler(num_train_timesteps=50), transformers.CLIPTextModel(text)).eval()


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
